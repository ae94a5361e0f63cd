"""Whole runs at smoke scale on real image sets; needs a mirror.

Run with ``OOD_MIRROR=<folder> pytest -m slow tests/workflow``.
"""

import os

import pandas as pd
import pytest

MIRROR = os.environ.get("OOD_MIRROR")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("benchmark", "stand_ins", "exclude", "n_id", "chance"),
    [
        ("mnist_partition1", {}, [], 6_031, 1 / 6),
        (
            "mnist",
            {"notmnist": "notmnist_sample", "omniglot": "omniglot_small"},
            ["emnist"],
            10_000,
            1 / 10,
        ),
        ("cifar10_partition5", {"cifar10": "cifar10_jpeg"}, [], 6_000, 1 / 6),
        (
            "cifar10",
            {"cifar10": "cifar10_jpeg", "tiny_imagenet_resize": "tiny_imagenet_test"},
            ["cifar100", "imagenet_fix", "svhn", "lsun_resize", "lsun_fix"],
            10_000,
            1 / 10,
        ),
    ],
)
def test_a_benchmark_from_download_to_tables(fresh, benchmark, stand_ins, exclude, n_id, chance):
    assert MIRROR, "set OOD_MIRROR to a folder that holds <dataset>/<file>"
    fresh.configure(
        benchmarks=[benchmark],
        methods=["msp", "cmg_softmax", "cmg_energy"],
        mirrors=[os.path.abspath(MIRROR)],
        stand_ins=stand_ins,
        exclude=exclude,
    )
    fresh.run()
    table = pd.read_csv(fresh.path("results/tables/metrics.csv"))
    assert set(table["n_id"]) == {n_id}
    assert (table["id_accuracy"] > 2 * chance).all()
    assert table["auroc"].between(0, 1).all()
    for stand_in in set(stand_ins.values()) & set(table["ood_dataset"]):
        rows = table[table["ood_dataset"] == stand_in]
        assert rows["flags"].str.contains("stand-in for").all()
    assert "Nothing to be done" in fresh.run()
