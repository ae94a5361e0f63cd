"""The shipped profile on a Slurm that is there. Run with `-m slurm`; CONTRIBUTING says how to have
one on a single node."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from workflow.conftest import Project, new_project

pytestmark = pytest.mark.slurm
RUN = "results/smoke/tiny/seed0"
MODEL = f"{RUN}/models/classifier/model.pt"
CHECKPOINT = f"{RUN}/models/classifier/checkpoint.pt"
METRICS = "results/tables/metrics.csv"
# the lines that were sent, one after the other
SBATCH = """\
#!/bin/sh
echo "$@" >> {sent}
exec {sbatch} "$@"
"""


@pytest.fixture(autouse=True, scope="module")
def slurm() -> None:
    """Who asks for these tests by their marker wants them run, not passed over."""
    if not shutil.which("sbatch"):
        pytest.fail("no sbatch here: CONTRIBUTING, 'A Slurm on one node', sets a Slurm up")


@pytest.fixture
def sent(tmp_path, monkeypatch) -> Path:
    """A file with the arguments of every `sbatch`."""
    folder, lines = tmp_path / "bin", tmp_path / "sent.txt"
    folder.mkdir()
    script = folder / "sbatch"
    script.write_text(SBATCH.format(sent=lines, sbatch=shutil.which("sbatch")))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return lines


def submitted(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", *arguments]


def run(project: Project, *arguments: str) -> str:
    done = subprocess.run(
        submitted(*arguments), cwd=project.folder, capture_output=True, text=True, check=False
    )
    text = done.stdout + done.stderr
    assert done.returncode == 0, text[-5000:]
    return text


def waiting() -> list[str]:
    listed = subprocess.run(
        ["squeue", "-h", "-o", "%i"], capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


def slow(project: Project, epochs: int) -> None:
    project.edit_recipe(lambda recipe: recipe["models"]["classifier"].update(epochs=epochs))


def started(project: Project) -> tuple[subprocess.Popen, Path]:
    """A run whose training of the classifier has begun, and that job's log."""
    running = subprocess.Popen(
        submitted(MODEL),
        cwd=project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    log = project.path("results/logs/smoke/tiny/seed0/models/classifier.log")
    limit = time.monotonic() + 180
    while not (log.exists() and re.search(r"epoch \d+ of", log.read_text())):
        assert running.poll() is None, running.stdout.read()
        assert time.monotonic() < limit
        time.sleep(0.2)
    return running, log


def gone(seconds: float) -> bool:
    limit = time.monotonic() + seconds
    while waiting() and time.monotonic() < limit:
        time.sleep(0.5)
    return not waiting()


def test_tables_are_those_of_a_local_run_in_few_submissions(tmp_path, sent):
    local, cluster = new_project(tmp_path / "local"), new_project(tmp_path / "cluster")
    local.run()
    run(cluster)
    lines = sent.read_text().splitlines()
    assert (cluster.path(METRICS)).read_bytes() == (local.path(METRICS)).read_bytes()
    scores = f"{RUN}/scores/**/*.parquet"
    found, wanted = cluster.contents(scores), local.contents(scores)
    assert {name: one[0] for name, one in found.items()} == {n: w[0] for n, w in wanted.items()}
    # images, two trainings, CMG's fine-tuning, its images, scores, comparison, plots
    assert len(lines) == 8
    for line in lines:
        assert re.search(r" -t \d+ --mem \d+ --ntasks=1 --cpus-per-task=[12]\b", line)
        assert "--gpus" not in line


def test_a_cancelled_training_goes_on_and_ends_with_the_same_bytes(tmp_path):
    local, cluster = new_project(tmp_path / "local"), new_project(tmp_path / "cluster")
    for project in (local, cluster):
        slow(project, 400)
    local.run(MODEL)
    running, log = started(cluster)
    subprocess.run(["scancel", *waiting()], check=True)
    text = running.communicate(timeout=300)[0]
    assert running.returncode == 0, text[-3000:]
    assert "resuming after epoch" in log.read_text()
    assert cluster.path(MODEL).read_bytes() == local.path(MODEL).read_bytes()


def test_a_training_that_runs_out_of_time_goes_on(tmp_path):
    project = new_project(tmp_path / "cluster")
    # minutes on any machine, and done in the attempts that follow
    slow(project, 4000)
    text = run(
        project, MODEL, "--set-resources", "train_classifier:runtime=1", "--restart-times", "8"
    )
    assert "Trying to restart job" in text
    log = project.path("results/logs/smoke/tiny/seed0/models/classifier.log").read_text()
    assert "resuming after epoch" in log


def test_ctrl_c_leaves_no_job_behind(tmp_path):
    project = new_project(tmp_path / "cluster")
    slow(project, 100_000)
    running, _ = started(project)
    os.killpg(running.pid, signal.SIGINT)
    running.communicate(timeout=60)
    assert gone(30)
    assert project.path(CHECKPOINT).exists()


@pytest.mark.parametrize(("device", "asked"), [("cpu", False), ("cuda", True), ("auto", False)])
def test_a_gpu_is_asked_for_by_device_not_by_what_the_login_node_has(tmp_path, sent, device, asked):
    project = new_project(tmp_path / "project")
    project.run("data/prepared/8x8x1/digits/train.npz")
    # lines are looked at, nothing runs: this node may have no GPU
    script = tmp_path / "bin" / "sbatch"
    script.write_text(f'#!/bin/sh\necho "$@" >> {sent}\nexit 1\n')
    project.configure(device=device)
    subprocess.run(submitted(), cwd=project.folder, capture_output=True, check=False)
    lines = sent.read_text().splitlines()
    train = [line for line in lines if "rule_train" in line]
    assert train
    for line in lines:
        assert ("--gpus=1" in line) == (asked and line in train)
