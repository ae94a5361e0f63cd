"""Scores of logits that several methods share."""

import torch
import torch.nn.functional as F
from torch import Tensor


def energy(logits: Tensor) -> Tensor:
    """E(x) = -logsumexp of all given logits, ``[N, M]`` -> ``[N]``."""
    return -torch.logsumexp(logits, dim=1)


def entropy(logits: Tensor) -> Tensor:
    """H of the softmax in nats, ``[N, K]`` -> ``[N]``."""
    log_p = F.log_softmax(logits, dim=1)
    return -(log_p.exp() * log_p).sum(1)


def largest_probability(logits: Tensor) -> Tensor:
    """max p, ``[N, K]`` -> float64 ``[N]``.

    In float64 confident values that differ by less than 6e-8 keep their order.
    """
    return F.softmax(logits.double(), dim=1).max(1).values
