"""The auto-encoders of VMDLS (Dinari, Freifeld, UAI 2022): a mirrored encoder."""

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from ood.models import mnist_conv, resnet18, resnet50
from ood.models.base import Normalized


def enlarged(scale: int, convolution: nn.Conv2d) -> nn.Sequential:
    """A convolution of the map after repeating each pixel ``scale`` times in both directions."""
    layers = [nn.Upsample(scale_factor=scale)] if scale > 1 else []
    return nn.Sequential(*layers, convolution)


class UpBlock(nn.Module):
    """A residual block that can double the map: 3x3 to as many filters as came in, then, in the
    doubled map, 3x3 to ``channels``; the shortcut is projected where the shape changes."""

    expansion = 1

    def __init__(self, inputs: int, channels: int, scale: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, inputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            enlarged(scale, nn.Conv2d(inputs, channels, 3, padding=1, bias=False)),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = widened(inputs, channels, scale)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class UpBottleneck(nn.Module):
    """1x1 to ``channels``, 3x3 in the doubled map, 1x1 to four times as many; and a shortcut."""

    expansion = 4

    def __init__(self, inputs: int, channels: int, scale: int):
        super().__init__()
        outputs = self.expansion * channels
        self.body = nn.Sequential(
            nn.Conv2d(inputs, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            enlarged(scale, nn.Conv2d(channels, channels, 3, padding=1, bias=False)),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = widened(inputs, outputs, scale)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


def widened(inputs: int, outputs: int, scale: int) -> nn.Sequential:
    """A 1x1 convolution with batch norm, in the doubled map, where the shape changes."""
    if scale == 1 and inputs == outputs:
        return nn.Sequential()
    convolution = nn.Conv2d(inputs, outputs, 1, bias=False)
    return nn.Sequential(enlarged(scale, convolution), nn.BatchNorm2d(outputs))


UP_BLOCKS = {18: (UpBlock, (2, 2, 2, 2)), 50: (UpBottleneck, (3, 4, 6, 3))}


class ResNetDecoder(nn.Sequential):
    """A residual network backwards, as the auto-encoder that the authors took has it: linear to 512
    maps of an eighth of the image, four stages of blocks to 256, 128, 64 and 64 filters (times the
    block's expansion), the first three of which double the map; 3x3 to the image's channels.

    8,625,600 parameters for 18 layers, 32x32x3 and a latent of 256.

    :param shape: ``(H, W, C)``; H and W must be multiples of 8
    :param layers: 18 or 50
    """

    def __init__(self, shape: tuple[int, int, int], latent: int, layers: int, width: float):
        height, size_w, channels = shape
        block, repeats = UP_BLOCKS[layers]
        first, *filters = (max(1, round(base * width)) for base in (512, 256, 128, 64, 64))
        base = (block.expansion * first, height // 8, size_w // 8)
        parts = OrderedDict(
            linear=nn.Linear(latent, base[0] * base[1] * base[2]), shape=nn.Unflatten(1, base)
        )
        inputs = base[0]
        for number, (outputs, count) in enumerate(zip(filters, repeats, strict=True), 1):
            blocks = []
            for index in range(count):
                blocks.append(block(inputs, outputs, 2 if number < 4 and index == 0 else 1))
                inputs = block.expansion * outputs
            parts[f"stage{number}"] = nn.Sequential(*blocks)
        parts["image"] = nn.Conv2d(inputs, channels, 3, padding=1, bias=False)
        super().__init__(parts)


class MnistConvDecoder(nn.Sequential):
    """Linear 500 and back to the encoder's map, transposed convolutions of 100 filters with ReLU:
    2x2 of stride 1 up to a quarter of the image, two 2x2 of stride 2; 1x1 to the image's channels.

    :param shape: ``(H, W, C)``; H and W must be multiples of 4 and equal
    """

    def __init__(self, shape: tuple[int, int, int], latent: int, width: float):
        height, size_w, channels = shape
        filters, units = max(1, round(100 * width)), max(1, round(500 * width))
        base = (filters, height // 8, size_w // 8)
        strides = [1] * (height // 4 - height // 8) + [2, 2]
        layers: list[nn.Module] = [
            nn.Linear(latent, units),
            nn.Linear(units, base[0] * base[1] * base[2]),
            nn.Unflatten(1, base),
        ]
        for stride in strides:
            layers += [nn.ConvTranspose2d(filters, filters, 2, stride), nn.ReLU()]
        super().__init__(*layers, nn.Conv2d(filters, channels, 1))


class AutoEncoder(nn.Module):
    """Images ``[N, C, H, W]`` in units of [0, 1] pixels -> their reconstruction, not clipped.

    Encoder and decoder work on normalised images.

    :param architecture: ``mnist_conv``, ``resnet18`` or ``resnet50``
    :param latent: size of the latent between encoder and decoder
    :param normalization: ``{mean, sd}`` of each channel
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        architecture: str,
        latent: int,
        width: float,
        normalization: dict[str, list[float]],
    ):
        super().__init__()
        if architecture == "mnist_conv":
            features = mnist_conv.Features(shape, width)
            self.decoder = MnistConvDecoder(shape, latent, width)
        else:
            kind = {"resnet18": resnet18, "resnet50": resnet50}[architecture].Features
            features = kind(shape, width)
            self.decoder = ResNetDecoder(shape, latent, kind.layers, width)
        self.features = Normalized(features, **normalization)
        self.latent = nn.Linear(features.out_features, latent)

    def forward(self, images: Tensor) -> Tensor:
        normalised = self.decoder(self.latent(self.features(images)))
        return normalised * self.features.sd + self.features.mean
