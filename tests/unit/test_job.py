"""Scripts end with a message where a user can act; what is up to date is not made again."""

import contextlib
import errno
import json
import logging
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from ood.errors import InputError
from support import failures as endings
from support import job as jobs
from support.job import job


class Named(list):
    """Files or values with names, as Snakemake hands them to a script."""

    def __init__(self, **named):
        super().__init__(named.values())
        self.named = named

    def items(self):
        return self.named.items()

    def get(self, name, default=None):
        return self.named.get(name, default)


@pytest.fixture
def snakemake(tmp_path, monkeypatch):
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    monkeypatch.chdir(tmp_path)
    for folder in ("results/a", "results/logs"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "input.txt").write_text("one")
    yield SimpleNamespace(
        rule="train",
        wildcards=Named(benchmark="digits", seed="0"),
        params=Named(settings={"epochs": 2}),
        log=["results/logs/job.log"],
        input=["input.txt"],
        output=Named(model="results/a/model.pt"),
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
    text = log_after(snakemake, OSError(code, os.strerror(code), "results/a/x"))
    assert f"cannot write results/a/x: {os.strerror(code)}" in text
    assert "what was computed is kept" in text
    assert "Traceback" not in text
    text = log_after(snakemake, OSError(code, os.strerror(code)))
    assert f"cannot write results/a or {tempfile.gettempdir()}: " in text


def test_other_errors_keep_their_traceback(snakemake):
    assert "Traceback" in log_after(snakemake, ValueError("a bug"))


def write(snakemake, text="made"):
    """A job that writes its output; whether it did."""
    made = []
    with contextlib.suppress(SystemExit), job(snakemake):
        Path(snakemake.output[0]).write_text(text)
        made.append(text)
    assert "ERROR" not in Path(snakemake.log[0]).read_text()
    return bool(made)


def test_a_job_whose_outputs_stand_ends_before_its_work(snakemake):
    assert write(snakemake)
    assert not write(snakemake)
    os.utime("input.txt")
    assert not write(snakemake)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.params.named.update(settings={"epochs": 3}),
        lambda s: Path("input.txt").write_text("two"),
        lambda s: Path(s.output[0]).write_text("damaged"),
        lambda s: os.unlink(s.output[0]),
        lambda s: Path("results/keys/job.json").write_text("{"),
    ],
    ids=["setting", "input", "damaged output", "missing output", "damaged keys"],
)
def test_a_job_runs_again_after_a_change(snakemake, change):
    assert write(snakemake)
    change(snakemake)
    assert write(snakemake)


def test_who_wrote_an_input_does_not_matter(snakemake):
    snakemake.input = ["config.json"]

    def rewrite(revision, value=1):
        with open("config.json", "w") as file:
            json.dump({"value": value, "provenance": {"git_revision": revision}}, file)

    rewrite("a")
    assert write(snakemake)
    rewrite("b")
    assert not write(snakemake)
    rewrite("b", value=2)
    assert write(snakemake)


def several(snakemake, fail_at=None):
    """A job that makes three files one by one; those that it made."""
    made = []
    with job(snakemake, several=True) as work:
        for name, path in snakemake.output.items():
            key = work.key(["input.txt"], name)
            if work.is_up_to_date(path, key):
                continue
            if name == fail_at:
                raise InputError("no room")
            with work.make(path, key) as temporary:
                temporary.write_text(name)
            made.append(name)
    return made


def test_a_job_of_several_files_goes_on_where_it_failed(snakemake):
    snakemake.output = Named(**{name: f"results/a/{name}.txt" for name in "abc"})
    with pytest.raises(SystemExit):
        several(snakemake, fail_at="c")
    # Snakemake would delete new outputs of a job that failed: none is in its place yet
    assert not os.path.exists("results/a/a.txt")
    assert several(snakemake) == ["c"]
    assert set(os.listdir("results/a")) == {
        "a.txt",
        "b.txt",
        "c.txt",
    }
    assert several(snakemake) == []
    os.unlink("results/a/b.txt")
    assert several(snakemake) == ["b"]
    snakemake.output = Named(**{name: f"results/a/{name}.txt" for name in "abcd"})
    assert several(snakemake) == ["d"]


def test_the_terminal_hears_of_progress_now_and_then_and_the_log_file_of_everything(
    snakemake, capsys, monkeypatch
):
    clock = iter([0.0, 10.0, 31.0, 31.0, 40.0, 62.0, 62.0])
    monkeypatch.setattr(jobs.time, "monotonic", lambda: next(clock))
    with job(snakemake):
        log = logging.getLogger("ood.training.loop")
        for number in range(4):
            log.info("step %d", number, extra={"progress": True})
        log.info("detail")
        log.info("resuming", extra={"shown": True})
        log.warning("look out")
        Path("results/a/model.pt").write_text("model")
    heard = [line.partition("] ")[2] for line in capsys.readouterr().err.splitlines()]
    assert heard == ["step 1", "step 3", "resuming", "look out"]
    written = Path(snakemake.log[0]).read_text()
    for text in ("step 0", "step 1", "step 2", "step 3", "detail", "resuming", "look out"):
        assert f" {text}\n" in written


def test_a_log_on_a_full_disk_is_named(snakemake, capsys, monkeypatch):
    def full(path, mode):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    monkeypatch.setattr(logging, "FileHandler", full)
    with pytest.raises(SystemExit), job(snakemake):
        pass
    text = capsys.readouterr().err
    assert "cannot write results/logs/job.log: No space left on device" in text
    assert "Traceback" not in text


def told(failures, name, level=logging.ERROR, message="", **more):
    record = {"msg": message, "levelno": level, "event": SimpleNamespace(name=name)} | more
    failures.emit(logging.makeLogRecord(record))


def test_a_failed_job_is_named_with_its_log_and_a_killed_one_with_what_to_do():
    failures = endings.Failures()
    log = ["results/logs/a.log"]
    told(failures, "JOB_ERROR", jobid=1, rule_name="train", log=log, indent=False)
    told(failures, "JOB_ERROR", jobid=2, rule_name="plot", log=[], indent=False)
    told(failures, None, message="died with <Signals.SIGKILL: 9>")
    lines = failures.lines()
    assert lines[:2] == ["failed: train, see results/logs/a.log", "failed: plot, see above"]
    assert lines[2].startswith("A job was killed. Memory may have run out")
    told(failures, "JOB_FINISHED", logging.INFO, job_id=1)
    assert failures.lines()[0] == "failed: plot, see above"


def test_of_a_group_the_job_that_failed_is_named(tmp_path):
    failures = endings.Failures()
    texts = {"score": "05:00 INFO scored", "evaluate": "05:01 ERROR no label 3", "plot": None}
    for number, (rule, text) in enumerate(texts.items()):
        log = tmp_path / f"{rule}.log"
        if text:
            log.write_text(text)
        told(failures, "JOB_ERROR", jobid=number, rule_name=rule, log=[str(log)], indent=True)
    assert failures.lines() == [f"failed: evaluate, see {tmp_path}/evaluate.log"]
