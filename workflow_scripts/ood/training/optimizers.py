"""Optimizers by name, and the learning rate after each step."""

import importlib
import math

import torch
from torch import Tensor, nn

from ood.settings.training import Schedule

OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "rmsprop": torch.optim.RMSprop,
    "adadelta": torch.optim.Adadelta,
    "sgd": torch.optim.SGD,
}


# those that PyTorch can step in one kernel, and those that must be told of CUDA graphs
FUSED, CAPTURABLE = ("adam", "sgd"), ("adam", "rmsprop", "adadelta")


def build_optimizer(
    parameters: list[nn.Parameter], settings: Schedule, graphs: bool = False
) -> torch.optim.Optimizer:
    """The optimizer at the learning rate that the schedule starts from.

    :param graphs: whether its steps can be part of a CUDA graph: the learning rate is a tensor then
    """
    options, rate = arguments(settings), settings.learning_rate
    if settings.name in FUSED:
        options["fused"] = True
    if graphs:
        rate = torch.tensor(rate, device=parameters[0].device)
        if settings.name in CAPTURABLE:
            options["capturable"] = rate.is_cuda
    return optimizer_of(settings.name)(parameters, lr=rate, **options)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step, in place where a graph reads it."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def arguments(settings: Schedule) -> dict:
    """What an optimizer is told beside its learning rate."""
    return {
        name: value
        for name, value in settings.plain().items()
        if name not in Schedule.model_fields and name != "name"
    }


def optimizer_of(name: str) -> type[torch.optim.Optimizer]:
    """PyTorch's, or one of our own, by name: only those who choose it depend on it."""
    if name in OPTIMIZERS:
        return OPTIMIZERS[name]
    return getattr(importlib.import_module(f"ood.training.{name}"), name.upper())


def learning_rate(settings: Schedule, done: int, total: int) -> float:
    """The learning rate of an optimizer after ``done`` of ``total`` steps."""
    rate, passed = settings.learning_rate * (settings.decay or 1) ** done, done / total
    if warmup := settings.warmup:
        if passed < warmup.share:
            return rate * (warmup.start + (1 - warmup.start) * passed / warmup.share)
        passed -= warmup.share
    if settings.linear is not None:
        fallen = passed / (1 - (warmup.share if warmup else 0))
        rate *= 1 - (1 - settings.linear) * fallen
    if settings.cosine:
        rate *= (1 + math.cos(math.pi * passed)) / 2
    if settings.drops:
        drops = settings.drops
        rate *= drops.factor ** sum(done >= share * total for share in drops.at)
    return rate
