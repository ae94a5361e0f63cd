"""Settings that every test shares."""

import os

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
# two runs of one test must agree in the last bit, on any machine
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items):
    """Tests that share a run of the workflow, or a module's fixtures, go to one worker."""
    for item in items:
        group = "first_run" if "first_run" in item.fixturenames else item.module.__name__
        item.add_marker(pytest.mark.xdist_group(group))
