"""Trained detectors, inside the workflow and outside of it.

import ood

detector = ood.load("results/quick/digits/seed0/detectors/cmg_energy")
scores = detector.score(images)
unknown = scores > detector.threshold
"""

import importlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ood import detector as detectors
from ood.errors import InputError
from ood.files import checksum, load_json
from ood.images import ImageSet, convert, to_array
from ood.training import Inputs, Machine, Run, Saved, load_model

# in a detector's folder: what the workflow knows of it
ABOUT = "about.json"


def restore(
    run: Path, method: str, about: dict, machine: Machine, suffix: str = "", oracle: bool = False
) -> tuple[dict[str, detectors.Detector], dict]:
    """The detectors of a method, as it is scored.

    :param run: the folder of a seed's results
    :param about: ``module``, ``settings``, ``fitted`` (whether a job has fitted it) and ``models``
        (those that its settings name)
    :param suffix: ``.validation`` for the state that validation has chosen
    :param oracle: a detector for each of the snapshots that the oracle protocol chooses from
    :return: by the suffix of their columns in a score file; and ``record``, ``parameters`` and
        ``flags`` of the method
    """
    module, snapshots = importlib.import_module(about["module"]), {}
    if about["fitted"]:
        base = run / "detectors" / method
        file = base / f"detector{suffix}.pt"
        content, known = load_model(file), load_json(file.with_suffix(".json"))
        if known["settings"] != about["settings"] or known["detector"] != checksum(file):
            raise InputError(
                f"{file}: not the detector of {method}'s settings; delete {base} and run again"
            )
        if oracle:
            snapshots = load_model(base / "snapshots.pt")
    else:

        def saved(named: str | list[str]):
            if isinstance(named, list):
                return [saved(name) for name in named]
            return Saved(run / "models" / named)

        models = {key: saved(named) for key, named in about["models"].items()}
        fitting = Run(0, machine, Path(), "", snapshots=oracle)
        fitted = module.fit(about["settings"], Inputs(models=models), fitting)
        content, snapshots = fitted.content, fitted.snapshots
        known = {"record": asdict(fitted.record), "parameters": fitted.parameters}
        known["flags"] = fitted.flags
    detector = module.load(content, machine)
    known = {name: known[name] for name in ("record", "parameters", "flags")}
    if not oracle:
        return {"": detector}, known
    return {f"_{s}": module.at_snapshot(detector, one) for s, one in snapshots.items()}, known


class Loaded:
    """A trained detector with what it needs to be used.

    :ivar shape: ``(H, W, C)`` of the images that it knows
    :ivar classes: names of the known classes, in the order of the indices that ``classify`` gives
    :ivar threshold: the score that 95 % of the known test images do not exceed
    :ivar record: title, authors and year of the method's paper
    """

    def __init__(self, detector: detectors.Detector, about: dict, record: dict, machine: Machine):
        self.detector, self.machine, self.record = detector, machine, record
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
        return detectors.run({"": self.detector}, image_set, self.machine)[""]


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
    machine = Machine(torch.device(device), about["precision"], about["scoring_batch"])
    found, known = restore(folder.parents[1], folder.name, about, machine)
    return Loaded(found[""], about, known["record"], machine)
