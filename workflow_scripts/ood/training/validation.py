"""What is measured after every epoch, and which epoch is the best."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ood.data.images import to_unit
from ood.training.run import Run, derive_seed


@dataclass
class Validation:
    """What is looked at after every epoch, with the network in eval mode.

    :param held_out: inputs and labels, on which the loss is recorded as ``validation_<term>``
    :param measure: called without gradients; its values are recorded
    :param best: the number (from 1) of the best epoch of a history; its state is handed back beside
        the last one
    :param patience: stop after so many epochs without a lower ``validation_loss`` and go back to
        the best epoch; None keeps the last
    """

    held_out: tuple[Tensor, Tensor] | None = None
    measure: Callable[[], dict[str, float]] | None = None
    best: Callable[[list[dict]], int] | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        if self.patience is not None:
            self.best = _lowest_loss

    def to(self, device: torch.device) -> None:
        if self.held_out is not None:
            self.held_out = tuple(part.to(device) for part in self.held_out)

    def exhausted(self, history: list[dict]) -> bool:
        return self.patience is not None and len(history) - self.best(history) >= self.patience

    def evaluate(
        self, network: nn.Module, loss: Callable[..., dict[str, Tensor]], batch_size: int, run: Run
    ) -> dict[str, float]:
        """Whatever is drawn is the same in every epoch."""
        mode = network.training
        network.eval()
        found = {}
        with torch.no_grad(), run.compute.autocast():
            if self.held_out is not None:
                torch.manual_seed(derive_seed(run.seed, "validation"))
                found |= self._held_out_means(loss, batch_size)
            if self.measure is not None:
                found |= self.measure()
        network.train(mode)
        return found

    def _held_out_means(
        self, loss: Callable[..., dict[str, Tensor]], batch_size: int
    ) -> dict[str, float]:
        inputs, labels = self.held_out
        sums: dict[str, Tensor] = {}
        for start in range(0, len(inputs), batch_size):
            batch = to_unit(inputs[start : start + batch_size])
            add_terms(sums, loss(batch, labels[start : start + batch_size]), len(batch))
        return mean_terms(sums, len(inputs), "validation_")


def _lowest_loss(history: list[dict]) -> int:
    """The first epoch with the lowest validation loss; 0 before the first."""
    losses = [row["validation_loss"] for row in history]
    return losses.index(min(losses)) + 1 if losses else 0


def add_terms(sums: dict[str, Tensor], terms: dict[str, Tensor], count: int) -> None:
    """Add a batch's mean terms times its images, in float64 and without waiting for the device."""
    for name, value in terms.items():
        if name in sums:
            sums[name].add_(value.detach(), alpha=count)
        else:
            sums[name] = value.detach().double() * count


def mean_terms(sums: dict[str, Tensor], images: int, prefix: str = "") -> dict[str, float]:
    """The sums' means; the device is waited for once."""
    totals = torch.stack(list(sums.values())).tolist() if sums else []
    return {f"{prefix}{name}": one / images for name, one in zip(sums, totals, strict=True)}
