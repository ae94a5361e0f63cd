"""What the Slurm profile would submit, without a Slurm."""

import re
import shutil
import subprocess
import sys

import pytest
from workflow.conftest import ROOT


def planned(project, *arguments: str) -> str:
    """The jobs that would be submitted, each with its resources."""
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", "--dry-run"]
    done = subprocess.run(
        [*command, "--quiet", "host", *arguments],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def test_the_default_is_at_most_forty_submissions(fresh):
    """With each training in one of its own."""
    shutil.copy2(ROOT / "config.yaml", fresh.folder)
    text = planned(fresh)
    groups = re.findall(r"Group job (\w+)", text)
    alone = [rule for rule in re.findall(r"\nrule (\w+):", text) if rule not in ("all", "tables")]
    trainings = re.findall(r"\n *rule ((?:train|fine_tune)_\w+):", text)
    assert len(groups) + len(alone) <= 40
    assert len(trainings) == len(alone) + groups.count("fine_tune")
    assert set(groups) >= {"images", "score", "generate", "compare", "draw", "plots", "fine_tune"}


@pytest.mark.parametrize(("device", "gpus"), [("cpu", "0"), ("cuda", "1"), ("auto", "0")])
def test_nets_ask_for_a_gpu_by_device_and_nothing_else_does(fresh, device, gpus):
    text = planned(fresh, "--config", f"device={device}")
    found = re.findall(r"rule (\w+):.*?resources: ([^\n]*)", text, re.S)
    assert found
    for rule, resources in found:
        heavy = re.match("train|fine_tune|fit|calibrate|generate_cmg|score", rule)
        assert (f"gpu={gpus}" in resources) == bool(heavy), (rule, resources)
        memory, minutes = (
            int(re.search(rf"{one}=(\d+)", resources)[1]) for one in ("mem_mb", "runtime")
        )
        assert memory <= 2000
        assert minutes <= 10


def test_another_folder_takes_the_results_and_may_have_a_config(fresh, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    target = "data/prepared/8x8x1/uniform/test.npz"
    fresh.run(target, "--directory", str(elsewhere))
    assert (elsewhere / target).exists()
    assert not fresh.path("data").exists()
    (elsewhere / "config.yaml").write_text("seeds: [0]\n")
    text = fresh.run(target, "--directory", str(elsewhere), check=False)
    assert "config.yaml: " in text
    assert "benchmarks" in text
