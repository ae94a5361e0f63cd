"""A method whose models build on each other, whose generator gives an OOD set, and its variants."""

import numpy as np
import pandas as pd
import pytest

from ood.files import load_json

# pictures that only a generator has
PICTURES = [
    f"results/plots/smoke/tiny/{name}.png"
    for name in ("interpolations/oodgen_vae", "trajectory/uniform")
]
TARGETS = [
    "results/tables/metrics.csv",
    "results/smoke/tiny/seed0/pseudo_ood/oodgen_classifier_latent_2/grid.png",
    *PICTURES,
]


@pytest.fixture(scope="module")
def generated(make_project, tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("generators") / "project")
    project.edit(
        "benchmarks/tiny.yaml",
        lambda b: b["ood"].update(
            generated=[{"name": "generated", "generated_by": "oodgen_classifier"}]
        ),
    )
    project.configure(
        methods=["oodgen", "oodgen_max"],
        reference="oodgen",
        variants={"oodgen": {"classifier.vae.latent": [2]}},
        protocols=["final", "oracle"],
    )
    project.run(*TARGETS)
    return project


def table(project):
    return pd.read_csv(project.path("results/tables/metrics.csv"))


def test_every_method_variant_and_protocol_has_its_rows(generated):
    rows = table(generated)
    assert set(rows["method"]) == {"oodgen", "oodgen_max", "oodgen_latent_2"}
    assert set(rows["ood_set"]) == {"unseen_digits", "uniform", "generated"}
    assert set(rows["protocol"]) == {"final", "oracle"}
    assert len(rows) == 3 * 3 * 2
    assert rows["auroc"].between(0, 1).all()
    oracle = rows[rows["protocol"] == "oracle"].set_index(["method", "ood_set"])["auroc"]
    final = rows[rows["protocol"] == "final"].set_index(["method", "ood_set"])["auroc"]
    assert (oracle >= final - 1e-12).all()
    assert "Nothing to be done" in generated.run(*TARGETS)


def test_the_generated_set_is_half_of_each_type(generated):
    made = "results/smoke/tiny/seed0/pseudo_ood/oodgen_classifier"
    folder = generated.path(made)
    manifest = load_json(folder / "test.json")
    assert manifest["images_per_label"] == {"0": 54, "1": 53}
    assert set(table(generated).query("ood_set == 'generated'")["n_ood"]) == {107}
    for name in ("type1", "type2"):
        with np.load(folder / f"{name}.npz") as file:
            assert file["images"].shape == (430, 8, 8, 1)
            assert file["images"].dtype == np.uint8
            assert set(file["labels"]) == {0, 1, 2}
    for name in ("grid", "latents"):
        generated.check_picture(f"{made}/{name}.png")
    for name in PICTURES:
        generated.check_picture(name)


def test_a_rejected_image_counts_as_an_error_only_where_rejection_is_asked(generated):
    folder = generated.path("results/smoke/tiny/seed0/scores")
    reject, maximum = (
        pd.read_parquet(folder / name / "uniform.parquet") for name in ("oodgen", "oodgen_max")
    )
    assert (maximum["prediction"] >= 0).all()
    accepted = reject["prediction"] >= 0
    assert (reject["prediction"] == maximum["prediction"])[accepted].all()
    # rejected: the extra class is the most probable one, so more probable than not for this score
    assert (reject["score"][reject["score"] > 0].index.isin(reject.index[~accepted])).all()


def test_variants_share_nothing_but_the_data(generated):
    models = generated.path("results/smoke/tiny/seed0/models")
    sizes = {path.parent.name: load_json(path) for path in models.glob("*/config.json")}
    assert set(sizes) == {
        "oodgen_vae",
        "oodgen_classifier",
        "oodgen_vae_latent_2",
        "oodgen_classifier_latent_2",
    }
    assert sizes["oodgen_vae_latent_2"]["parameters"] < sizes["oodgen_vae"]["parameters"]
    assert all(1 <= one["kept_epoch"] <= 2 for one in sizes.values())


def test_another_training_setting_leaves_vae_and_images_alone(generated, tmp_path):
    changed = generated.copy(tmp_path / "changed")

    def change(recipe):
        recipe["models"]["oodgen_classifier"]["reject_weight"] = 0.2

    changed.edit_recipe(change)
    planned = changed.planned()
    assert planned["train_oodgen_classifier"] == 2
    assert planned["score_oodgen_oodgen_classifier"] == 1
    assert planned["score_oodgen_oodgen_classifier_latent_2"] == 1
    assert not set(planned) & {"train_oodgen_cvae", "generate_oodgen"}


def test_another_latent_size_is_one_line(generated, tmp_path):
    changed = generated.copy(tmp_path / "changed")
    changed.configure(variants={"oodgen": {"classifier.vae.latent": [2, 3]}})
    planned = changed.planned()
    for rule in ("train_oodgen_cvae", "generate_oodgen", "train_oodgen_classifier"):
        assert planned[rule] == 1
    assert planned["evaluate"] == planned["evaluate_oracle"] == 1
