"""A user's own images through the whole workflow."""

import json

import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

BENCHMARK = """\
title: Mine
shape: [8, 8, 1]
id: {folder: known, test_share: 0.3}
ood:
  near: [{name: mine, folder: pictures}]
recipe: digits
"""


# what is made of the user's own images alone
MADE = [
    f"results/{path}.{suffix}"
    for method in ("msp", "brightness")
    for path, suffix in (
        (f"smoke/own/seed0/ranked/{method}/mine", "csv"),
        (f"plots/smoke/own/extremes/mine/{method}", "png"),
    )
]
METRICS = "results/smoke/own/seed0/metrics/msp/mine.json"


@pytest.fixture(scope="module")
def scored(make_project, tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("own") / "project")
    digits = load_digits()
    pairs = zip(digits.images[:400], map(int, digits.target), strict=False)
    for number, (image, digit) in enumerate(pairs):
        part = f"known/digit{digit}" if digit < 3 else "pictures/sub" * (digit == 3)
        if part:
            project.path(part).mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray((image * 15.9).astype("uint8")).resize((24, 24))
            picture.convert("RGB").save(project.path(part, f"picture {number}.jpg"))
    project.path("pictures/broken.png").write_text("no picture")
    project.path("benchmarks/own.yaml").write_text(BENCHMARK)
    project.configure(benchmarks=["own"], methods=["msp", "brightness"])
    return project, project.run(*MADE, METRICS)


def test_files_are_ranked_by_name(scored):
    project, text = scored
    assert "1 of" in text
    assert "broken.png: cannot identify" in text
    flags = json.loads(project.path(METRICS).read_text())["flags"]
    assert "OOD set lacks 1 unreadable picture" in flags
    files = {path.name for path in project.path("pictures/sub").iterdir()}
    for method in ("msp", "brightness"):
        table = pd.read_csv(project.path(f"results/smoke/own/seed0/ranked/{method}/mine.csv"))
        assert {name.removeprefix("sub/") for name in table["file"]} == files
        assert table["score"].is_monotonic_decreasing
        assert set(table["unknown"]) <= {True, False}
        assert project.path(f"results/plots/smoke/own/extremes/mine/{method}.png").exists()
        classes = set(table["nearest_class"].dropna())
        assert classes <= {"digit0", "digit1", "digit2"}
        assert bool(classes) == (method == "msp")


def test_a_touched_folder_changes_nothing_and_a_new_file_is_noticed(scored):
    project, _ = scored
    assert not project.planned(*MADE)
    path = next(project.path("pictures/sub").iterdir())
    path.touch()
    assert project.planned(*MADE)["prepare_user_images"] == 1
    before = project.contents("results/**/*.parquet")
    assert "0 of 2 files are new" in project.run(*MADE)
    assert project.contents("results/**/*.parquet").keys() == before.keys()
    path.with_name("new.jpg").write_bytes(path.read_bytes())
    project.run(*MADE)
    table = pd.read_csv(project.path("results/smoke/own/seed0/ranked/msp/mine.csv"))
    assert "sub/new.jpg" in set(table["file"])
