"""The contract of a method, and the one way to score an image set."""

from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

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

    def as_dict(self) -> dict:
        return asdict(self)


class Detector(Protocol):
    """What every method ends in."""

    def score(self, images: Tensor) -> Tensor:
        """``[N, C, H, W]`` float32, nominally in [0, 1] -> float64 ``[N]``, larger = more OOD.

        An image's score does not depend on the batch it came in.
        """

    def predict(self, images: Tensor) -> Tensor | None:
        """int64 class index ``[N]``, or None if the method does not classify."""


def run(
    detector: Detector, image_set: ImageSet, machine: Machine, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Score a whole image set.

    :return: float64 scores ``[N]`` and int64 class indices ``[N]``, -1 where the method does not
        classify
    """
    scores, predictions = [], []
    for start in range(0, len(image_set), batch_size):
        batch = to_tensor(image_set.images[start : start + batch_size]).to(machine.device)
        batch = to_unit(batch)
        with torch.no_grad(), machine.autocast():
            scores.append(detector.score(batch).double().cpu())
            predicted = detector.predict(batch)
        if predicted is None:
            predicted = torch.full((len(batch),), -1)
        predictions.append(predicted.cpu())
    return torch.cat(scores).numpy(), torch.cat(predictions).numpy()
