"""LARS, which PyTorch does not have."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rates (You, Gitman, Ginsburg, arXiv 1708.03888) on SGD with momentum.

    For each tensor p with gradient g: r = trust |p| / (|g| + weight_decay |p| + eps), 1 where p or
    g is 0; v <- momentum v + r (g + weight_decay p); p <- p - lr v. Biases and batch norms too, as
    CSI has it.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float | Tensor,
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
            if isinstance(group["lr"], Tensor):
                # a factor has to be a number, which a graph could not change
                torch._foreach_sub_(values, torch._foreach_mul(velocities, group["lr"]))
            else:
                torch._foreach_add_(values, velocities, alpha=-group["lr"])
