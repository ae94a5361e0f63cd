"""Scripts end with a message where a user can act, with a traceback where not."""

import errno
import logging
from types import SimpleNamespace

import pytest

from ood.errors import InputError
from workflow_job import job


@pytest.fixture
def snakemake(tmp_path):
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield SimpleNamespace(
        rule="train",
        wildcards=["digits", "0"],
        log=[str(tmp_path / "job.log")],
        output=["results/a/model.pt"],
    )
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


def log_after(snakemake, error):
    with pytest.raises(SystemExit) as ended, job(snakemake):
        raise error
    assert ended.value.code == 1
    with open(snakemake.log[0]) as file:
        return file.read()


def test_input_errors_have_no_traceback(snakemake, capsys):
    text = log_after(snakemake, InputError("file a is no b"))
    assert "ERROR file a is no b" in text
    assert "Traceback" not in text
    assert "[train digits 0] file a is no b" in capsys.readouterr().err


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_full_and_read_only_disks_are_named(snakemake, code):
    import os

    text = log_after(snakemake, OSError(code, os.strerror(code), "results/a/x"))
    assert f"cannot write results/a/x: {os.strerror(code)}" in text
    assert "what was computed is kept" in text
    assert "Traceback" not in text
    text = log_after(snakemake, OSError(code, os.strerror(code)))
    assert "cannot write results/a: " in text


def test_other_errors_keep_their_traceback(snakemake):
    assert "Traceback" in log_after(snakemake, ValueError("a bug"))
