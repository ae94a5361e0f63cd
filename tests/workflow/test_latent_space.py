"""A method without pseudo-OOD and without tuning: Gaussians in a latent space, and what every
method that classifies gets."""

import pandas as pd
import pytest

from ood.files import load_json

PICTURES = [
    "results/plots/smoke/tiny/vmdls_latents/vmdls.png",
    "results/plots/smoke/tiny/vmdls_latents/tuned.png",
    "results/plots/smoke/tiny/reconstructions/vmdls_autoencoder.png",
    "results/plots/smoke/tiny/curves/seed0/models/vmdls_encoder.png",
]
F1 = [f"results/plots/smoke/tiny/f1/{name}.png" for name in ("unseen_digits", "uniform", "noisy")]


@pytest.fixture(scope="module")
def latent(make_project, tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("latent") / "project")
    project.edit(
        "benchmarks/tiny.yaml",
        lambda b: b["ood"].update(far=["uniform", {"name": "noisy", "dataset": "noisy_id"}]),
    )

    def tuned(recipe):
        encoder = recipe["models"]["vmdls_encoder"]
        recipe["models"]["tuned_encoder"] = encoder | {
            "backbone": "backbone_classifier",
            "frozen_epochs": 1,
            "frozen_learning_rate": 0.01,
        }
        recipe["methods"]["tuned"] = recipe["methods"]["vmdls_unweighted"] | {
            "encoder": "tuned_encoder"
        }

    project.edit_recipe(tuned)
    # t-SNE of fewer points
    source = project.path("workflow_scripts/plots/vmdls_latents.py")
    source.write_text(source.read_text().replace("SHOWN = 800", "SHOWN = 100"))
    project.configure(
        methods=["vmdls", "vmdls_unweighted", "tuned", "msp_backbone", "brightness"],
        reference="msp_backbone",
    )
    project.run("results/tables/metrics.csv", *F1, *PICTURES)
    return project


def test_an_encoder_is_trained_once_for_both_weightings(latent):
    models = {path.name for path in latent.path("results/smoke/tiny/seed0/models").iterdir()}
    assert models == {"vmdls_encoder", "tuned_encoder", "vmdls_autoencoder", "backbone_classifier"}
    assert not list(latent.path("results").rglob("checkpoint*.pt"))
    config = load_json(latent.path("results/smoke/tiny/seed0/detectors/vmdls/detector.json"))
    assert config["added_to_variances"] > 0
    assert config["record"]["tuned_on"] == "nothing"


def test_methods_that_classify_have_open_set_metrics(latent):
    table = pd.read_csv(latent.path("results/tables/metrics.csv")).set_index("method")
    columns = ["f1", "f1_original", "f1_best", "cauroc", "aurc", "augrc"]
    assert table.loc["brightness", columns].isna().all().all()
    rest = table.drop("brightness")
    assert ((rest[columns] >= 0) & (rest[columns] <= 1)).all().all()
    assert (rest["f1_best"] >= rest["f1_original"]).all()
    summary = pd.read_csv(latent.path("results/tables/summary.csv"))
    assert "f1_mean" in summary


@pytest.mark.parametrize("ood", ["unseen_digits", "uniform", "noisy"])
def test_f1_over_thresholds_is_a_table_and_a_picture(latent, ood):
    table = pd.read_csv(latent.path(f"results/plots/smoke/tiny/f1/{ood}.csv"))
    assert set(table["method"]) == {"vmdls", "vmdls_unweighted", "tuned", "msp_backbone"}
    for _, rows in table.groupby("method"):
        assert rows["threshold"].is_monotonic_increasing
        assert rows["id_accepted"].iloc[-1] == 1
    latent.check_picture(f"results/plots/smoke/tiny/f1/{ood}.png", side=300)


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(latent, name):
    latent.check_picture(name)


def test_another_jitter_fits_again_and_trains_nothing(latent, tmp_path):
    changed = latent.copy(tmp_path / "changed")
    changed.edit_recipe(
        lambda r: r["methods"]["vmdls"].update(jitter=1.0e-5),
    )
    planned = changed.planned()
    assert planned["fit_gaussians"] == 1
    assert not {name for name in planned if name.startswith("train")}
    # the unweighted one is scored in the same job, and its files are up to date
    assert planned["evaluate"] == 2
