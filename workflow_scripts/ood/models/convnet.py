"""The small convolutional classifier of CMG.

Wang et al., "CMG: A Class-Mixed Generation Approach to Out-of-Distribution Detection", ECML PKDD
2022. The layers are those of the authors' released code.
"""

from torch import nn

WIDTHS = (64, 64, 128, 128, 128, 128, 128, 128, 128)
DOWNSAMPLING_CONVS = (2, 5, 8)
DROPOUT_BEFORE_CONVS = (0, 3, 6)


class Features(nn.Sequential):
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
