"""Ctrl-C and SIGTERM, to Snakemake and to a job: a checkpoint, a word, no orphan."""

import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

CHECKPOINT = "results/smoke/tiny/seed0/models/classifier/checkpoint.pt"
LOG = "results/logs/smoke/tiny/seed0/models/classifier.log"
MODEL = "results/smoke/tiny/seed0/models/classifier/model.pt"


def start(project, target):
    """A run in a session of its own, once its training has begun."""
    running = subprocess.Popen(
        project.command(target, "--quiet", "host"),
        cwd=project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    log = project.path(LOG)
    limit = time.monotonic() + 90
    while not (log.exists() and re.search(r"epoch \d+ of", log.read_text())):
        assert running.poll() is None, running.stdout.read()
        assert time.monotonic() < limit
        time.sleep(0.05)
    return running


@pytest.mark.parametrize(
    ("number", "whom"),
    [
        (signal.SIGTERM, "snakemake"),
        pytest.param(signal.SIGINT, "terminal", marks=pytest.mark.faults),
        pytest.param(signal.SIGTERM, "job", marks=pytest.mark.faults),
    ],
)
def test_a_training_that_is_stopped_saves_says_so_and_goes_on(fresh, number, whom):
    fresh.edit_recipe(lambda recipe: recipe["models"]["classifier"].update(epochs=3000))
    running = start(fresh, MODEL)
    jobs = [
        one
        for one in psutil.Process(running.pid).children(recursive=True)
        if any("/.snakemake/scripts/" in part for part in one.cmdline()[:2])
    ]
    assert jobs
    begun = time.monotonic()
    if whom == "terminal":
        os.killpg(running.pid, number)
    else:
        (jobs[-1] if whom == "job" else psutil.Process(running.pid)).send_signal(number)
    text = running.communicate(timeout=60)[0]
    assert time.monotonic() - begun < 20
    assert "interrupted; run again to continue" in text
    assert "Traceback" not in text
    assert not [one for one in jobs if one.is_running()]
    assert fresh.path(CHECKPOINT).exists()
    fresh.path(LOG).unlink()
    again = start(fresh, MODEL)
    again.terminate()
    again.communicate(timeout=60)
    resumed = re.search(r"resuming after epoch (\d+) and (\d+) st", fresh.path(LOG).read_text())
    assert int(resumed[1]) + int(resumed[2]) > 0


def test_make_takes_the_lock_of_a_dead_run_away_and_not_that_of_a_living_one(fresh):
    fresh.edit_recipe(lambda recipe: recipe["models"]["classifier"].update(epochs=3000))
    running = start(fresh, MODEL)
    script = [sys.executable, str(fresh.path("workflow_scripts/support/unlock.py"))]
    locks = fresh.path(".snakemake/locks")
    subprocess.run(script, cwd=fresh.folder, check=True)
    assert list(locks.iterdir())
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    left = fresh.path("results/smoke/.tmp-half.json")
    left.write_text("{")
    subprocess.run(script, cwd=fresh.folder, check=True)
    assert not locks.exists()
    assert not left.exists()
