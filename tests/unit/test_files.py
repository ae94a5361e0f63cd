"""What is read is what was written: every kind of file, damaged, cut off or exchanged."""

import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ood import files
from ood.data import images
from ood.errors import InputError
from ood.evaluation import scores
from ood.files import load_json, save_json


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 1
    path.write_bytes(content)


def test_json_comes_back_without_its_seal(tmp_path):
    content = {"b": [1.5, None, float("inf")], 10: "ten", 9: {"x": "ü"}}
    save_json(tmp_path / "a.json", content)
    assert load_json(tmp_path / "a.json") == {"b": content["b"], "10": "ten", "9": {"x": "ü"}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("0.25", "0.26"), "is not what was written; delete it"),
        (lambda text: text[: len(text) // 2], "damaged .*; delete it"),
        (lambda text: "", "damaged .*; delete it"),
        (lambda text: "[1]", "damaged .*; delete it"),
    ],
)
def test_json_that_was_changed_or_cut_off_is_an_error(tmp_path, change, message):
    path = tmp_path / "metrics.json"
    save_json(path, {"auroc": 0.25})
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=rf"metrics\.json: {message} and run again"):
        load_json(path)


@pytest.fixture
def scored(tmp_path):
    rng = np.random.default_rng(0)
    columns = {"label": np.arange(2000), "score": rng.random(2000)}
    scores.save_scores(tmp_path / "s.parquet", columns, {"flags": []})
    return tmp_path / "s.parquet"


@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7])
def test_a_flipped_bit_in_a_score_file_is_an_error(scored, place):
    flip(scored, place)
    with pytest.raises(InputError, match=r"s\.parquet: damaged .*; delete it and run again"):
        scores.load_scores(scored, None)


@pytest.mark.parametrize("size", [0, 10, 500])
def test_a_score_file_that_is_cut_off_is_an_error(scored, size):
    scored.write_bytes(scored.read_bytes()[:size])
    for read in (lambda: scores.load_scores(scored, None), lambda: scores.load_about(scored)):
        with pytest.raises(InputError, match=r"s\.parquet: damaged .*; delete it"):
            read()


def image_set(tmp_path, name, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (30, 8, 8, 1), np.uint8)
    found = images.ImageSet(pixels, np.zeros(30, np.int64))
    found.save(tmp_path / f"{name}.npz")
    about = {"dataset": name, "split": "test", "classes": None, "sources": {}}
    found.save_manifest(tmp_path / f"{name}.json", **about)
    return tmp_path / f"{name}.npz"


def test_another_sets_images_are_an_error(tmp_path):
    first, second = (image_set(tmp_path, name, seed) for seed, name in enumerate("ab"))
    images.ImageSet.load(first)
    first.write_bytes(second.read_bytes())
    with pytest.raises(InputError, match=r"a\.npz: is not what was written .* delete both"):
        images.ImageSet.load(first)


@pytest.mark.parametrize("place", [0.1, 0.4, 0.6])
def test_a_flipped_bit_in_an_image_set_is_an_error(tmp_path, place):
    path = image_set(tmp_path, "a", 0)
    flip(path, place)
    with pytest.raises(InputError, match=r"a\.npz: "):
        images.ImageSet.load(path)


def test_folders_that_cannot_be_written_to_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.check_places("results")
    Path("results").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=r"results is a link to .*gone, which is not there"):
        files.check_places("results")
    full = SimpleNamespace(free=0)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda place: full)
    for set_to, named in ((str(tmp_path), str(tmp_path)), (None, tempfile.gettempdir())):
        monkeypatch.delenv("TMPDIR", raising=False)
        if set_to:
            monkeypatch.setenv("TMPDIR", set_to)
        with pytest.raises(InputError, match=f"{named}: less than 1 MiB is free"):
            files.check_places()
