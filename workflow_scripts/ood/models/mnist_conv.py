"""The convolutional encoder of VMDLS for MNIST (Dinari, Freifeld, UAI 2022, released code)."""

from collections import OrderedDict

from torch import nn


class Features(nn.Sequential):
    """Five 3x3 convolutions of 100 filters with ReLU, a max pool after the second, fourth and
    fifth, then linear 500 without activation.

    Maps ``[N, C, H, W]`` to ``[N, 500 * width]``.

    :param shape: ``(H, W, C)``; H and W at least 8
    :param width: factor on the number of filters and units
    """

    taps = ("conv2", "pool2", "relu3")

    def __init__(self, shape: tuple[int, int, int], width: float = 1.0):
        height, size_w, channels = shape
        filters = max(1, round(100 * width))
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        for number in range(1, 6):
            parts[f"conv{number}"] = nn.Conv2d(channels, filters, 3, padding=1)
            parts[f"relu{number}"] = nn.ReLU()
            if number in (2, 4, 5):
                parts[f"pool{number}"] = nn.MaxPool2d(2)
            channels = filters
        units = max(1, round(500 * width))
        parts["flatten"] = nn.Flatten()
        parts["linear"] = nn.Linear(filters * (height // 8) * (size_w // 8), units)
        super().__init__(parts)
        self.out_features = units
