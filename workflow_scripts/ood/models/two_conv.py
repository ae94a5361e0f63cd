"""The small classifier of OODGen.

Vernekar et al., "Out-of-distribution Detection in Classifiers via Generation", arXiv 1910.04241.
The layers are those of the authors' released code.
"""

from torch import nn


class Features(nn.Sequential):
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
