"""Whole runs: at smoke scale on real image sets, which needs a mirror; the default one.

Run with ``OOD_MIRROR=<folder> pytest -m slow tests/workflow``.
"""

import os
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
MIRROR = os.environ.get("OOD_MIRROR")
CMG = ["msp", "cmg_softmax", "cmg_energy"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("benchmark", "methods", "stand_ins", "exclude", "n_id", "chance"),
    [
        ("mnist_partition1", CMG, {}, [], 6_031, 1 / 6),
        (
            "mnist",
            [*CMG, "leave_out", "vmdls", "vmdls_sphere"],
            {"notmnist": "notmnist_sample", "omniglot": "omniglot_small"},
            ["emnist"],
            10_000,
            1 / 10,
        ),
        ("cifar10_class3", ["csi", "simclr"], {"cifar10": "cifar10_jpeg"}, [], 1_000, 1),
        ("cifar10_partition5", CMG, {"cifar10": "cifar10_jpeg"}, [], 6_000, 1 / 6),
        (
            "cifar10",
            [
                *CMG,
                "leave_out",
                "leave_out_wide",
                "leave_out_toy",
                "vmdls",
                "vmdls_vgg",
                "vmdls_tuned",
                "vmdls_wide",
                "vmdls_wide_unweighted",
                "csi",
                "csi_labeled",
                "csi_cmg_energy",
            ],
            {
                "cifar10": "cifar10_jpeg",
                "tiny_imagenet_resize": "tiny_imagenet_test",
                "tiny_imagenet_crop": "tiny_imagenet_test_cropped",
                "isun": "tiny_imagenet_test_validation",
            },
            ["cifar100", "imagenet_fix", "svhn", "lsun_crop", "lsun_resize", "lsun_fix"],
            10_000,
            1 / 10,
        ),
    ],
)
def test_a_benchmark_from_download_to_tables(
    fresh, benchmark, methods, stand_ins, exclude, n_id, chance
):
    assert MIRROR, "set OOD_MIRROR to a folder that holds <dataset>/<file>"
    fresh.configure(
        benchmarks=[benchmark],
        methods=methods,
        mirrors=[os.path.abspath(MIRROR)],
        stand_ins=stand_ins,
        exclude=exclude,
    )
    fresh.run()
    table = pd.read_csv(fresh.path("results/tables/metrics.csv"))
    assert set(table["n_id"]) == {n_id}
    # one epoch of a tiny ensemble or latent space may have learned next to nothing
    learned = table[table["method"].isin(CMG)]
    assert (learned["id_accuracy"] > 2 * chance).all()
    assert table["auroc"].between(0, 1).all()
    for stand_in in set(stand_ins.values()) & set(table["ood_dataset"]):
        rows = table[table["ood_dataset"] == stand_in]
        assert rows["flags"].str.contains("stand-in for").all()
    assert "Nothing to be done" in fresh.run()


@pytest.mark.slow
def test_the_default_run_is_healthy(fresh):
    """What `make` runs: no model of it raises a flag."""
    (fresh.path("config.yaml")).write_text((ROOT / "config.yaml").read_text())
    fresh.run("results/tables/health.csv")
    health = pd.read_csv(fresh.path("results/tables/health.csv"))
    assert health["model"].nunique() >= 20
    assert health["flags"].isna().all()
    metrics = pd.read_csv(fresh.path("results/tables/metrics.csv"))
    assert not metrics["flags"].fillna("").str.contains(": ").any()
