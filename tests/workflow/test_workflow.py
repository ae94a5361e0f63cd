"""The Snakefile: what parsing costs, the profile, standalone parts."""

import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from ood.files import load_json


def test_parsing_imports_nothing_heavy(fresh):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "snakemake", "--dry-run", "--quiet"],
        cwd=fresh.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "ood.config" in imported
    assert not imported & {"torch", "torchvision", "pandas", "matplotlib", "sklearn"}


def test_the_profile_goes_by_content(fresh):
    profile = yaml.safe_load(fresh.path("profiles/default/config.yaml").read_text())
    assert profile["rerun-triggers"] == ["mtime", "params", "input", "software-env"]
    assert profile["rerun-incomplete"] is True


def test_score_files_hold_the_contract(finished):
    for method, classifies in (("msp", True), ("brightness", False), ("cmg_energy", True)):
        path = finished.path(f"results/smoke/tiny/seed0/scores/{method}/digits.parquet")
        table = pq.read_table(path)
        assert table.column_names == ["index", "label", "prediction", "score"]
        assert [str(kind) for kind in table.schema.types] == ["int64"] * 3 + ["double"]
        assert table["index"].to_pylist() == list(range(360))
        assert set(table["label"].to_pylist()) == set(range(10))
        predictions = set(table["prediction"].to_pylist())
        assert predictions <= {0, 1, 2} if classifies else predictions == {-1}


def test_metrics_carry_their_lineage(finished):
    row = load_json(finished.path("results/smoke/tiny/seed0/metrics/cmg_energy/uniform.json"))
    assert row["n_id"] == 107
    assert row["n_ood"] == 10_000
    assert row["seed"] == 0
    assert {"params", "inputs", "versions", "git_revision", "seed"} <= set(row["lineage"])
    assert row["lineage"]["versions"]["torch"]
    detector = load_json(
        finished.path("results/smoke/tiny/seed0/detectors/cmg_energy/detector.json")
    )
    settings = detector["lineage"]["params"]["settings"]
    assert settings["sigma"] == 3
    assert detector["record"]["year"] == 2022


def test_pseudo_ood_samples_are_an_image_set(finished):
    folder = finished.path("results/smoke/tiny/seed0/pseudo_ood/cmg_energy")
    with np.load(folder / "samples.npz") as file:
        assert file["images"].shape == (512, 8, 8, 1)
        assert file["images"].dtype == np.uint8
        assert file["labels"].max() < 9
    assert (folder / "grid.png").stat().st_size > 1000


@pytest.mark.parametrize(
    "name", ["roc/uniform", "histograms/msp", "heatmap/heatmap", "image_sets/image_sets"]
)
def test_plots_are_pictures(finished, name):
    from PIL import Image

    with Image.open(finished.path(f"results/plots/smoke/tiny/{name}.png")) as picture:
        assert min(picture.size) > 200
        assert len(picture.convert("L").getcolors()) > 5
