"""Counts what came of each trial, and says so at the end."""

from collections import Counter

import pytest

TRIALS = Counter()


@pytest.fixture
def trials():
    """``identical``, ``named`` or ``silent``: what came of a fault."""
    return TRIALS


def pytest_terminal_summary(terminalreporter):
    if TRIALS:
        kinds = ", ".join(f"{TRIALS[kind]} {kind}" for kind in ("identical", "named", "silent"))
        terminalreporter.write_line(f"{TRIALS.total()} trials: {kinds}")
