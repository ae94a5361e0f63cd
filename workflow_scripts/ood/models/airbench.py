"""A network for CIFAR-10 in minutes (Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU",
arXiv 2404.00498, section 3)."""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH = 2
# keeps directions without variance finite
RIDGE = 5e-4
# short trainings need batch statistics that follow them
MOMENTUM = 0.4


class Whitening(nn.Conv2d):
    """2x2 convolutions whose outputs are uncorrelated and of variance 1, and their negatives.

    The filters are not learned: they are the eigenvectors of the patches' covariance in the first
    batch that it sees in training, divided by the square roots of the eigenvalues. The biases are
    learned.
    """

    def __init__(self, channels: int):
        size = channels * PATCH**2
        super().__init__(channels, 2 * size, PATCH)
        self.weight.requires_grad = False
        nn.init.zeros_(self.bias)
        self.register_buffer("set", torch.tensor(False))
        self._looked = False

    def forward(self, images: Tensor) -> Tensor:
        # a buffer alone would make a GPU wait in every step
        if self.training and not self._looked:
            if not self.set:
                self._whiten(images.detach())
            self._looked = True
        return super().forward(images)

    @torch.no_grad()
    def _whiten(self, images: Tensor) -> None:
        patches = F.unfold(images.float(), PATCH).transpose(1, 2).flatten(0, 1).double()
        centred = patches - patches.mean(0)
        values, vectors = torch.linalg.eigh((centred.T @ centred / len(centred)).cpu())
        filters = (vectors / (values + RIDGE).sqrt()).T.reshape(-1, *self.weight.shape[1:])
        self.weight.copy_(torch.cat([filters, -filters]))
        self.set.fill_(True)


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """3x3; the first filters pass their channel on."""
    made = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(made.weight[: min(inputs, outputs)])
    return made


def _norm(channels: int) -> nn.BatchNorm2d:
    """With a bias alone: a scale would do what the next layer's weights do."""
    made = nn.BatchNorm2d(channels, momentum=MOMENTUM)
    made.weight.requires_grad = False
    return made


def _stage(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        _convolution(inputs, outputs),
        nn.MaxPool2d(2),
        _norm(outputs),
        nn.GELU(),
        _convolution(outputs, outputs),
        _norm(outputs),
        nn.GELU(),
    )


class Scaled(nn.Module):
    """Each value times a constant."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, values: Tensor) -> Tensor:
        return self.factor * values


class Features(nn.Sequential):
    """Whitening, three stages of two 3x3 convolutions (64, 256 and 256 filters) with a max pool
    after the first, and the maximum over the map, divided by 9: small logits at the start.

    Maps ``[N, C, H, W]`` to ``[N, 256 * width]``; 1,970,232 parameters for RGB at width 1.

    :param shape: ``(H, W, C)``; H and W at least 9
    :param width: factor on the number of filters of the stages
    """

    taps = ("stage1", "stage2", "stage3")

    def __init__(self, shape: tuple[int, int, int], width: float = 1.0):
        whitening = Whitening(shape[2])
        parts = OrderedDict(whiten=nn.Sequential(whitening, nn.GELU()))
        channels = whitening.out_channels
        for number, base in enumerate((64, 256, 256), 1):
            filters = max(1, round(base * width))
            parts[f"stage{number}"] = _stage(channels, filters)
            channels = filters
        parts["pool"] = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), Scaled(1 / 9))
        super().__init__(parts)
        self.out_features = channels
