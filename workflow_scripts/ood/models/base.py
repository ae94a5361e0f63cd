"""What nets are put together from: normalisation in front, a head behind a feature extractor."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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


class Resized(nn.Module):
    """A feature extractor behind a bilinear change of height and width; images that have the size
    already pass as they are."""

    def __init__(self, features: nn.Module, size: int):
        super().__init__()
        self.features, self.size = features, size
        self.out_features = features.out_features

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[2:] != (self.size, self.size):
            images = F.interpolate(images, (self.size, self.size), mode="bilinear")
        return self.features(images)


class Head(nn.Sequential):
    """Layers that work in float32 whatever the precision: of logits with the 8 bits of bfloat16
    many would be equal."""

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            wanted = torch.promote_types(features.dtype, torch.float32)
            return super().forward(features.to(wanted))


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
        self.head = Head(*layers, nn.Linear(inputs, n_out))

    def hidden(self, images: Tensor) -> Tensor:
        """The input of the last linear map, ``[N, D]``."""
        return self.head[:-1](self.features(images))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))
