"""Features of several depths, and a Gaussian of each class with a covariance of its own."""

import math

import torch
from torch import Tensor, nn

from ood.errors import InputError
from ood.models.base import Normalized, Resized


class _Enough(Exception):
    """The last depth that is asked for has been seen."""


class Depths(nn.Module):
    """Features of four depths, ``[N, C, H, W]`` in [0, 1] -> four of float64 ``[N, D]``.

    The three maps of the extractor's ``taps`` averaged over their pixels, and its output. A net
    without ``taps`` gives those of three convolutions, a third, two thirds and the whole of the way
    through; of all where it has fewer.

    :param count: only the first so many
    """

    def __init__(self, features: nn.Module, count: int | None = None):
        super().__init__()
        self.features = features
        inner = features
        while isinstance(inner, Normalized | Resized):
            inner = inner.features
        modules = dict(inner.named_modules())
        names = getattr(inner, "taps", None)
        if names is None:
            every = [name for name, one in modules.items() if isinstance(one, nn.Conv2d)]
            chosen = {-(-len(every) * third // 3) - 1 for third in (1, 2, 3)} - {-1}
            names = [every[index] for index in sorted(chosen)]
        self.tapped = [modules[name] for name in names][:count]
        self.whole = count is None or count > len(self.tapped)

    def forward(self, images: Tensor) -> list[Tensor]:
        found: dict[nn.Module, Tensor] = {}

        def keep(module: nn.Module, _, output: Tensor) -> None:
            # at once: a layer that works in place may follow
            found[module] = output.mean((2, 3)).double()
            if not self.whole and len(found) == len(self.tapped):
                raise _Enough

        handles = [module.register_forward_hook(keep) for module in self.tapped]
        last = []
        try:
            last.append(self.features(images).double())
        except _Enough:
            pass
        finally:
            for handle in handles:
                handle.remove()
        return [*(found[module] for module in self.tapped), *last]


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
