"""What people give a detector: the right images, or an error; never a number about other images."""

import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from ood.data import decode
from ood.data.given import given_images
from ood.errors import InputError

SHAPE, COLOUR = (4, 4, 1), (4, 4, 3)
BYTES = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 1), np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (3, 4, 4, 3), np.uint8)
UNIT = (BYTES / 255).astype(np.float32)
NAN = np.where(np.arange(48).reshape(3, 4, 4, 1) == 5, np.nan, UNIT)

SAME = {
    "uint8": BYTES,
    "uint8, grey": BYTES[..., 0],
    "int64": BYTES.astype(np.int64),
    "16 bits": BYTES.astype(np.uint16) << 8 | 7,
    "list": list(BYTES),
    "list of grey": list(BYTES[..., 0]),
    "list of 16 bits": list(BYTES.astype(np.uint16) << 8),
    "tensor": torch.from_numpy(BYTES).permute(0, 3, 1, 2),
    "list of tensors": list(torch.from_numpy(BYTES).permute(0, 3, 1, 2)),
    "pictures": [Image.fromarray(one[..., 0]) for one in BYTES],
    "pictures of 16 bits": [Image.fromarray(one[..., 0].astype(np.uint16) << 8) for one in BYTES],
}
FLOATS = {
    "float32": UNIT,
    "float64": UNIT.astype(np.float64),
    "float64, grey": UNIT[..., 0].astype(np.float64),
    "list of floats": list(UNIT),
    "float tensor": torch.from_numpy(UNIT).permute(0, 3, 1, 2),
    "double tensor": torch.from_numpy(UNIT).permute(0, 3, 1, 2).double(),
    "bytes and floats": [BYTES[0], *UNIT[1:]],
}
ONE = {
    "[H, W]": BYTES[0, ..., 0],
    "[H, W, C]": BYTES[0],
    "tensor": torch.from_numpy(BYTES[0]).permute(2, 0, 1),
    "picture": Image.fromarray(BYTES[0, ..., 0]),
    "floats": UNIT[0],
}
WRONG = {
    "floats up to 255": (UNIT * 255, r"floats lie in \[0, 1\], these in \[.*; divide by 255"),
    "float tensor up to 255": (torch.from_numpy(BYTES).permute(0, 3, 1, 2).float(), "divide by"),
    "floats below 0": (UNIT - 0.5, r"floats lie in \[0, 1\]"),
    "NaN": (NAN, "not finite"),
    "NaN in a list": ([UNIT[0], NAN[0]], "image 1: values that are not finite"),
    "infinite": (np.full((1, 4, 4, 1), np.inf), "not finite"),
    "NaN in a tensor": (torch.full((1, 1, 4, 4), torch.nan), "not finite"),
    "whole numbers above 255": (BYTES.astype(np.int64) + 300, r"0 \.\. 255, these in .*uint16"),
    "whole numbers below 0": (BYTES.astype(np.int16) - 9, r"whole numbers lie in 0 \.\. 255"),
    "text": (np.array([["a"]]), "numbers are needed"),
    "another size": (np.zeros((2, 5, 5, 1), np.uint8), r"images \[2, 5, 5, 1\] do not fit"),
    "no image": ([], "the list is empty"),
    "a name": (["picture.png"], r"image 0: an image is \[H, W\]"),
    "five dimensions": (torch.zeros(1, 1, 1, 4, 4), r"\[N, C, H, W\]"),
    "a picture of floats": ([Image.fromarray(UNIT[0, ..., 0] * 9)], "no known white"),
}


@pytest.mark.parametrize("name", SAME)
def test_whole_numbers_in_every_form_are_the_same_images(name):
    found = given_images(SAME[name], SHAPE)
    assert found.dtype == np.uint8
    assert np.array_equal(found, BYTES)


@pytest.mark.parametrize("name", FLOATS)
def test_floats_keep_their_values(name):
    found = given_images(FLOATS[name], SHAPE)
    assert found.dtype == np.float32
    assert np.array_equal(found, UNIT)


@pytest.mark.parametrize("name", ONE)
def test_one_image_is_one_image(name):
    found = given_images(ONE[name], SHAPE)
    assert np.array_equal(found * (255 if name == "floats" else 1), BYTES[:1])


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_right_is_an_error(name):
    images, message = WRONG[name]
    with pytest.raises(InputError, match=message):
        given_images(images, SHAPE)


def test_truth_values_are_black_and_white():
    assert set(given_images(BYTES > 127, SHAPE).flatten().tolist()) == {0, 255}


def test_colours_and_transparency_lie_on_white():
    assert np.array_equal(given_images(list(RGB), COLOUR), RGB)
    clear = np.concatenate([RGB, np.zeros_like(RGB[..., :1])], axis=3)
    assert (given_images(list(clear), COLOUR) == 255).all()
    half = np.concatenate([RGB, np.full_like(RGB[..., :1], 51)], axis=3)
    expected = np.round(RGB * np.float32(0.2) + np.float32(255 * 0.8))
    assert np.abs(given_images(list(half), COLOUR) - expected).max() <= 1
    pictures = [Image.fromarray(one) for one in half]
    assert np.abs(given_images(pictures, COLOUR).astype(int) - expected).max() <= 1


def test_floats_of_another_size_are_brought_to_shape_as_bytes_are():
    large = np.random.default_rng(2).integers(0, 256, (9, 12, 3), np.uint8)
    for shape in (SHAPE, COLOUR):
        floats = given_images([(large / 255).astype(np.float32)], shape)
        assert np.abs(floats * 255 - given_images([large], shape)).max() < 2


def file_of(picture, kind, **more):
    file = io.BytesIO()
    picture.save(file, kind, **more)
    file.seek(0)
    return file


def test_files_that_are_transparent_lie_on_white():
    clear = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    assert (decode.read_picture(file_of(clear, "PNG")) == 255).all()
    grey = decode.read_picture(file_of(Image.new("LA", (4, 4), (10, 0)), "PNG"))
    assert grey.shape == (4, 4)
    assert (grey == 255).all()
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    assert (decode.read_picture(file_of(palette, "PNG", transparency=1)) == 255).all()


@pytest.mark.parametrize(
    "values", [np.full((4, 4), 0.5, np.float32), np.full((4, 4), 1 << 20, np.int32)]
)
def test_a_file_whose_white_nobody_knows_is_refused(values):
    with pytest.raises(ValueError, match="no known white; save 8 or 16 bits"):
        decode.read_picture(file_of(Image.fromarray(values), "TIFF"))


def test_a_file_of_several_frames_gives_its_first_and_says_so(caplog, tmp_path):
    frames = [Image.new("L", (4, 4), shade) for shade in (10, 200)]
    frames[0].save(tmp_path / "a.tiff", save_all=True, append_images=frames[1:])
    assert (decode.read_picture(tmp_path / "a.tiff") == 10).all()
    assert re.search(r"a\.tiff: the first of 2 frames", caplog.text)
