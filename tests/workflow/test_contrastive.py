"""CSI, and CMG on its labelled trunk: what is shared, what the tables say."""

import pandas as pd
import pytest

from ood.files import load_json

OWN = ["csi", "csi_similarity", "simclr", "csi_labeled"]
ON_THE_HEAD = ["csi_labeled_single", "csi_energy", "csi_cmg_softmax"]


@pytest.fixture(scope="module")
def contrasted(make_project, tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("csi") / "project")
    project.configure(methods=[*OWN, *ON_THE_HEAD], reference="csi_labeled_single")
    # without pictures
    project.run("results/tables/metrics.csv")
    return project


def test_each_encoder_is_trained_once_and_the_trunk_is_shared(contrasted):
    models = {path.name for path in contrasted.path("results/smoke/tiny/seed0/models").iterdir()}
    encoders = {"csi_encoder", "simclr_encoder", "csi_labeled_encoder"}
    assert models == encoders | {"csi_classifier", "csi_joint_classifier", "cvae"}
    history = contrasted.path("results/smoke/tiny/seed0/models/csi_encoder/history.csv")
    assert {"similarity", "shift", "shift_accuracy", "norm", "learning_rate"} <= set(
        pd.read_csv(history).columns
    )


def test_what_training_was_too_short_for_is_said_in_the_tables(contrasted):
    table = pd.read_csv(contrasted.path("results/tables/metrics.csv")).set_index("method")
    assert set(table.index) == {*OWN, *ON_THE_HEAD}
    known = load_json(contrasted.path("results/smoke/tiny/seed0/detectors/csi/detector.json"))
    assert len(known["mean_shift_logits"]) == 4
    dropped = min(known["mean_shift_logits"]) <= 0
    flags = table.loc["csi", "flags"].fillna("")
    assert flags.str.contains("no shift part").all() == dropped
    assert not table.loc["csi_similarity", "flags"].fillna("").str.contains("shift part").any()
    # what does not classify has no accuracy
    assert table.loc[["csi", "simclr"], "id_accuracy"].isna().all()
    assert table.loc[["csi_labeled", "csi_cmg_softmax"], "id_accuracy"].notna().all()


def test_another_shift_is_a_variant_with_an_encoder_of_its_own(contrasted, tmp_path):
    project = contrasted.copy(tmp_path / "variant")
    project.configure(variants={"csi": {"encoder.shift": ["cutperm"]}})
    planned = project.planned()
    assert planned["train_csi_encoder"] == 1
    assert planned["fit_csi"] == 1
    assert not {"train_csi_classifier", "train_cmg_cvae"} & set(planned)
