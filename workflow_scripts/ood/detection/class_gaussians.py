"""A Gaussian with a covariance of its own for each class of features."""

import math

import torch
from torch import Tensor

from ood.errors import InputError


def kept_parts(parts: list[Tensor]) -> list[int]:
    """Which parts repeat no later one: in DenseNet and WRN the third depth is the fourth."""

    def repeated(index: int) -> bool:
        return any(
            other.shape == parts[index].shape
            and torch.allclose(other, parts[index], rtol=1e-4, atol=1e-6)
            for other in parts[index + 1 :]
        )

    return [index for index in range(len(parts)) if not repeated(index)]


def fit_gaussians(
    features: Tensor, labels: Tensor, jitter: float, shrinkage: float
) -> tuple[Tensor, Tensor, float]:
    """Mean ``[K, D]`` and lower Cholesky factor of the covariance ``[K, D, D]`` of every class.

    The covariances (divided by n) are first moved by the share ``shrinkage`` towards the mean
    variance times 1, then k * ``jitter`` is added to the variances: two more than the smallest k
    for which all of them can be factorised.

    :param features: float64 ``[N, D]`` of all training images
    :return: means, factors, and what was added
    :raises InputError: if 1,000 times ``jitter`` does not do
    """
    means, covariances = [], []
    for k in range(int(labels.max()) + 1):
        mine = features[labels == k]
        centred = mine - mine.mean(0)
        covariance = centred.T @ centred / len(mine)
        spread = covariance.diagonal().mean() * torch.eye(len(covariance)).to(covariance)
        means.append(mine.mean(0))
        covariances.append((1 - shrinkage) * covariance + shrinkage * spread)
    stacked = torch.stack(covariances)
    one = torch.eye(stacked.shape[1]).to(stacked)
    for k in range(1001):
        if not torch.linalg.cholesky_ex(stacked + k * jitter * one).info.any():
            added = (k + 2) * jitter
            return torch.stack(means), torch.linalg.cholesky(stacked + added * one), added
    raise InputError(
        f"the class covariances are singular even with {1000 * jitter:g} added to the variances; "
        "raise jitter or shrinkage in the method's settings"
    )


def log_likelihoods(features: Tensor, means: Tensor, factors: Tensor) -> Tensor:
    """log N(x; mean, covariance) of every class, float64 ``[N, D]`` -> ``[N, K]``."""
    found = []
    for mean, factor in zip(means, factors, strict=True):
        whitened = torch.linalg.solve_triangular(factor, (features - mean).T, upper=False)
        log_root = factor.diagonal().log().sum() + 0.5 * len(mean) * math.log(2 * math.pi)
        found.append(-0.5 * whitened.square().sum(0) - log_root)
    return torch.stack(found, dim=1)
