"""Image sets: conversion, class selection, files."""

import numpy as np
import pytest
import torch

from ood.data.images import ImageSet, convert, to_grey, to_tensor, to_unit
from ood.errors import InputError
from ood.files import load_json


def image_set(labels, shape=(4, 4, 1)):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (len(labels), *shape), dtype=np.uint8)
    return ImageSet(images, np.array(labels, dtype=np.int64))


def test_renumbering_follows_the_order_of_the_classes():
    chosen = image_set([9, 4, 2, 9, 7]).renumbered([9, 2, 4])
    assert chosen.labels.tolist() == [0, 2, 1, 0]


def test_a_class_without_images_is_an_error():
    with pytest.raises(InputError, match="no image has label 5, 7"):
        image_set([3, 1]).renumbered([1, 7, 5])


def test_selection_keeps_labels_and_order():
    whole = image_set([3, 1, 3, 2])
    chosen = whole.select([3, 2])
    assert chosen.labels.tolist() == [3, 3, 2]
    np.testing.assert_array_equal(chosen.images, whole.images[[0, 2, 3]])
    assert whole.select(None) is whole


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.int64)),
        (np.zeros((2, 4, 4, 1), np.float64), np.zeros(2, np.int64)),
        (np.zeros((2, 4, 4, 1), np.uint8), np.zeros(3, np.int64)),
        (np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2, np.int32)),
    ],
)
def test_wrong_shapes_and_types_are_errors(images, labels):
    with pytest.raises(InputError, match="image set"):
        ImageSet(images, labels)


def test_files_come_back_equal(tmp_path):
    saved = image_set([0, 1, 2])
    saved.save(tmp_path / "set.npz")
    loaded = ImageSet.load(tmp_path / "set.npz")
    np.testing.assert_array_equal(loaded.images, saved.images)
    np.testing.assert_array_equal(loaded.labels, saved.labels)
    assert [path.name for path in tmp_path.iterdir()] == ["set.npz"]


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "set.npz"
    image_set([0, 1]).save(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"set\.npz: no image set"):
        ImageSet.load(path)


def test_the_manifest_changes_with_the_content(tmp_path):
    found = []
    for value in (0, 255):
        images = np.full((2, 4, 4, 1), value, np.uint8)
        one = ImageSet(images, np.array([0, 1]))
        path = tmp_path / f"{value}.json"
        one.save_manifest(path, dataset="d", split="test", classes=None, sources={})
        found.append(load_json(path))
    assert found[0]["sha256"] != found[1]["sha256"]
    assert found[1]["mean"] == 1.0
    assert found[1]["images_per_label"] == {"0": 1, "1": 1}


def test_tensors_are_in_unit_range_and_channels_first():
    images = np.zeros((1, 2, 3, 3), np.uint8)
    images[0, 1, 2, 0] = 255
    tensor = to_unit(to_tensor(images))
    assert tensor.shape == (1, 3, 2, 3)
    assert tensor[0, 0, 1, 2] == 1.0
    assert tensor.sum() == 1.0


def test_floats_pass_unchanged():
    values = torch.tensor([-0.5, 2.0])
    assert to_unit(values) is values


def test_conversion_between_grey_and_colour():
    grey = np.full((2, 2), 100, np.uint8)
    assert (convert([grey], (2, 2, 3)) == 100).all()
    colour = np.zeros((2, 2, 3), np.uint8)
    colour[..., 1] = 255
    # ITU-R 601: .587 of green
    assert (convert([colour], (2, 2, 1)) == 150).all()


def test_conversion_crops_the_centre_before_it_resizes():
    wide = np.zeros((4, 8), np.uint8)
    wide[:, 2:6] = 200
    assert (convert([wide], (2, 2, 1)) == 200).all()


def test_downsampling_averages():
    checkers = np.indices((8, 8)).sum(0) % 2 * 200
    small = convert([checkers.astype(np.uint8)], (2, 2, 1))
    assert abs(small.astype(int) - 100).max() <= 12


def test_inversion():
    assert (convert([np.full((2, 2), 255, np.uint8)], (2, 2, 1), invert=True) == 0).all()


def test_grey_is_the_luma_in_three_channels():
    images = np.array([[[[255, 0, 0], [0, 255, 0], [10, 20, 30]]]], dtype=np.uint8)
    assert to_grey(images)[0, 0].tolist() == [[76] * 3, [150] * 3, [18] * 3]
