"""Batches of an image set that stays on the device, and which images validate."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ood.data.images import ImageSet, to_tensor, to_unit
from ood.training.run import derive_seed


def hold_out(count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted indices of the training images and of the random ``share`` that validates."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "hold_out"))
    order = torch.randperm(count, generator=generator).numpy()
    held = max(1, round(share * count))
    return np.sort(order[held:]), np.sort(order[:held])


def split(image_set: ImageSet, share: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """The images to train on and those that validate, see ``hold_out``."""
    return tuple(image_set.take(part) for part in hold_out(len(image_set), share, seed))


class Batches:
    """The batches of one or two sources, on the device; images are scaled to [0, 1] there.

    :param inputs: ``[N, ...]``, uint8 images or floats, which are used as they are
    :param labels: int64 ``[N]``
    :param beside: other inputs; each step has as many of them as of ``inputs``, and one is not used
        twice before all have been used
    :param augment: applied to the batches of both
    :param order: called at the start of an epoch for the indices whose batches it trains on;
        without it all inputs in random order
    """

    def __init__(
        self,
        inputs: Tensor,
        labels: Tensor,
        batch_size: int,
        *,
        beside: Tensor | None = None,
        augment: Callable[[Tensor], Tensor] | None = None,
        order: Callable[[], Tensor] | None = None,
    ):
        self.inputs, self.labels, self.batch_size = inputs, labels, batch_size
        self.beside, self.augment, self.order = beside, augment, order
        self.per_epoch = -(-len(inputs) // batch_size)
        if order is not None:
            self.per_epoch = len(inputs) // batch_size
        # batch norm cannot train on a single image
        elif len(inputs) % batch_size == 1 and len(inputs) > 1:
            self.per_epoch -= 1

    def to(self, device: torch.device) -> None:
        self.inputs, self.labels = self.inputs.to(device), self.labels.to(device)
        self.beside = None if self.beside is None else self.beside.to(device)

    def shuffle(self, batches: int | None) -> None:
        """Draw an epoch's order from PyTorch's global random state.

        :param batches: how many; None for one pass
        """
        wanted = len(self.inputs) if batches is None else batches * self.batch_size
        drawn = self.order() if self.order else shuffled(len(self.inputs), wanted)
        self._drawn = drawn.to(self.inputs.device)
        if self.beside is not None:
            self._drawn_beside = shuffled(len(self.beside), wanted).to(self.inputs.device)

    def sample(self) -> tuple[Tensor, ...]:
        """A batch as ``batch`` gives it, of inputs at equal distances; nothing is drawn."""
        count = min(self.batch_size, len(self.inputs))
        chosen = torch.linspace(0, len(self.inputs) - 1, count).long().to(self.inputs.device)
        found = [to_unit(self.inputs[chosen])]
        if self.beside is not None:
            every = torch.arange(count, device=self.beside.device) % len(self.beside)
            found.append(to_unit(self.beside[every]))
        return found[0], self.labels[chosen], *found[1:]

    def chosen(self, number: int) -> tuple[Tensor, ...]:
        """Indices of the inputs of a batch, by its number in the epoch, and with a second source of
        as many there; int64."""
        part = slice(number * self.batch_size, (number + 1) * self.batch_size)
        chosen = self._drawn[part]
        if self.beside is None:
            return (chosen,)
        # no more than the batch has in an epoch's last step
        return chosen, self._drawn_beside[part][: len(chosen)]

    def batch(self, chosen: Tensor, *beside: Tensor) -> tuple[Tensor, ...]:
        """Float32 inputs, int64 labels and, with a second source, its inputs."""
        found = [to_unit(self.inputs[chosen])]
        found += [to_unit(self.beside[one]) for one in beside]
        if self.augment:
            found = [self.augment(one) for one in found]
        return found[0], self.labels[chosen], *found[1:]


def batches(image_set: ImageSet, batch_size: int, **more) -> Batches:
    """The batches of an image set; ``more`` is ``Batches``'s."""
    return Batches(*tensors(image_set), batch_size, **more)


def tensors(image_set: ImageSet) -> tuple[Tensor, Tensor]:
    """uint8 or float32 images ``[N, C, H, W]`` and int64 labels ``[N]``."""
    return to_tensor(image_set.images), torch.from_numpy(image_set.labels)


def shuffled(count: int, wanted: int) -> Tensor:
    """At least ``wanted`` indices below ``count`` in random order, none twice before all once."""
    order = torch.randperm(count)
    while len(order) < wanted:
        order = torch.cat([order, torch.randperm(count)])
    return order
