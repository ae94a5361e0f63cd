"""The augmentation of short trainings on CIFAR-10 (Jordan, arXiv 2404.00498)."""

from collections.abc import Callable

from torch import Tensor

from ood.augmentations.crop_flip import crop_flip


def shift_flip() -> Callable[[Tensor], Tensor]:
    """A shift by up to two pixels with the border mirrored, and a random horizontal flip."""
    return crop_flip(2, "reflect")
