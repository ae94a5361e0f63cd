"""What a training or a fitting is given beside its settings: seed, inputs, where it may save."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from ood.data.images import ImageSet
from ood.training.device import Compute
from ood.training.model_files import TrainedModel


def derive_seed(*parts: object) -> int:
    """A seed in [0, 2**63) from any names and numbers, the same on every computer."""
    text = json.dumps([str(part) for part in parts])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1


@dataclass(frozen=True)
class Run:
    """What a training run needs beside its settings and data.

    :param seed: all its randomness follows from it
    :param checkpoint: side file, written every ``CHECKPOINT_SECONDS``; whoever started the run
        deletes it when the results are safe
    :param identity: digest of settings, data and code; a checkpoint of another is not resumed
    :param snapshots: whether to keep the states that the ``oracle`` protocol chooses from
    :param origin: what ``seed`` was derived from
    """

    seed: int
    compute: Compute
    checkpoint: Path
    identity: str
    snapshots: bool = False
    origin: tuple[object, ...] = ()

    def seed_of(self, part: str) -> int:
        """A seed for a part of the run."""
        return derive_seed(*self.origin, part)


@dataclass(frozen=True)
class Inputs:
    """What a model or a detector is fitted on; None, or missing, where its rule does not say.

    :param images: ID training images with labels 0 .. K - 1
    :param test: ID test images, likewise
    :param classes: the labels' names: the ID classes in the order in which they were renumbered
    :param validation: the benchmark's validation OOD set
    :param validation_name: what the tables call it
    :param models: trained models by the setting that names one, or several
    :param file: a file of the user's that the settings name
    """

    images: ImageSet | None = None
    test: ImageSet | None = None
    classes: tuple[int, ...] = ()
    validation: ImageSet | None = None
    validation_name: str | None = None
    models: dict[str, TrainedModel | list[TrainedModel]] = field(default_factory=dict)
    file: Path | None = None

    def flags(self) -> list[str]:
        """What is not healthy about the models."""
        models = [
            one
            for named in self.models.values()
            for one in (named if isinstance(named, list) else [named])
        ]
        return list(dict.fromkeys(flag for model in models for flag in model.flags))
