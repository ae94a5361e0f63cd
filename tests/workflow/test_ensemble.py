"""A method of several members, tuned on a validation OOD set, under all three protocols."""

import re

import pandas as pd
import pytest

from ood.files import load_json

SETS = ["unseen_digits", "uniform"]
TABLES = "results/tables/metrics.csv"


@pytest.fixture(scope="module")
def ensemble(make_project, tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("ensemble") / "project")
    project.edit(
        "benchmarks/tiny.yaml",
        lambda b: b.update(validation={"name": "flower", "dataset": "patches", "classes": [1]}),
    )

    def smaller(recipe):
        recipe["methods"]["leave_out"] |= {"temperatures": [1, 1000], "epsilons": [0, 0.01]}

    project.edit_recipe(smaller)
    project.configure(
        methods=["leave_out", "odin_single"],
        reference="odin_single",
        protocols=["final", "validation"],
    )
    project.run(
        TABLES, "results/plots/smoke/tiny/calibration/seed0/detectors/leave_out/calibration.png"
    )
    return project


def rows(project):
    table = pd.read_csv(project.path("results/tables/metrics.csv"))
    return table[table["method"] == "leave_out"].set_index("protocol")


def test_members_are_jobs_of_their_own_and_leave_out_every_class_once(ensemble):
    import torch

    left_out = []
    for group in range(3):
        folder = ensemble.path(f"results/smoke/tiny/seed0/models/leave_out_member_group_{group}")
        content = torch.load(folder / "model.pt", weights_only=True)
        left_out += sorted({0, 1, 2} - set(content["state"]["classes"].tolist()))
        states = torch.load(folder / "states.pt", weights_only=True)
        assert states["best"].keys() == content["state"].keys()
        epochs = len(pd.read_csv(folder / "history.csv"))
        assert 1 <= load_json(folder / "config.json")["best_epoch"] <= epochs
    assert sorted(left_out) == [0, 1, 2]


def test_the_best_pair_of_the_grid_becomes_the_detector(ensemble):
    folder = ensemble.path("results/smoke/tiny/seed0/detectors/leave_out")
    for chosen in ("", ".validation"):
        grid = pd.read_csv(folder / f"calibration{chosen}.csv")
        assert len(grid) == 4
        assert grid["auroc"].is_monotonic_decreasing
        config = load_json(folder / f"detector{chosen}.json")
        assert (config["temperature"], config["epsilon"]) == tuple(
            grid.loc[0, ["temperature", "epsilon"]]
        )
        assert config["record"]["tuned_on"] == "flower"


def test_both_protocols_have_rows_that_say_what_they_are_tuned_on(ensemble):
    table = rows(ensemble)
    assert sorted(table.index) == ["final"] * 2 + ["validation"] * 2
    assert set(table["tuned_on"]) == {"flower"}
    assert table["id_accuracy"].between(0.2, 1).all()
    single = pd.read_csv(ensemble.path("results/tables/metrics.csv")).query(
        "method == 'odin_single'"
    )
    assert set(single["protocol"]) == {"final"}


def test_the_oracle_protocol_chooses_from_the_grid_and_trains_nothing(ensemble, tmp_path):
    changed = ensemble.copy(tmp_path / "changed")
    before = rows(changed)
    changed.configure(protocols=["final", "validation", "oracle"])
    assert not {name for name in changed.planned() if name.startswith(("train", "cali", "fit"))}
    changed.run(TABLES, *(f"results/plots/smoke/tiny/temperatures/leave_out/{s}.png" for s in SETS))
    table = rows(changed)
    others = table.loc[["final", "validation"]].drop(columns="snapshot")
    pd.testing.assert_frame_equal(
        others, before.drop(columns="snapshot").loc[["final", "validation"]]
    )
    oracle, final = (table.loc[name].set_index("ood_set") for name in ("oracle", "final"))
    assert set(oracle["tuned_on"]) == {"OOD test set"}
    assert oracle["snapshot"].str.fullmatch(r"temperature_\d+_epsilon_[\d.]+").all()
    assert (oracle["auroc"] >= final["auroc"]).all()
    for name in SETS:
        changed.check_picture(f"results/plots/smoke/tiny/temperatures/leave_out/{name}.png")


def test_another_temperature_calibrates_again_and_trains_nothing(ensemble, tmp_path):
    changed = ensemble.copy(tmp_path / "changed")
    changed.edit_recipe(
        lambda r: r["methods"]["leave_out"]["temperatures"].append(10),
    )
    planned = changed.planned()
    assert planned["calibrate_leave_out"] == 2
    assert planned["train_leave_out_member"] == planned["fit_baseline"] == 0
    assert planned["evaluate"] == planned["evaluate_validation"] == 1


def test_what_decides_by_content_has_a_small_file_beside_it(ensemble):
    """A large input is `ancient`: without a digest or manifest its change would not be seen."""
    shown = ensemble.run("--dry-run", "--forceall", "--quiet", "host")
    inputs = {
        path for line in re.findall(r"^    input: (.*)", shown, re.M) for path in line.split(", ")
    }
    large = {path for path in inputs if path.endswith((".npz", ".pt"))}
    assert large
    for path in large:
        manifest = path.removesuffix(".npz") + ".json"
        assert {f"{path}.sha256", manifest} & inputs, path
