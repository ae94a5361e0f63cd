"""Trained detectors outside of the workflow.

import ood

detector = ood.load("results/quick/digits/seed0/detectors/cmg_energy")
scores = detector.score(images)
unknown = scores > detector.threshold
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ood.data.images import ImageSet, convert, to_array
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

        :param images: uint8 ``[N, H, W, C]``; or a float tensor ``[N, C, H, W]`` in [0, 1]; or a
            list of arrays ``[H, W]`` or ``[H, W, 3]`` of uint8, of any sizes, which are brought to
            ``shape``
        :raises InputError: if they are of another shape
        """
        return self._run(images)[0]

    def classify(self, images: np.ndarray | Tensor | Sequence) -> list[str] | None:
        """The name of the nearest known class of each image; None where the method has none."""
        predicted = self._run(images)[1]
        return None if (predicted < 0).any() else [self.classes[index] for index in predicted]

    def _run(self, images: np.ndarray | Tensor | Sequence) -> tuple[np.ndarray, np.ndarray]:
        if isinstance(images, Tensor):
            images = to_array(images.float() if images.is_floating_point() else images)
        elif not isinstance(images, np.ndarray):
            images = convert([np.asarray(image) for image in images], self.shape)
        if images.shape[1:] != self.shape:
            raise InputError(
                f"images {list(images.shape)} do not fit a detector of height, width and channels "
                f"{self.shape}; a list of arrays of any size is brought to it"
            )
        image_set = ImageSet(images, np.zeros(len(images), np.int64))
        return detectors.run({"": self.detector}, image_set, self.compute)[""]


def load(path: str | Path, device: str = "cpu") -> Loaded:
    """A detector that the workflow has trained and evaluated.

    :param path: ``results/<scale>/<benchmark>/seed<k>/detectors/<method>``
    :param device: ``cpu`` or ``cuda``
    :raises InputError: if there is none
    """
    folder = Path(path)
    if not (folder / ABOUT).is_file():
        raise InputError(
            f"{folder}: no detector that the workflow has evaluated; expected "
            "results/<scale>/<benchmark>/seed<k>/detectors/<method>"
        )
    about = load_json(folder / ABOUT)
    compute = Compute(torch.device(device), about["precision"], about["scoring_batch"])
    found, known = restore(*detector_folder(folder), about, compute)
    return Loaded(found[""], about, known["record"], compute)
