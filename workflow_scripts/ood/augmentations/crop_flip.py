"""The usual augmentation of CIFAR-10."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def crop_flip(padding: int = 4, mode: str = "constant") -> Callable[[Tensor], Tensor]:
    """Random crop after padding and random horizontal flip, drawn per image, on the device.

    :param mode: of ``torch.nn.functional.pad``: zeros, or ``reflect``
    """

    def augment(images: Tensor) -> Tensor:
        count, _, height, width = images.shape
        padded = nn.functional.pad(images, [padding] * 4, mode=mode)
        device = images.device
        top = torch.randint(0, 2 * padding + 1, (count, 1), device=device)
        left = torch.randint(0, 2 * padding + 1, (count, 1), device=device)
        flip = torch.rand(count, 1, device=device) < 0.5
        rows = top + torch.arange(height, device=device)
        columns = torch.arange(width, device=device).expand(count, -1)
        columns = left + torch.where(flip, width - 1 - columns, columns)
        index = torch.arange(count, device=device)
        return padded.permute(0, 2, 3, 1)[
            index[:, None, None], rows[:, :, None], columns[:, None, :]
        ].permute(0, 3, 1, 2)

    return augment
