"""Detectors of the workflow, used outside of it."""

import csv
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import ood
from ood.__main__ import main
from ood.data.images import ImageSet
from ood.errors import InputError
from ood.evaluation.scores import load_scores

RUN = "results/smoke/tiny/seed0"


@pytest.mark.parametrize("method", ["msp", "cmg_energy", "brightness"])
def test_scores_are_those_of_the_workflow(first_run, method):
    detector = ood.load(first_run.path(RUN, "detectors", method))
    assert detector.shape == (8, 8, 1)
    assert detector.classes == ["0", "1", "2"]
    for name in ("digits", "uniform"):
        images = ImageSet.load(first_run.path(f"data/prepared/8x8x1/{name}/test.npz")).images
        kept = load_scores(first_run.path(RUN, "scores", method, f"{name}.parquet"), None)
        assert np.array_equal(detector.score(images), kept["score"])
        classes = detector.classify(images)
        if method == "brightness":
            assert classes is None
        else:
            assert list(map(int, classes)) == kept["prediction"].tolist()
    known = load_scores(
        first_run.path(RUN, "scores", method, "digits.parquet"), [0, 1, 2], ["score"]
    )["score"]
    assert np.mean(known <= detector.threshold) >= 0.95
    assert np.mean(known < detector.threshold) < 0.95


def test_images_come_in_several_forms(first_run):
    detector = ood.load(first_run.path(RUN, "detectors/msp"))
    images = ImageSet.load(first_run.path("data/prepared/8x8x1/digits/test.npz")).images[:20]
    expected = detector.score(images)
    as_tensor = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    assert np.array_equal(detector.score(as_tensor), expected)
    assert np.array_equal(detector.score([image.squeeze() for image in images]), expected)
    larger = [np.asarray(Image.fromarray(one.squeeze()).resize((16, 16), 0)) for one in images]
    assert detector.score(larger).shape == (20,)
    with pytest.raises(InputError, match=r"images \[20, 16, 16, 1\] do not fit"):
        detector.score(np.stack(larger)[..., None])


def test_a_folder_is_scored_from_the_command_line(first_run, tmp_path, capsys):
    images = ImageSet.load(first_run.path("data/prepared/8x8x1/digits/test.npz")).images[:5]
    folder, output = tmp_path / "pictures", tmp_path / "scores.csv"
    (folder / "sub").mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image.squeeze()).save(folder / "sub" / f"{number}.png")
    (folder / "bad.png").write_text("no picture")
    detector = str(first_run.path(RUN, "detectors/cmg_energy"))
    with pytest.raises(SystemExit) as ended:
        main(["score", detector, str(folder), "--output", str(output)])
    assert ended.value.code == 3
    *rows, bad = list(csv.DictReader(output.open()))
    assert [row["file"] for row in rows] == [f"sub/{number}.png" for number in range(5)]
    loaded = ood.load(detector)
    scores = loaded.score(images)
    assert [float(row["score"]) for row in rows] == scores.tolist()
    assert [row["unknown"] == "True" for row in rows] == (scores > loaded.threshold).tolist()
    assert list(bad.values()) == ["bad.png", "", "", "unreadable"]
    text = capsys.readouterr().err
    assert "5 of 6 pictures" in text
    assert "cannot be read: bad.png" in text


def test_a_score_that_is_no_number_is_of_no_known_image(first_run):
    detector = ood.load(first_run.path(RUN, "detectors/msp"))
    scores = np.array([np.nan, np.inf, -np.inf, detector.threshold])
    assert detector.unknown(scores).tolist() == [True, True, False, False]
    with pytest.raises(InputError, match="image 1: values that are not finite"):
        detector.score([np.zeros((8, 8)), np.full((8, 8), np.nan)])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said_in_one_line(first_run):
    with pytest.raises(InputError, match="device cuda: PyTorch sees no GPU; use cpu"):
        ood.load(first_run.path(RUN, "detectors/msp"), "cuda")


def test_a_detector_without_its_models_says_what_to_copy(first_run, tmp_path):
    alone = tmp_path / "smoke" / "tiny" / "seed0" / "detectors" / "msp"
    shutil.copytree(first_run.path(RUN, "detectors/msp"), alone)
    with pytest.raises(InputError, match=r"model.*: not there.*copy .*seed0 as a whole"):
        ood.load(alone)
    shutil.rmtree(alone.parents[1])
    shutil.copytree(first_run.path(RUN), alone.parents[1])
    assert ood.load(alone).shape == (8, 8, 1)


def test_what_is_no_detector_is_said(tmp_path, capsys):
    with pytest.raises(InputError, match="no detector that the workflow has evaluated"):
        ood.load(tmp_path)
    with pytest.raises(SystemExit, match=r"error: .*no detector"):
        main(["score", str(tmp_path), str(tmp_path)])
