"""Images as people have them, brought to what a detector scores; what cannot be right is an error.

White lies under what is transparent. Of 16 bits the upper eight are taken.
"""

from collections.abc import Sequence

import numpy as np

from ood.data.images import convert, to_array
from ood.errors import InputError

# what float images may leave [0, 1] by: rounding
SLACK = 1e-4
CHANNELS = (1, 3, 4)


def given_images(images: object, shape: tuple[int, int, int]) -> np.ndarray:
    """One form for all that ``ood.load(...).score`` takes.

    :param images: an array ``[N, H, W, C]`` or, of grey images, ``[N, H, W]``; a tensor
        ``[N, C, H, W]``; one image, an array ``[H, W]`` or ``[H, W, C]``, a tensor ``[C, H, W]`` or
        a picture of Pillow's; or a list of such, of any sizes. Whole numbers lie in 0 .. 255, of
        uint16 in 0 .. 65535, floats in [0, 1]
    :param shape: ``(H, W, C)`` of the detector; an image that comes alone or in a list is brought
        to it, as ``convert`` does
    :return: uint8 or float32 ``[N, H, W, C]``
    :raises InputError: if they are of another shape or type, or values are not finite or lie
        elsewhere
    """
    if _is_tensor(images):
        if images.ndim == 3:
            images = images[None]
        if images.ndim != 4:
            raise InputError(f"a tensor of images is [N, C, H, W], not {list(images.shape)}")
        images = to_array(images.detach())
    elif isinstance(images, np.ndarray):
        if images.ndim == 3 and shape[2] == 1 and images.shape[1:] == shape[:2]:
            images = images[..., None]
        elif images.ndim in (2, 3):
            images = [images]
    elif not isinstance(images, Sequence):
        images = [images]
    if isinstance(images, np.ndarray):
        found = _checked(images, "images")
    else:
        if not len(images):
            raise InputError("no images: the list is empty")
        found = _joined([_one(one, f"image {n}", shape) for n, one in enumerate(images)])
    if found.ndim != 4 or found.shape[1:] != shape:
        raise InputError(
            f"images {list(found.shape)} do not fit a detector of height, width and channels "
            f"{shape}; a list of images of any size is brought to it"
        )
    return found


def _is_tensor(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach")


def _one(image: object, name: str, shape: tuple[int, int, int]) -> np.ndarray:
    """One image in ``shape``, uint8 or float32 ``[H, W, C]``."""
    if hasattr(image, "getbands"):
        from ood.data.decode import upright

        try:
            image = upright(image)
        except ValueError as error:
            raise InputError(f"{name}: {error}") from error
    if _is_tensor(image):
        image = to_array(image.detach()[None] if image.ndim == 3 else image)[0]
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in CHANNELS or not array.size:
        raise InputError(f"{name}: an image is [H, W] or [H, W, C], not {list(array.shape)}")
    array = _checked(array, name)
    if array.shape[2] == 4:
        array = _on_white(array)
    if array.shape == shape:
        return array
    return convert([array], shape)[0]


def _checked(array: np.ndarray, name: str) -> np.ndarray:
    """uint8 or float32 with values that can be those of images."""
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise InputError(f"{name}: values that are not finite (NaN or infinite)")
        low, high = (float(f(array)) for f in (np.min, np.max)) if array.size else (0, 0)
        if low < -SLACK or high > 1 + SLACK:
            raise InputError(
                f"{name}: floats lie in [0, 1], these in [{low:g}, {high:g}]; divide by 255, or "
                "give uint8; the detector normalises by itself"
            )
        return array.astype(np.float32)
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return (array >> 8).astype(np.uint8)
    if array.dtype.kind in "iu":
        low, high = (int(f(array)) for f in (np.min, np.max)) if array.size else (0, 0)
        if low < 0 or high > 255:
            raise InputError(
                f"{name}: whole numbers lie in 0 .. 255, these in {low} .. {high}; 16 bits are "
                "uint16"
            )
        return array.astype(np.uint8)
    raise InputError(f"{name}: numbers are needed, not {array.dtype}")


def _on_white(array: np.ndarray) -> np.ndarray:
    """RGBA, uint8 or float32, over white."""
    most = 255 if array.dtype == np.uint8 else 1
    opaque = array[..., 3:].astype(np.float32) / most
    mixed = array[..., :3] * opaque + most * (1 - opaque)
    return mixed.round().astype(np.uint8) if most == 255 else mixed.astype(np.float32)


def _joined(images: list[np.ndarray]) -> np.ndarray:
    """All as floats where one is."""
    if len({one.dtype for one in images}) == 1:
        return np.stack(images)
    return np.stack(
        [one if one.dtype == np.float32 else one.astype(np.float32) / 255 for one in images]
    )
