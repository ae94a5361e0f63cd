"""Optimizers by name, and the learning rate after each step."""

import importlib
import math
from collections.abc import Iterable

import torch
from torch import nn

from ood.settings.training import Schedule

OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "rmsprop": torch.optim.RMSprop,
    "adadelta": torch.optim.Adadelta,
    "sgd": torch.optim.SGD,
}


# those that PyTorch can step in one kernel
FUSED = ("adam", "sgd")


def build_optimizer(
    parameters: Iterable[nn.Parameter], settings: Schedule
) -> torch.optim.Optimizer:
    """The optimizer at the learning rate that the schedule starts from."""
    options = arguments(settings)
    if settings.name in FUSED:
        options["fused"] = True
    return optimizer_of(settings.name)(parameters, lr=settings.learning_rate, **options)


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
