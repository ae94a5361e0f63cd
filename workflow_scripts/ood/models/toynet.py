"""ToyNet, the small LeNet-like classifier of a public leave-out ensemble."""

from collections import OrderedDict

from torch import nn


class Features(nn.Sequential):
    """Two 5x5 convolutions (6 and 16 filters), each with ReLU and max pool 2, then linear 120 and
    84 with ReLU.

    Maps ``[N, C, H, W]`` to ``[N, 84 * width]``.

    :param shape: ``(H, W, C)``
    :param width: factor on the number of filters and units
    :param padding: of the convolutions; 0 as published, 2 keeps the maps of small images
    """

    def __init__(self, shape: tuple[int, int, int], width: float = 1.0, padding: int = 0):
        height, size_w, channels = shape
        first, second, third, last = (max(1, round(base * width)) for base in (6, 16, 120, 84))
        for _ in range(2):
            height, size_w = ((n + 2 * padding - 4) // 2 for n in (height, size_w))

        def convolution(inputs: int, outputs: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(inputs, outputs, 5, padding=padding), nn.ReLU(), nn.MaxPool2d(2)
            )

        super().__init__(
            OrderedDict(
                conv1=convolution(channels, first),
                conv2=convolution(first, second),
                flatten=nn.Flatten(),
                linear1=nn.Sequential(nn.Linear(second * height * size_w, third), nn.ReLU()),
                linear2=nn.Sequential(nn.Linear(third, last), nn.ReLU()),
            )
        )
        self.out_features = last
