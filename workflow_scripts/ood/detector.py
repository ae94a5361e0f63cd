"""The contract of a method, and the one way to score an image set."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ood.images import ImageSet, to_tensor, to_unit
from ood.training import Machine


@dataclass(frozen=True)
class Record:
    """Where a method comes from.

    :param seed_settings: whose settings it follows
    :param tuned_on: the data that its settings were chosen on
    """

    title: str
    authors: str
    year: int
    arxiv: str | None
    seed_settings: str
    tuned_on: str


class Detector(Protocol):
    """What every method ends in."""

    def score(self, images: Tensor) -> Tensor:
        """``[N, C, H, W]`` float32, nominally in [0, 1] -> float64 ``[N]``, larger = more OOD.

        An image's score does not depend on the batch it came in.
        """

    def predict(self, images: Tensor) -> Tensor | None:
        """int64 class index ``[N]``, or None if the method does not classify."""


class Remembered(nn.Module):
    """A feature extractor that remembers its last input: what scores, predicts or compares
    snapshots on one batch shares one pass."""

    def __init__(self, extractor: nn.Module):
        super().__init__()
        self.extractor = extractor
        self.last: tuple[Tensor, Tensor] | None = None

    def forward(self, images: Tensor) -> Tensor:
        # gradients need their own pass
        if torch.is_grad_enabled():
            return self.extractor(images)
        if self.last is None or self.last[0] is not images:
            self.last = images, self.extractor(images)
        return self.last[1]


def run(
    detectors: dict[str, Detector], image_set: ImageSet, machine: Machine, batch_size: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Score a whole image set with each detector.

    :return: by the detectors' names, float64 scores ``[N]`` and int64 class indices ``[N]``, -1
        where the method does not classify
    """
    found = {name: ([], []) for name in detectors}
    for start in range(0, len(image_set), batch_size):
        batch = to_tensor(image_set.images[start : start + batch_size]).to(machine.device)
        batch = to_unit(batch)
        for name, detector in detectors.items():
            with torch.no_grad(), machine.autocast():
                score, predicted = detector.score(batch), detector.predict(batch)
            if predicted is None:
                predicted = torch.full((len(batch),), -1)
            found[name][0].append(score.double().cpu())
            found[name][1].append(predicted.cpu())
    return {
        name: (torch.cat(scores).numpy(), torch.cat(predictions).numpy())
        for name, (scores, predictions) in found.items()
    }
