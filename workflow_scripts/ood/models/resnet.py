"""Residual networks for small images (He et al. 2016, in the CIFAR form: 3x3 stem, no max pool)."""

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm and a shortcut, projected where the shape changes."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut = projection(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(out)) + self.shortcut(x))


class BottleneckBlock(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, the last with four times the filters, and a shortcut."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int):
        super().__init__()
        outputs = self.expansion * channels
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, outputs, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(outputs)
        self.shortcut = projection(in_channels, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.norm1(self.conv1(x)))
        out = F.relu(self.norm2(self.conv2(out)))
        return F.relu(self.norm3(self.conv3(out)) + self.shortcut(x))


def projection(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    """A 1x1 convolution with batch norm where the shape changes, nothing elsewhere."""
    if stride == 1 and in_channels == channels:
        return nn.Sequential()
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
    )


BLOCKS = {18: (BasicBlock, (2, 2, 2, 2)), 50: (BottleneckBlock, (3, 4, 6, 3))}


class ResNetFeatures(nn.Sequential):
    """Stem, four stages of blocks (64, 128, 256, 512 filters), global average pool.

    Maps ``[N, C, H, W]`` to ``[N, 512 * width]`` (18 layers; 11,168,832 parameters for RGB at width
    1) or ``[N, 2048 * width]`` (50 layers).
    """

    layers: int
    taps = ("stage1", "stage2", "stage3")

    def __init__(self, shape: tuple[int, int, int], width: float = 1.0):
        block, repeats = BLOCKS[self.layers]
        stem, *stages = (max(1, round(base * width)) for base in (64, 64, 128, 256, 512))
        parts = OrderedDict(
            stem=nn.Sequential(
                nn.Conv2d(shape[2], stem, 3, 1, padding=1, bias=False),
                nn.BatchNorm2d(stem),
                nn.ReLU(),
            )
        )
        channels = stem
        for number, (filters, count) in enumerate(zip(stages, repeats, strict=True), 1):
            blocks = []
            for index in range(count):
                stride = 2 if number > 1 and index == 0 else 1
                blocks.append(block(channels, filters, stride))
                channels = block.expansion * filters
            parts[f"stage{number}"] = nn.Sequential(*blocks)
        parts["pool"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        super().__init__(parts)
        self.out_features = channels
