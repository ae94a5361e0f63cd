"""A few seconds of a machine at a time: packed, unpacked elsewhere, the same bytes in the end."""

import json
import subprocess
import sys
import time

import pytest

BOX = "workflow_scripts/support/timebox.py"
SCORES = "results/smoke/tiny/seed0/scores/*/*.parquet"
MODELS = "results/smoke/tiny/seed0/models/*/model.pt"


def boxed(project, *arguments, check=True):
    done = subprocess.run(
        [sys.executable, BOX, *map(str, arguments)],
        cwd=project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert (done.returncode == 0) == check, done.stdout[-3000:]
    return done.stdout


def longer(project):
    """A training that lasts longer than a box."""
    project.configure(methods=["msp", "cmg_energy"], reference="msp")
    project.edit_recipe(
        lambda recipe: recipe["models"]["classifier"].update(
            epochs={"smoke": 1000, "quick": 1, "paper": 1}
        )
    )


@pytest.mark.slow
def test_boxes_end_in_the_bytes_of_one_run(make_project, tmp_path):
    whole = make_project(tmp_path / "whole")
    longer(whole)
    begun = time.monotonic()
    whole.run("results/tables/metrics.csv")
    # a part of each goes into starting
    minutes = 0.6 * (time.monotonic() - begun) / 60
    packed, resumed = tmp_path / "packed", 0
    for number in range(12):
        project = make_project(tmp_path / f"box{number}")
        longer(project)
        if number:
            boxed(project, "unpack", packed)
        target = "results/tables/metrics.csv"
        run = ["run", "--minutes", minutes, "--megabytes", 0.05, packed, target, "--cores", 2]
        text = boxed(project, *run)
        resumed += "resuming after epoch" in text
        assert max(path.stat().st_size for path in packed.glob("part*")) <= 50_000
        if "minutes are over" not in text:
            break
    assert number
    assert resumed
    for pattern in (SCORES, MODELS):
        expected = {name: one[0] for name, one in whole.contents(pattern).items()}
        assert expected
        assert {name: one[0] for name, one in project.contents(pattern).items()} == expected


def test_what_is_packed_is_unpacked_and_a_damaged_part_is_not(fresh):
    kept = fresh.path("results/smoke/tiny/seed0/models/a")
    kept.mkdir(parents=True)
    content = bytes(range(256)) * 500
    (kept / "checkpoint.pt").write_bytes(content)
    fresh.path("results/tables").mkdir()
    fresh.path("results/tables/metrics.csv").write_text("left out")
    boxed(fresh, "run", "--minutes", 1, "--megabytes", 0.05, "packed", "--version")
    digests = json.loads(fresh.path("packed/parts.json").read_text())
    assert len(digests) == 3
    (kept / "checkpoint.pt").write_bytes(b"other")
    fresh.path("results/tables/metrics.csv").unlink()
    boxed(fresh, "unpack", "packed")
    assert (kept / "checkpoint.pt").read_bytes() == content
    assert not fresh.path("results/tables/metrics.csv").exists()
    (kept / "checkpoint.pt").write_bytes(b"other")
    part = fresh.path("packed/part0001")
    part.write_bytes(part.read_bytes()[:-1] + b"!")
    assert "part0001: missing, or not what was packed" in boxed(
        fresh, "unpack", "packed", check=False
    )
    assert (kept / "checkpoint.pt").read_bytes() == b"other"
    assert "no parts.json" in boxed(fresh, "unpack", "results", check=False)
    mine = fresh.path("mine")
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    text = boxed(fresh, "run", "--minutes", 1, "mine", "--version", check=False)
    assert "holds other files" in text
    assert (mine / "letter.txt").exists()
