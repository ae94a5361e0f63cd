"""ResNet-18 for small images (He et al. 2016, in the CIFAR form: 3x3 stem, no max pool)."""

import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm and a shortcut, projected where the shape changes."""

    def __init__(self, in_channels: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False),
                nn.BatchNorm2d(channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(out)) + self.shortcut(x))


class ResNet18Features(nn.Sequential):
    """Stem, four stages of two basic blocks (64, 128, 256, 512 filters), global average pool.

    Maps ``[N, C, H, W]`` in [0, 1] to ``[N, 512 * width]``; 11,168,832 parameters for RGB at
    width 1.
    """

    def __init__(self, shape: tuple[int, int, int], width: float = 1.0):
        stem, *stages = (max(1, round(base * width)) for base in (64, 64, 128, 256, 512))
        layers: list[nn.Module] = [
            nn.Conv2d(shape[2], stem, 3, 1, padding=1, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(),
        ]
        channels = stem
        for index, filters in enumerate(stages):
            layers += [
                BasicBlock(channels, filters, 1 if index == 0 else 2),
                BasicBlock(filters, filters, 1),
            ]
            channels = filters
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.out_features = channels
