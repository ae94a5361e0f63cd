"""The auto-encoders of VMDLS (Dinari, Freifeld, UAI 2022): a mirrored encoder."""

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from ood.models import mnist_conv, resnet18, resnet50
from ood.models.base import Normalized
from ood.models.resnet import BLOCKS


class UpBlock(nn.Module):
    """A residual block after doubling the map by repetition."""

    def __init__(self, block: type[nn.Module], in_channels: int, channels: int, double: bool):
        super().__init__()
        self.double = double
        self.block = block(in_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(F.interpolate(x, scale_factor=2.0) if self.double else x)


class ResNetDecoder(nn.Sequential):
    """A residual network backwards: linear, four stages of blocks from 512 to 64 filters that
    double the map three times, 3x3 to the image's channels.

    :param shape: ``(H, W, C)``; H and W must be multiples of 8
    :param layers: 18 or 50
    """

    def __init__(self, shape: tuple[int, int, int], latent: int, layers: int, width: float):
        height, size_w, channels = shape
        block, repeats = BLOCKS[layers]
        filters = [max(1, round(base * width)) for base in (512, 256, 128, 64)]
        base = (block.expansion * filters[0], height // 8, size_w // 8)
        parts = OrderedDict(
            linear=nn.Linear(latent, base[0] * base[1] * base[2]), shape=nn.Unflatten(1, base)
        )
        inputs = base[0]
        for number, (outputs, count) in enumerate(zip(filters, repeats[::-1], strict=True)):
            blocks = []
            for index in range(count):
                blocks.append(UpBlock(block, inputs, outputs, number > 0 and index == 0))
                inputs = block.expansion * outputs
            parts[f"stage{4 - number}"] = nn.Sequential(*blocks)
        parts["image"] = nn.Conv2d(inputs, channels, 3, padding=1)
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
