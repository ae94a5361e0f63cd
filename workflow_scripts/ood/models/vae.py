"""Convolutional conditional variational auto-encoders.

``CVAE``: the two nets of CMG (Wang et al., ECML PKDD 2022, released code), ``conv`` for 28x28x1
and ``resnet`` for 32x32x3; only the decoder sees the class. ``OneHotCVAE``: the net of OODGen
(Vernekar et al., arXiv 1910.04241, released code); encoder and decoder see it, as a one-hot.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ood.models import resnet18


def one_hot(labels: Tensor, n_classes: int) -> Tensor:
    """Float32 ``[N, K]`` of int64 labels ``[N]``; PyTorch's own reads them, to check them."""
    return (labels[:, None] == torch.arange(n_classes, device=labels.device)).float()


class ConvEncoder(nn.Sequential):
    """Two 4x4 convolutions of stride 2, then linear 1024.

    The released code pads by 15, which keeps 28x28 maps and makes the linear layer 100,352 wide
    (103 M parameters); ``padding`` 1 halves the map twice and is 16 times smaller.
    """

    def __init__(self, shape: tuple[int, int, int], hidden: int, padding: int, width: float):
        height, size_w, channels = shape
        first, second = max(1, round(64 * width)), max(1, round(128 * width))
        for _ in range(2):
            height, size_w = ((n + 2 * padding - 4) // 2 + 1 for n in (height, size_w))
        super().__init__(
            nn.Conv2d(channels, first, 4, 2, padding),
            nn.ReLU(),
            nn.Conv2d(first, second, 4, 2, padding),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(second * height * size_w, hidden),
            nn.ReLU(),
        )


class ConvDecoder(nn.Sequential):
    """Two linear layers with a ReLU between, then two transposed convolutions that double the map;
    sigmoid output."""

    def __init__(self, shape: tuple[int, int, int], inputs: int, hidden: int, width: float):
        height, size_w, channels = shape
        first, second = max(1, round(128 * width)), max(1, round(64 * width))
        base = (first, height // 4, size_w // 4)
        super().__init__(
            nn.Linear(inputs, hidden),
            nn.ReLU(),
            nn.Linear(hidden, base[0] * base[1] * base[2]),
            nn.Unflatten(1, base),
            nn.ConvTranspose2d(first, second, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(second, channels, 4, 2, 1),
            nn.Sigmoid(),
        )


class ResidualBlock(nn.Sequential):
    """3x3, BN, ReLU, 1x1, BN of relu(x), added to relu(x): the released code's first ReLU works in
    place, so its skip is not the input."""

    def __init__(self, channels: int):
        super().__init__(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        return x + super().forward(x)


class ResNetEncoder(nn.Sequential):
    """CIFAR ResNet-18, then linear 1024."""

    def __init__(self, shape: tuple[int, int, int], hidden: int, width: float):
        features = resnet18.Features(shape, width)
        super().__init__(features, nn.Linear(features.out_features, hidden), nn.ReLU())


class ResNetDecoder(nn.Sequential):
    """Linear layers, two residual blocks, three transposed convolutions; sigmoid output."""

    def __init__(self, shape: tuple[int, int, int], inputs: int, hidden: int, width: float):
        height, size_w, channels = shape
        filters = max(1, round(512 * width))
        base = (filters, height // 8, size_w // 8)
        super().__init__(
            nn.Linear(inputs, hidden),
            nn.ReLU(),
            nn.Linear(hidden, base[0] * base[1] * base[2]),
            nn.Unflatten(1, base),
            ResidualBlock(filters),
            ResidualBlock(filters),
            nn.ReLU(),
            nn.ConvTranspose2d(filters, filters, 4, 2, 1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(),
            nn.ConvTranspose2d(filters, filters, 4, 2, 1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(),
            nn.ConvTranspose2d(filters, channels, 4, 2, 1),
            nn.Sigmoid(),
        )


class CVAE(nn.Module):
    """Encoder -> (mean, log variance) of the latent; decoder of (latent, class embedding).

    :param shape: ``(H, W, C)``; H and W must be multiples of 4 (``conv``) or 8 (``resnet``)
    :param n_classes: the one-hot's length
    :param architecture: ``conv`` or ``resnet``
    :param latent: size of the latent and of the class embedding
    :param width: factor on the number of filters
    :param padding: of the ``conv`` encoder's convolutions (15 in the released code)
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        n_classes: int,
        architecture: str,
        latent: int = 32,
        hidden: int = 1024,
        width: float = 1.0,
        padding: int = 15,
    ):
        super().__init__()
        self.n_classes = n_classes
        self.latent = latent
        if architecture == "conv":
            self.encoder = ConvEncoder(shape, hidden, padding, width)
            self.decoder = ConvDecoder(shape, 2 * latent, hidden, width)
        else:
            self.encoder = ResNetEncoder(shape, hidden, width)
            self.decoder = ResNetDecoder(shape, 2 * latent, hidden, width)
        self.mean = nn.Linear(hidden, latent)
        self.log_variance = nn.Linear(hidden, latent)
        self.embedding = nn.Linear(n_classes, latent)

    def embed(self, labels: Tensor) -> Tensor:
        """Class embeddings ``[N, latent]`` of int64 labels ``[N]``."""
        return self.embedding(one_hot(labels, self.n_classes))

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance, ``[N, latent]`` each, of images ``[N, C, H, W]``."""
        hidden = self.encoder(images)
        return self.mean(hidden), self.log_variance(hidden)

    def decode(self, latent: Tensor, embedding: Tensor) -> Tensor:
        """Images ``[N, C, H, W]`` in [0, 1]."""
        return self.decoder(torch.cat([latent, embedding], dim=1))

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction, mean and log variance; the latent is drawn by reparameterisation."""
        mean, log_variance = self.encode(images)
        latent = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        return self.decode(latent, self.embed(labels)), mean, log_variance


class OneHotCVAE(nn.Module):
    """Two convolutions, a small dense layer with the class, two heads; mirrored by the decoder.

    :param shape: ``(H, W, C)``; H and W must be multiples of 4
    :param latent: L, the size of the latent
    :param hidden: units of the encoder's dense layer; the decoder has none
    :param width: factor on the number of filters
    :param deterministic: the latent is the mean, in training too (as in the released code): no
        noise, a KL-regularised auto-encoder
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        n_classes: int,
        latent: int = 8,
        hidden: int = 16,
        width: float = 1.0,
        deterministic: bool = False,
    ):
        super().__init__()
        height, size_w, channels = shape
        first, second = max(1, round(32 * width)), max(1, round(64 * width))
        base = (second, height // 4, size_w // 4)
        features = base[0] * base[1] * base[2]
        self.n_classes = n_classes
        self.latent = latent
        self.deterministic = deterministic
        self.features = nn.Sequential(
            nn.Conv2d(channels, first, 3, 2, padding=1),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, 2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.hidden = nn.Sequential(nn.Linear(features + n_classes, hidden), nn.ReLU())
        self.mean = nn.Linear(hidden, latent)
        self.log_variance = nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(
            nn.Linear(latent + n_classes, features),
            nn.ReLU(),
            nn.Unflatten(1, base),
            nn.ConvTranspose2d(second, second, 3, 2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(second, first, 3, 2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(first, channels, 3, 1, padding=1),
        )

    def one_hot(self, labels: Tensor) -> Tensor:
        """``[N, K]`` of int64 labels ``[N]``."""
        return one_hot(labels, self.n_classes)

    def encode(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance, ``[N, L]`` each, of images ``[N, C, H, W]``."""
        features = torch.cat([self.features(images), self.one_hot(labels)], dim=1)
        hidden = self.hidden(features)
        return self.mean(hidden), self.log_variance(hidden)

    def decode(self, latent: Tensor, one_hot: Tensor) -> Tensor:
        """Images ``[N, C, H, W]`` in [0, 1]."""
        return torch.sigmoid(self.decoder(torch.cat([latent, one_hot], dim=1)))

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of the reconstruction, mean and log variance.

        In training the latent is drawn by reparameterisation, in eval mode it is the mean.
        """
        mean, log_variance = self.encode(images, labels)
        latent = mean
        if self.training and not self.deterministic:
            latent = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        return self.decoder(torch.cat([latent, self.one_hot(labels)], dim=1)), mean, log_variance
