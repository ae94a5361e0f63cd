"""How far a run is, and the file from which an interrupted one continues."""

import hashlib
import logging
import time
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ood.errors import InputError
from ood.files import CHANGED, atomic
from ood.training.model_files import cpu_state, from_file_bytes, to_file_bytes
from ood.training.run import Run

log = logging.getLogger(__name__)


CHECKPOINT_SECONDS = 60


def _resume(run: Run) -> dict | None:
    path = run.checkpoint
    if not path.exists():
        return None
    try:
        # with its digest in front: a process that is killed could write one file of two
        found, _, written = path.read_bytes().partition(b"\n")
        if found != hashlib.sha256(written).hexdigest().encode():
            raise InputError(f"{path}: {CHANGED}")
        checkpoint = from_file_bytes(written, path)
    except InputError as error:
        log.warning("%s; starting from the first epoch", error)
        return None
    if checkpoint["identity"] != run.identity:
        log.info("the checkpoint %s is of other settings, data or code: not resumed", path)
        return None
    progress = checkpoint["progress"]
    epochs, steps = len(progress["history"]), progress["steps"]
    message = "resuming after epoch %d and %d steps from %s"
    log.info(message, epochs, steps, path, extra={"shown": True})
    return checkpoint


@dataclass
class Progress:
    """How far a run is, beside the weights and the optimiser's state.

    ``steps``, ``images``, ``seconds`` and ``sums`` (of the loss's terms) count within the epoch in
    progress; ``random`` holds the generators' states there. ``health`` is of the first epoch.
    """

    history: list[dict] = field(default_factory=list)
    snapshots: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    health: dict[str, dict] = field(default_factory=dict)
    steps: int = 0
    images: int = 0
    seconds: float = 0.0
    sums: dict[str, Tensor] = field(default_factory=dict)
    random: dict[str, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device) -> "Progress":
        """A checkpoint's tensors come from the CPU."""
        self.sums = {name: value.to(device) for name, value in self.sums.items()}
        return self

    def count(self, images: int) -> None:
        """A step is done; its terms are in ``sums``."""
        self.steps += 1
        self.images += images

    def keep_random(self, device: torch.device) -> None:
        self.random = {"cpu": torch.get_rng_state()}
        if device.type == "cuda":
            self.random["cuda"] = torch.cuda.get_rng_state(device)

    def restore_random(self, device: torch.device) -> None:
        if self.random:
            torch.set_rng_state(self.random["cpu"])
        if "cuda" in self.random:
            torch.cuda.set_rng_state(self.random["cuda"], device)

    def next_epoch(self) -> None:
        self.steps, self.images, self.seconds, self.random = 0, 0, 0.0, {}
        # a graph adds to these very tensors
        for total in self.sums.values():
            total.zero_()


class Checkpoint:
    """A run's side file: all that an interrupted run needs to continue."""

    def __init__(self, run: Run, part: nn.Module, optimizer: torch.optim.Optimizer):
        self.run, self.part, self.optimizer = run, part, optimizer
        self.saved = time.monotonic()

    def restore(self) -> Progress:
        """How far the run is; weights and optimiser are put back."""
        if not (found := _resume(self.run)):
            return Progress()
        self.part.load_state_dict(found["network"])
        # its options follow from settings and device
        options = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": found["optimizer"], "param_groups": options})
        return Progress(**found["progress"])

    def due(self) -> bool:
        return time.monotonic() - self.saved >= CHECKPOINT_SECONDS

    def save(self, progress: Progress) -> None:
        content = {
            "identity": self.run.identity,
            "network": cpu_state(self.part),
            "optimizer": self.optimizer.state_dict()["state"],
            "progress": vars(progress),
        }
        written = to_file_bytes(content)
        with atomic(self.run.checkpoint) as temporary:
            digest = hashlib.sha256(written).hexdigest().encode()
            temporary.write_bytes(digest + b"\n" + written)
        self.saved = time.monotonic()
