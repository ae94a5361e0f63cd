"""DenseNet-BC for small images (Huang et al., arXiv 1608.06993)."""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ood.models.initialization import he_normal


class Bottleneck(nn.Module):
    """BN-ReLU-1x1 to four times the growth, BN-ReLU-3x3 to the growth, joined to the input."""

    def __init__(self, channels: int, growth: int):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        new = self.conv1(F.relu(self.norm1(x), inplace=True))
        new = self.conv2(F.relu(self.norm2(new), inplace=True))
        return torch.cat([x, new], dim=1)


def _transition(channels: int, outputs: int) -> nn.Sequential:
    """BN-ReLU-1x1, then the map is halved by averaging."""
    return nn.Sequential(
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, outputs, 1, bias=False),
        nn.AvgPool2d(2),
    )


class Features(nn.Sequential):
    """A 3x3 stem, three dense blocks of (depth - 4) / 6 layers, BN-ReLU, global average pool.

    Maps ``[N, C, H, W]`` to ``[N, out_features]``; 342 features at depth 100 and width 1.

    :param shape: ``(H, W, C)``; H and W must be multiples of 4
    :param depth: 6 n + 4
    :param width: factor on the growth rate, 12
    :raises ValueError: if no number of layers has this depth
    """

    taps = ("transition1", "transition2", "final")

    def __init__(self, shape: tuple[int, int, int], depth: int = 100, width: float = 1.0):
        layers, rest = divmod(depth - 4, 6)
        if rest or layers < 1:
            raise ValueError(f"a DenseNet-BC has depth 6 n + 4, not {depth}")
        growth = max(1, round(12 * width))
        channels = 2 * growth
        parts = OrderedDict(stem=nn.Conv2d(shape[2], channels, 3, padding=1, bias=False))
        for number in (1, 2, 3):
            parts[f"block{number}"] = nn.Sequential(
                *(Bottleneck(channels + index * growth, growth) for index in range(layers))
            )
            channels += layers * growth
            if number < 3:
                parts[f"transition{number}"] = _transition(channels, channels // 2)
                channels //= 2
        parts["final"] = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        parts["pool"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        super().__init__(parts)
        self.out_features = channels
        he_normal(self)
