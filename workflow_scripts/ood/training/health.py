"""What a silent failure of training leaves behind: dead units, constant outputs, a loss that stays.

One batch goes through the loss as in training, but for dropout and batch norm, and a mode of
PyTorch listens to every ReLU on its way, whether it is a module or a call. What else is to be known
of a kind of model, its module measures under ``HEALTH``; ``CHECKS`` says which values are bad.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ood.data.images import ImageSet, to_tensor
from ood.training.device import Compute

RELUS = {F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}
# images in one pass on a CPU
CHUNK = 100
# epochs from which on a loss is expected to move, and how much
MOVING_EPOCHS, MOVED = 4, 0.01


@dataclass(frozen=True)
class Check:
    """Which values of a fact are bad.

    :param limit: the bad values are at or beyond it: ``above``, or below
    :param says: the flag; ``{value}`` stands for the fact
    """

    fact: str
    limit: float
    above: bool
    says: str

    def fails(self, value: float) -> bool:
        return math.isnan(value) or (value >= self.limit if self.above else value <= self.limit)


CHECKS = (
    Check("dead_units", 0.95, True, "{value:.0%} of a layer's units are dead"),
    Check("output_spread", 1e-6, False, "all outputs are the same"),
    Check("loss_moved", MOVED, False, "the loss has not moved since the first epoch"),
    Check("kl_nats", 0.1, False, "the latent holds {value:.3f} nats: it is not used"),
    Check("used_latents", 0, False, "no latent is used"),
    Check("largest_class", 0.95, True, "{value:.0%} of predictions are one class"),
    Check("accuracy_over_chance", 0, False, "no better than chance on training images"),
    Check("positives_over_negatives", 0.05, False, "views of all images look alike"),
    Check("nats_below_uniform", 0, False, "no better than uniform pixels"),
    Check("nats_below_pixels", 0, False, "no better than independent pixels"),
)


def flags_of(facts: dict[str, float]) -> list[str]:
    """What is bad in a record, in the order of ``CHECKS``."""
    return [
        check.says.format(value=facts[check.fact])
        for check in CHECKS
        if check.fact in facts and check.fails(facts[check.fact])
    ]


class _Listening(TorchFunctionMode):
    """Notes for each ReLU which of its units are positive anywhere."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.alive: dict[str, Tensor] = {}
        self.outputs: list[Tensor] = []
        self._inside: list[str] = []
        self._handles = []
        for name, module in network.named_modules():
            self._handles.append(module.register_forward_pre_hook(self._enter(name)))
            self._handles.append(module.register_forward_hook(self._leave))
        self._handles.append(network.register_forward_hook(self._keep))

    def _enter(self, name: str) -> Callable:
        return lambda *_: self._inside.append(name)

    def _leave(self, *_) -> None:
        self._inside.pop()

    def _keep(self, module: nn.Module, _, output: object) -> None:
        first = output[0] if isinstance(output, tuple | list) else output
        self.outputs.append(first.detach())

    def __torch_function__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        if func in RELUS and output.ndim > 1:
            positive = (output.detach() > 0).transpose(0, 1).flatten(1).any(1)
            name = self._inside[-1] if self._inside else "network"
            if name in self.alive and self.alive[name].shape == positive.shape:
                positive = positive | self.alive[name]
            self.alive[name] = positive
        return output

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()


@contextmanager
def _undisturbed(network: nn.Module, compute: Compute) -> Iterator[None]:
    """Eval mode; afterwards modes, buffers and random states are as before."""
    modes = {module: module.training for module in network.modules()}
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    devices = [compute.device] if compute.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.no_grad(), compute.autocast():
        network.eval()
        try:
            yield
        finally:
            for module, mode in modes.items():
                module.training = mode
            for name, value in network.named_buffers():
                value.copy_(buffers[name])


def look(
    network: nn.Module, loss: Callable[..., object], batch: tuple[Tensor, ...], compute: Compute
) -> dict:
    """The facts that every model has, from one batch.

    :return: ``layers``, by name the share of each ReLU's units that no image makes positive;
        ``dead_units``, the largest; ``output_spread``, the largest standard deviation of an output
        over the batch. Without ReLU, or where the loss does not call the network, left out
    """
    with _undisturbed(network, compute):
        listening = _Listening(network)
        try:
            with listening:
                loss(*batch)
        finally:
            listening.close()
    found: dict = {}
    if listening.alive:
        layers = {name: 1 - float(alive.double().mean()) for name, alive in listening.alive.items()}
        found = {"layers": layers, "dead_units": max(layers.values())}
    if listening.outputs and len(listening.outputs[0]) > 1:
        spread = listening.outputs[0].double().flatten(1).std(0)
        found["output_spread"] = float(spread.max())
    return found


def loss_moved(history: list[dict]) -> dict[str, float]:
    """``loss_moved``: by which share the loss has changed since the first epoch; nothing for a
    short training."""
    if len(history) < MOVING_EPOCHS:
        return {}
    first, last = history[0]["loss"], history[-1]["loss"]
    return {"loss_moved": abs(last - first) / max(abs(first), 1e-12)}


def of_latents(mean: Tensor, log_variance: Tensor, used: float = 0.01) -> dict[str, float]:
    """``kl_nats`` from N(0, 1) of an image, and ``used_latents``, whose mean varies.

    :param mean: ``[N, L]``, and the logarithm of the variances
    :param used: a latent whose mean's variance is smaller counts as unused
    """
    mean, log_variance = mean.double(), log_variance.double()
    kl = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()
    return {"kl_nats": max(0.0, float(kl)), "used_latents": int((mean.var(0) > used).sum())}


def class_health(
    network: nn.Module, n_classes: int, image_set: ImageSet, compute: Compute
) -> dict[str, float]:
    """``of_predictions`` of a network whose first logits are those of the labels."""
    images, labels = to_tensor(image_set.images), torch.from_numpy(image_set.labels)
    logits = compute.batched(network, images, compute.chunk(CHUNK))[:, :n_classes]
    return of_predictions(logits.float(), labels.to(compute.device))


def of_predictions(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """``largest_class``, the share of one predicted class, where no class has half of the labels;
    and ``accuracy_over_chance``: accuracy less that of the most frequent class and two standard
    errors of it.

    :param logits: ``[N, K]`` of the classes that the labels number
    """
    predicted, count = logits.argmax(1), len(labels)
    chance = float(labels.bincount().max()) / count
    error = 2 * math.sqrt(chance * (1 - chance) / count)
    right = float((predicted == labels).double().mean())
    found = {"accuracy_over_chance": right - chance - error}
    if chance < 0.5:
        found["largest_class"] = float(predicted.bincount().max()) / count
    return found
