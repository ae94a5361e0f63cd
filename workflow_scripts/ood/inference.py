"""Trained detectors outside of the workflow.

import ood

detector = ood.load("results/quick/digits/seed0/detectors/cmg_energy")
scores = detector.score(images)
unknown = detector.unknown(scores)
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ood.data.given import given_images
from ood.data.images import ImageSet
from ood.detection import contract as detectors
from ood.detection.files import restore
from ood.errors import InputError
from ood.files import load_json
from ood.layout import ABOUT, detector_folder
from ood.training.device import Compute


class Loaded:
    """A trained detector with what it needs to be used.

    :ivar shape: ``(H, W, C)`` of the images that it knows
    :ivar classes: names of the known classes, in the order of the indices that ``classify`` gives
    :ivar threshold: the score that 95 % of the known test images do not exceed
    :ivar record: title, authors and year of the method's paper
    """

    def __init__(self, detector: detectors.Detector, about: dict, record: dict, compute: Compute):
        self.detector, self.compute, self.record = detector, compute, record
        self.shape, self.classes = tuple(about["shape"]), list(about["classes"])
        self.threshold: float = about["threshold"]

    def score(self, images: np.ndarray | Tensor | Sequence) -> np.ndarray:
        """float64 ``[N]``, larger = more OOD.

        :param images: see ``given_images``: arrays, tensors, pictures, or a list of any sizes
        :raises InputError: if they are of another shape or type, not finite, or out of range
        """
        return self.detect(images)[0]

    def classify(self, images: np.ndarray | Tensor | Sequence) -> list[str] | None:
        """The name of the nearest known class of each image; None where the method has none."""
        return self.detect(images)[1]

    def detect(self, images: np.ndarray | Tensor | Sequence) -> tuple[np.ndarray, list[str] | None]:
        """What ``score`` and ``classify`` say, in one pass."""
        found = given_images(images, self.shape)
        image_set = ImageSet(found, np.zeros(len(found), np.int64))
        scores, predicted = detectors.run({"": self.detector}, image_set, self.compute)[""]
        classes = None if (predicted < 0).any() else [self.classes[index] for index in predicted]
        return scores, classes

    def unknown(self, scores: np.ndarray) -> np.ndarray:
        """Which scores are above the threshold; one that is no number is never of a known image."""
        return ~(np.asarray(scores) <= self.threshold)


def load(path: str | Path, device: str = "cpu") -> Loaded:
    """A detector that the workflow has trained and evaluated.

    :param path: ``results/<scale>/<benchmark>/seed<k>/detectors/<method>``
    :param device: ``cpu`` or ``cuda``
    :raises InputError: if there is none, or no such device
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"device {device}: PyTorch sees no GPU; use cpu")
    folder = Path(path)
    if not (folder / ABOUT).is_file():
        raise InputError(
            f"{folder}: no detector that the workflow has evaluated; expected "
            "results/<scale>/<benchmark>/seed<k>/detectors/<method>"
        )
    about = load_json(folder / ABOUT)
    compute = Compute(torch.device(device), about["precision"], about["scoring_batch"])
    try:
        found, known = restore(*detector_folder(folder), about, compute)
    except FileNotFoundError as error:
        raise InputError(
            f"{error.filename}: not there. A detector needs the models that it stands on: copy "
            f"{folder.parent.parent} as a whole"
        ) from error
    return Loaded(found[""], about, known["record"], compute)
