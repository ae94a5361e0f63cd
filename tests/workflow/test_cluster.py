"""What the Slurm profile would submit, without its plugin: the plan with the profile's groups and
requests."""

import re
import shutil

import pytest
import yaml
from workflow.conftest import ROOT


def planned(project, *arguments: str) -> str:
    """The submissions that a run would make, each job with its resources."""
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    flags = []
    for name in ("group-components", "default-resources"):
        flags += [f"--{name}", *(f"{key}={value}" for key, value in profile[name].items())]
    return project.run("--dry-run", "--quiet", "host", *flags, *arguments)


def test_the_default_is_at_most_forty_submissions(fresh):
    """With each training in one of its own."""
    shutil.copy2(ROOT / "config.yaml", fresh.folder)
    text = planned(fresh)
    groups = re.findall(r"Group job (\w+)", text)
    alone = [rule for rule in re.findall(r"\nrule (\w+):", text) if rule not in ("all", "tables")]
    trainings = re.findall(r"\n *rule ((?:train|fine_tune)_\w+):", text)
    assert 20 < len(groups) + len(alone) <= 40
    assert len(trainings) == len(alone) + groups.count("fine_tune")
    assert set(groups) == {"images", "score", "generate", "compare", "draw", "plots", "fine_tune"}


# where the jobs run here, auto is what is here; on a cluster it is 0, see tests/slurm
HERE = "1" if shutil.which("nvidia-smi") else "0"


@pytest.mark.parametrize(("device", "gpus"), [("cpu", "0"), ("cuda", "1"), ("auto", HERE)])
def test_nets_ask_for_a_gpu_by_device_and_nothing_else_does(fresh, device, gpus):
    text = planned(fresh, "--config", f"device={device}", "scale=quick")
    found = dict(re.findall(r"rule (\w+):.*?resources: ([^\n]*)", text, re.S))
    asked = {}
    for rule, resources in found.items():
        heavy = re.match("train|fine_tune|fit|calibrate|generate_cmg|score", rule)
        assert (f"gpu={gpus}" in resources) == bool(heavy), (rule, resources)
        asked[rule] = tuple(
            int(re.search(rf"{one}=(\d+)", resources)[1]) for one in ("mem_mb", "runtime")
        )
    light = asked["evaluate_tiny"]
    assert asked["train_classifier"] > asked["score_tiny_cmg_energy"] > light
    assert asked["tables"] == light
    assert all(one == light for rule, one in asked.items() if rule.startswith("plot"))


def test_smoke_asks_for_little(fresh):
    asked = re.findall(r"resources: ([^\n]*)", planned(fresh))
    assert len(asked) > 10
    for resources in asked:
        assert int(re.search(r"mem_mb=(\d+)", resources)[1]) <= 2000
        assert int(re.search(r"runtime=(\d+)", resources)[1]) <= 10


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
