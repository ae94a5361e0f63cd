"""The contract of a method, and the one way to score an image set.

A method's module has, for its detectors, ``fit(settings, inputs, run)`` -> ``Fitted`` and
``load(content, compute)`` -> ``Detector``. For its models it has, by type,

* ``MODELS``: ``fit(settings, inputs, run)``, the network and what its training leaves;
* ``NETWORKS``: ``build(settings)``, the network with fresh weights;
* ``HEALTH``, perhaps: ``measure(network, settings, images, compute)``, facts of
  ``ood.training.health`` from a few of its training images.

Settings are typed, those of ``ood.settings``. Where these say so, the module also has
``at_snapshot(detector, state)``, the detector with a state or settings that the ``oracle`` protocol
chooses from, and ``generate(settings, inputs, run)`` -> ``PseudoOOD``, with the settings that are
``GENERATED_FROM``.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from ood.data.images import ImageSet, to_tensor, to_unit
from ood.settings.base import Record
from ood.training.device import Compute


@dataclass
class Fitted:
    """What fitting a detector leaves.

    :param content: all that ``load`` needs; tensors, numbers and text in dictionaries and lists
    :param parameters: how many numbers were learned
    :param facts: numbers and text to keep beside the detector
    :param tables: rows to keep beside it, by name
    :param history: one row per epoch where fitting trains
    :param snapshots: what the ``oracle`` protocol chooses from, by name
    :param flags: what every row of the tables should say of the detector
    """

    content: dict
    record: Record
    parameters: int
    facts: dict = field(default_factory=dict)
    tables: dict[str, list[dict]] = field(default_factory=dict)
    history: list[dict] | None = None
    snapshots: dict = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)


@dataclass
class PseudoOOD:
    """Generated images to keep and to look at.

    :param sets: image sets by file name; ``test`` can be an OOD set of a benchmark
    :param kinds: what the labels of ``test`` mean
    :param rows: titles and images ``[N, H, W, C]`` of a grid, ``heads`` the titles of its columns
    :param latents: a plane of the latent space to look at, see ``image_plots.latents``
    """

    sets: dict[str, ImageSet]
    rows: list[tuple[str, np.ndarray]]
    heads: list[str] | None = None
    kinds: list[str] | None = None
    latents: dict | None = None


class Detector(ABC):
    """What every method ends in."""

    @abstractmethod
    def detect(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Score and class of each image.

        :param images: ``[N, C, H, W]`` float32, nominally in [0, 1]
        :return: float64 ``[N]``, larger = more OOD; and int64 class indices ``[N]``, or None if the
            method does not classify. An image's score does not depend on the batch it came in.
        """

    def score(self, images: Tensor) -> Tensor:
        """The scores of ``detect``."""
        return self.detect(images)[0]

    def predict(self, images: Tensor) -> Tensor | None:
        """The classes of ``detect``."""
        return self.detect(images)[1]


class FeatureCache(nn.Module):
    """A network that keeps what it said of its last input: detectors and snapshots that look at one
    batch share one pass."""

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
    detectors: dict[str, Detector], image_set: ImageSet, compute: Compute
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Score a whole image set with each detector.

    :return: by the detectors' names, float64 scores ``[N]`` and int64 class indices ``[N]``, -1
        where the method does not classify
    """
    found = {name: ([], []) for name in detectors}
    # as bytes to the device once, and the results back once: nothing between waits for a GPU
    images = to_tensor(image_set.images).to(compute.device)
    for part in images.split(compute.scoring_batch):
        batch = to_unit(part)
        for name, detector in detectors.items():
            with torch.no_grad(), compute.autocast():
                score, predicted = detector.detect(batch)
            if predicted is None:
                predicted = torch.full((len(batch),), -1)
            found[name][0].append(score.double())
            found[name][1].append(predicted)
    return {
        name: (torch.cat(scores).cpu().numpy(), torch.cat(predictions).cpu().numpy())
        for name, (scores, predictions) in found.items()
    }
