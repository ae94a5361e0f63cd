"""A method that chooses a model from a grid on a validation OOD set."""

import pandas as pd
import pytest

from ood.files import load_json

PICTURES = [
    "results/plots/smoke/tiny/samples/foreground",
    "results/plots/smoke/tiny/samples/background_mutation_rate_0_3_l2_0",
    "results/plots/smoke/tiny/pixel_maps/likelihood_ratio/uniform",
]


@pytest.fixture(scope="module")
def selected(make_project, tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("validation") / "project")
    project.edit(
        "benchmarks/tiny.yaml",
        lambda b: b.update(
            validation={"name": "flower", "dataset": "patches", "classes": [1]},
            ood={"far": ["patches", "uniform"]},
        ),
    )
    project.configure(methods=["likelihood", "likelihood_ratio"], reference="likelihood")
    project.run("results/tables/metrics.csv", *(f"{name}.png" for name in PICTURES))
    return project


def test_the_best_background_model_becomes_the_detector(selected):
    folder = selected.path("results/smoke/tiny/seed0/detectors/likelihood_ratio")
    table = pd.read_csv(folder / "selection.csv")
    assert sorted(table["mutation_rate"]) == [0.1, 0.3]
    assert table["auroc"].is_monotonic_decreasing
    assert set(table["n_ood"]) == {500}
    import torch

    content = torch.load(folder / "detector.pt", weights_only=True)
    best = content["background"]["settings"]["mutation_rate"]
    assert best == table["mutation_rate"].iloc[0]
    assert content["foreground"]["settings"]["mutation_rate"] == 0
    assert load_json(folder / "detector.json")["record"]["tuned_on"] == "flower"


def test_tables_tell_what_was_tuned_on_what(selected):
    rows = pd.read_csv(selected.path("results/tables/metrics.csv")).set_index(["method", "ood_set"])
    assert rows.loc["likelihood_ratio", "tuned_on"].unique() == ["flower"]
    assert rows.loc["likelihood", "tuned_on"].unique() == ["nothing"]
    flags = rows["flags"].fillna("")
    assert "tuned on this set" in flags["likelihood_ratio", "patches"]
    assert "tuned on this set" not in flags["likelihood_ratio", "uniform"]
    assert "tuned on this set" not in flags["likelihood", "patches"]
    assert rows["id_accuracy"].isna().all()


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(selected, name):
    selected.check_picture(f"{name}.png")


def test_one_more_grid_point_trains_one_model(selected, tmp_path):
    changed = selected.copy(tmp_path / "changed")
    changed.edit_recipe(
        lambda r: r["models"]["background"]["grid"]["mutation_rate"]["smoke"].append(0.2),
    )
    planned = changed.planned()
    assert planned["train_pixelcnn"] == 1
    assert planned["fit_likelihood_ratio"] == planned["score_likelihood_ratio_foreground"] == 1
    assert planned["evaluate"] == 2
