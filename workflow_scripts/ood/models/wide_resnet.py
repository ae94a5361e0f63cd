"""Wide residual networks for small images (Zagoruyko, Komodakis, arXiv 1605.07146)."""

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from ood.models.initialization import he_normal


class WideBlock(nn.Module):
    """BN-ReLU-3x3, dropout, BN-ReLU-3x3 and a shortcut; where the shape changes, the shortcut is a
    1x1 convolution of the activated input."""

    def __init__(self, in_channels: int, channels: int, stride: int, dropout: float):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.shortcut = None
        if stride != 1 or in_channels != channels:
            self.shortcut = nn.Conv2d(in_channels, channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.norm1(x), inplace=True)
        out = self.dropout(F.relu(self.norm2(self.conv1(active)), inplace=True))
        return self.conv2(out) + (x if self.shortcut is None else self.shortcut(active))


class Features(nn.Sequential):
    """A 3x3 stem, three groups of (depth - 4) / 6 blocks, BN-ReLU, global average pool.

    Maps ``[N, C, H, W]`` to ``[N, 64 * width]``.

    :param shape: ``(H, W, C)``; H and W must be multiples of 4
    :param depth: 6 n + 4
    :param width: the widening factor k of WRN-depth-k, on 16, 32 and 64 filters
    :param dropout: between a block's convolutions
    :raises ValueError: if no number of blocks has this depth
    """

    taps = ("group1", "group2", "final")

    def __init__(
        self,
        shape: tuple[int, int, int],
        depth: int = 28,
        width: float = 10.0,
        dropout: float = 0.3,
    ):
        blocks, rest = divmod(depth - 4, 6)
        if rest or blocks < 1:
            raise ValueError(f"a wide residual network has depth 6 n + 4, not {depth}")
        channels = 16
        parts = OrderedDict(stem=nn.Conv2d(shape[2], channels, 3, padding=1, bias=False))
        for number, base in enumerate((16, 32, 64), 1):
            filters = max(1, round(base * width))
            group = []
            for index in range(blocks):
                stride = 2 if number > 1 and index == 0 else 1
                group.append(WideBlock(channels, filters, stride, dropout))
                channels = filters
            parts[f"group{number}"] = nn.Sequential(*group)
        parts["final"] = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        parts["pool"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        super().__init__(parts)
        self.out_features = channels
        he_normal(self)
