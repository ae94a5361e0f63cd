"""Image sets: load, save, select classes, convert, to float tensors in [0, 1]."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ood.errors import InputError
from ood.files import CHANGED, atomic, load_json, save_json

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ImageSet:
    """Images with labels.

    :param images: ``[N, H, W, C]``, uint8, or float32 in units of [0, 1] where values leave that
        range
    :param labels: int64 ``[N]``
    :param names: the files that the images come from, ``[N]``, of a user's own; None for others
    :raises InputError: if shapes or types are otherwise
    """

    images: np.ndarray
    labels: np.ndarray
    names: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype not in (np.uint8, np.float32):
            raise InputError(
                "an image set holds uint8 or float32 images [N, H, W, C], "
                f"not {self.images.dtype} {list(self.images.shape)}"
            )
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != np.int64:
            raise InputError(
                f"an image set of {len(self.images)} images needs as many int64 labels, "
                f"not {self.labels.dtype} {list(self.labels.shape)}"
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(H, W, C)``."""
        return self.images.shape[1:]

    def select(self, classes: Sequence[int] | None) -> ImageSet:
        """The images whose label is in ``classes``; all of them for ``None``."""
        if classes is None:
            return self
        return self.take(np.isin(self.labels, classes))

    def take(self, index: np.ndarray) -> ImageSet:
        """The images at positions, or where a mask is true."""
        names = None if self.names is None else self.names[index]
        return ImageSet(self.images[index], self.labels[index], names)

    def spread(self, count: int | None) -> ImageSet:
        """``count`` images at equal distances, or all; all of them for ``None``."""
        if count is None:
            return self
        return self.take(np.linspace(0, len(self) - 1, min(count, len(self))).astype(int))

    def renumbered(self, classes: Sequence[int]) -> ImageSet:
        """The images of ``classes`` with label ``classes[i]`` turned into ``i``.

        :raises InputError: if a class has no image
        """
        chosen = self.select(classes)
        if missing := set(classes) - set(chosen.labels.tolist()):
            raise InputError(f"no image has label {', '.join(map(str, sorted(missing)))}")
        order = np.argsort(classes)
        positions = order[np.searchsorted(np.asarray(classes)[order], chosen.labels)]
        return ImageSet(chosen.images, positions.astype(np.int64), chosen.names)

    def save(self, path: str | Path) -> None:
        """Write ``images``, ``labels`` and any ``names`` to an ``.npz``, whole or not at all."""
        names = {} if self.names is None else {"names": self.names}
        with atomic(path) as temporary:
            np.savez_compressed(temporary, images=self.images, labels=self.labels, **names)

    def save_manifest(
        self,
        path: str | Path,
        *,
        dataset: str,
        split: str,
        classes: Sequence[str] | None,
        sources: dict,
    ) -> None:
        """Write what is in the set: counts, mean and standard deviation in [0, 1], SHA-256.

        It is small, so that Snakemake compares it by content where the images are compared by
        time.
        """
        values, counts = np.unique(self.labels, return_counts=True)
        scale = 255 if self.images.dtype == np.uint8 else 1
        save_json(
            path,
            {
                "dataset": dataset,
                "split": split,
                "shape": list(self.shape),
                "dtype": str(self.images.dtype),
                "images": len(self),
                "images_per_label": {
                    str(value): int(count) for value, count in zip(values, counts, strict=True)
                },
                "classes": classes,
                "mean": float(self.images.mean(dtype=np.float64)) / scale,
                "standard_deviation": float(self.images.std(dtype=np.float64)) / scale,
                "sources": sources,
                "sha256": self.digest(),
            },
        )

    @classmethod
    def load(cls, path: str | Path) -> ImageSet:
        """Read what ``save`` wrote, and compare it with its manifest where there is one.

        :raises InputError: if the file is no image set, or not that of the manifest
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                found = cls(file["images"], file["labels"], file.get("names"))
        except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"{path}: no image set ({error}); delete it and run again") from error
        manifest = Path(path).with_suffix(".json")
        if manifest.exists() and load_json(manifest)["sha256"] != found.digest():
            raise InputError(
                f"{path}: {CHANGED} (its images are not those of {manifest.name}); delete both and "
                "run again"
            )
        return found

    def digest(self) -> str:
        """SHA-256 of images, labels and names."""
        found = hashlib.sha256(np.ascontiguousarray(self.images))
        found.update(np.ascontiguousarray(self.labels))
        if self.names is not None:
            found.update("\n".join(self.names).encode())
        return found.hexdigest()


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """``[N, H, W, C]`` array -> contiguous ``[N, C, H, W]`` tensor of the same type."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).contiguous()


def to_unit(images: torch.Tensor) -> torch.Tensor:
    """uint8 ``[0, 255]`` -> float32 ``[0, 1]``; float32 passes unchanged."""
    import torch

    return images if images.is_floating_point() else images.to(torch.float32).div_(255)


def to_bytes(images: torch.Tensor) -> torch.Tensor:
    """Floats, clipped to [0, 1] -> uint8 ``[0, 255]``."""
    return (images.clamp(0, 1) * 255).round().byte()


def to_array(images: torch.Tensor) -> np.ndarray:
    """``[N, C, H, W]`` tensor -> ``[N, H, W, C]`` array of the same type."""
    return images.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def to_grey(images: np.ndarray) -> np.ndarray:
    """RGB uint8 ``[N, H, W, 3]`` -> the ITU-R 601 luma in all three channels."""
    luma = images @ np.array([0.2989, 0.5870, 0.1140])
    return np.repeat(np.round(luma).astype(np.uint8)[..., None], 3, axis=3)


def convert(
    images: list[np.ndarray], shape: tuple[int, int, int], invert: bool = False
) -> np.ndarray:
    """Bring images to one shape.

    Grey becomes RGB by repetition, RGB becomes grey by ITU-R 601 luma; the largest centred square
    is kept where height and width differ; a different size is reached by bilinear interpolation
    with antialiasing (Pillow); ``invert`` turns v into 255 - v.

    :param images: arrays ``[H, W]``, ``[H, W, 1]`` or ``[H, W, 3]`` of any sizes, all of them uint8
        or float32
    :param shape: ``(H, W, C)`` with C 1 or 3
    :return: ``[N, H, W, C]`` of the same type
    """
    from PIL import Image

    height, width, channels = shape
    floats = bool(images) and images[0].dtype == np.float32
    result = np.empty((len(images), *shape), np.float32 if floats else np.uint8)
    for index, array in enumerate(images):
        if array.ndim == 3 and array.shape[2] == 1:
            array = array[..., 0]
        if floats:
            # Pillow knows floats of one channel alone
            layers = [Image.fromarray(one) for one in _layers(array, channels)]
        else:
            layers = [Image.fromarray(array).convert("L" if channels == 1 else "RGB")]
        layers = [_fitted(one, width, height) for one in layers]
        result[index] = np.stack([np.asarray(one) for one in layers], -1).reshape(shape)
    return (1 if floats else 255) - result if invert else result


def _layers(array: np.ndarray, channels: int) -> list[np.ndarray]:
    """Float32 ``[H, W]`` of each channel."""
    if array.ndim == 2:
        return [array] * channels
    if channels == 1:
        return [(array @ np.array([0.299, 0.587, 0.114])).astype(np.float32)]
    return [np.ascontiguousarray(array[..., channel]) for channel in range(3)]


def _fitted(image, width: int, height: int):
    """A Pillow image in a size, its largest centred square where that is square."""
    from PIL import Image

    if height == width and image.width != image.height:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return image
