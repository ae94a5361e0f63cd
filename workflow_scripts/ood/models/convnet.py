"""The small convolutional classifiers of CMG (``ConvFeatures``) and OODGen (``TwoConvFeatures``).

Wang et al., "CMG: A Class-Mixed Generation Approach to Out-of-Distribution Detection", ECML PKDD
2022; Vernekar et al., "Out-of-distribution Detection in Classifiers via Generation", arXiv
1910.04241. The layers are those of the authors' released code.
"""

import torch
from torch import Tensor, nn

WIDTHS = (64, 64, 128, 128, 128, 128, 128, 128, 128)
DOWNSAMPLING_CONVS = (2, 5, 8)
DROPOUT_BEFORE_CONVS = (0, 3, 6)


class ConvFeatures(nn.Sequential):
    """Nine 3x3 convolutions, each followed by batch norm and LeakyReLU(.2).

    Convolutions 3, 6 and 9 halve the map (28 -> 14 -> 7 -> 4; 8 -> 4 -> 2 -> 1); whole channels
    are dropped with probability ``dropout`` before convolutions 1, 4 and 7, the first of which
    sees the image itself.

    Maps ``[N, C, H, W]`` in [0, 1] to ``[N, out_features]``.
    """

    def __init__(self, shape: tuple[int, int, int], width: float = 1.0, dropout: float = 0.2):
        height, size_w, channels = shape
        layers: list[nn.Module] = []
        for index, base in enumerate(WIDTHS):
            if index in DROPOUT_BEFORE_CONVS:
                layers.append(nn.Dropout2d(dropout))
            stride = 2 if index in DOWNSAMPLING_CONVS else 1
            filters = max(1, round(base * width))
            conv = nn.Conv2d(channels, filters, 3, stride, padding=1, bias=False)
            norm = nn.BatchNorm2d(filters)
            nn.init.normal_(conv.weight, 0.0, 0.05)
            nn.init.normal_(norm.weight, 1.0, 0.02)
            layers += [conv, norm, nn.LeakyReLU(0.2)]
            channels = filters
            height, size_w = -(-height // stride), -(-size_w // stride)
        super().__init__(*layers, nn.Flatten())
        self.out_features = channels * height * size_w


class TwoConvFeatures(nn.Sequential):
    """Two 3x3 convolutions without padding (32 and 64 filters), max pool 2, dropout.

    Maps ``[N, C, H, W]`` in [0, 1] to ``[N, out_features]``; 28x28 -> 9,216.
    """

    def __init__(self, shape: tuple[int, int, int], width: float = 1.0, dropout: float = 0.25):
        height, size_w, channels = shape
        first, second = max(1, round(32 * width)), max(1, round(64 * width))
        super().__init__(
            nn.Conv2d(channels, first, 3),
            nn.ReLU(),
            nn.Conv2d(first, second, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(dropout),
            nn.Flatten(),
        )
        self.out_features = second * ((height - 4) // 2) * ((size_w - 4) // 2)


class Normalized(nn.Module):
    """A feature extractor behind (x - mean) / sd of each channel.

    :param mean: of each channel, in units of [0, 1] pixels
    :param sd: likewise
    """

    def __init__(self, features: nn.Module, mean: list[float], sd: list[float]):
        super().__init__()
        self.features = features
        self.out_features = features.out_features
        for name, values in (("mean", mean), ("sd", sd)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.sd

    def forward(self, images: Tensor) -> Tensor:
        return self.features(self.normalise(images))


class Classifier(nn.Module):
    """A feature extractor and a head: linear, ReLU, dropout, linear (the part that CMG fine-tunes),
    or one linear map where ``hidden`` is None.

    ``forward`` maps images ``[N, C, H, W]`` in [0, 1] to logits ``[N, n_out]``. Logits
    ``0 .. n_classes - 1`` belong to the ID classes, logit ``n_classes`` is the reject class.
    """

    def __init__(self, features: nn.Module, hidden: int | None, n_out: int, dropout: float = 0.0):
        super().__init__()
        self.features = features
        inputs, layers = features.out_features, []
        if hidden is not None:
            layers = [nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout)]
            inputs = hidden
        self.head = nn.Sequential(*layers, nn.Linear(inputs, n_out))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))
