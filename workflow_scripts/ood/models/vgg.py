"""The VGG-like encoder of VMDLS (Dinari, Freifeld, UAI 2022, released code)."""

from collections import OrderedDict

from torch import nn


class Features(nn.Sequential):
    """Eight 3x3 convolutions with batch norm and ReLU (64, 128 | 256, 256 | 256 four times), a max
    pool after the second, fourth and eighth, then two linear layers of 1024 with ReLU.

    Maps ``[N, C, H, W]`` to ``[N, 1024 * width]``.

    :param shape: ``(H, W, C)``; H and W at least 8
    :param width: factor on the number of filters and units
    """

    # the batch norms' outputs, before ReLU
    taps = ("norm2", "norm4", "norm8")

    def __init__(self, shape: tuple[int, int, int], width: float = 1.0):
        height, size_w, channels = shape
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        for number, base in enumerate((64, 128, 256, 256, 256, 256, 256, 256), 1):
            filters = max(1, round(base * width))
            parts[f"conv{number}"] = nn.Conv2d(channels, filters, 3, padding=1)
            parts[f"norm{number}"] = nn.BatchNorm2d(filters)
            parts[f"relu{number}"] = nn.ReLU(inplace=True)
            if number in (2, 4, 8):
                parts[f"pool{number}"] = nn.MaxPool2d(2)
            channels = filters
        units = max(1, round(1024 * width))
        parts["flatten"] = nn.Flatten()
        inputs = channels * (height // 8) * (size_w // 8)
        parts["linear1"] = nn.Sequential(nn.Linear(inputs, units), nn.ReLU())
        parts["linear2"] = nn.Sequential(nn.Linear(units, units), nn.ReLU())
        super().__init__(parts)
        self.out_features = units
