"""Optimizers by name, and the learning rate after each step."""

import math
from collections.abc import Iterable

import torch
from torch import nn


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rates (You, Gitman, Ginsburg, arXiv 1708.03888) on SGD with momentum.

    For each tensor p with gradient g: r = trust |p| / (|g| + weight_decay |p| + eps), 1 where p or
    g is 0; v <- momentum v + r (g + weight_decay p); p <- p - lr v. Biases and batch norms too, as
    CSI has it.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 1e-3,
        eps: float = 1e-8,
    ):
        options = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(parameters, options | {"trust": trust, "eps": eps})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            values = [value for value in group["params"] if value.grad is not None]
            slopes, decay = [value.grad for value in values], group["weight_decay"]
            size, slope = (torch.stack(torch._foreach_norm(one)) for one in (values, slopes))
            ratio = group["trust"] * size / (slope + decay * size + group["eps"])
            ratio = torch.where((size > 0) & (slope > 0), ratio, 1.0)
            change = torch._foreach_add(slopes, values, alpha=decay)
            torch._foreach_mul_(change, list(ratio.unbind()))
            for value in values:
                if not self.state[value]:
                    self.state[value]["velocity"] = torch.zeros_like(value)
            velocities = [self.state[value]["velocity"] for value in values]
            torch._foreach_mul_(velocities, group["momentum"])
            torch._foreach_add_(velocities, change)
            torch._foreach_add_(values, velocities, alpha=-group["lr"])


OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "rmsprop": torch.optim.RMSprop,
    "adadelta": torch.optim.Adadelta,
    "sgd": torch.optim.SGD,
    "lars": LARS,
}


# what of an optimiser's settings ``learning_rate`` reads
SCHEDULE = ("decay", "drops", "warmup", "cosine", "linear")


# those that PyTorch can step in one kernel
FUSED = ("adam", "sgd")


def build_optimizer(parameters: Iterable[nn.Parameter], settings: dict) -> torch.optim.Optimizer:
    """One of ``OPTIMIZERS``.

    :param settings: ``name``, ``learning_rate``, and the rest as PyTorch calls it; ``SCHEDULE`` is
        left to ``learning_rate``
    """
    options = {name: value for name, value in settings.items() if name not in SCHEDULE}
    name = options.pop("name")
    if name in FUSED:
        options["fused"] = True
    return OPTIMIZERS[name](parameters, lr=options.pop("learning_rate"), **options)


def learning_rate(settings: dict, done: int, total: int) -> float:
    """The learning rate of an optimiser after ``done`` of ``total`` steps.

    :param settings: ``learning_rate``; ``decay``, a factor on it after each step; ``drops``, a
        ``factor`` on it ``at`` each of several shares of the steps; ``warmup``: a straight line to
        it from ``start`` times it, over a ``share`` of the steps; ``cosine``: whether it then falls
        along half a cosine, which is as long as all steps; ``linear``: it then falls in a straight
        line to so many times itself
    """
    rate, passed = settings["learning_rate"] * settings.get("decay", 1) ** done, done / total
    if warmup := settings.get("warmup"):
        if passed < warmup["share"]:
            return rate * (warmup["start"] + (1 - warmup["start"]) * passed / warmup["share"])
        passed -= warmup["share"]
    if "linear" in settings:
        fallen = passed / (1 - (warmup["share"] if warmup else 0))
        rate *= 1 - (1 - settings["linear"]) * fallen
    if settings.get("cosine"):
        rate *= (1 + math.cos(math.pi * passed)) / 2
    drops = settings.get("drops", {"at": [], "factor": 1})
    return rate * drops["factor"] ** sum(done >= share * total for share in drops["at"])
