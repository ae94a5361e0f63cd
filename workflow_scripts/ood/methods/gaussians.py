"""A Gaussian per class of a plain classifier's features of four depths.

The control of VMDLS: its features and its score, but of a net trained with cross-entropy alone,
without a learned latent space and without an auto-encoder.
"""

import torch
from torch import Tensor, nn

from ood.data.images import to_unit
from ood.detection import classifier as classifiers
from ood.detection.class_gaussians import fit_gaussians, kept_parts, log_likelihoods
from ood.detection.contract import Fitted, Record, Remembered
from ood.models.base import Normalized, Resized
from ood.training.batches import tensors
from ood.training.device import Compute
from ood.training.run import Inputs, Run

# images in one pass on a CPU
CHUNK = 1000

RECORD = Record(
    title="Class Gaussians of features at four depths",
    authors="–",
    year=0,
    arxiv=None,
    seed_settings="VMDLS's features and likelihood",
    tuned_on="nothing",
)


class Depths(nn.Module):
    """Features of four depths, ``[N, C, H, W]`` in [0, 1] -> four of float64 ``[N, D]``.

    The three maps of the extractor's ``taps`` averaged over their pixels, and its output. A net
    without ``taps`` gives those of three convolutions, a third, two thirds and the whole of the way
    through; of all where it has fewer.
    """

    def __init__(self, features: nn.Module):
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
        self.tapped = [modules[name] for name in names]

    def forward(self, images: Tensor) -> list[Tensor]:
        found: dict[nn.Module, Tensor] = {}

        def keep(module: nn.Module, _, output: Tensor) -> None:
            # at once: a layer that works in place may follow
            found[module] = output.mean((2, 3)).double()

        handles = [module.register_forward_hook(keep) for module in self.tapped]
        try:
            last = self.features(images).double()
        finally:
            for handle in handles:
                handle.remove()
        return [*(found[module] for module in self.tapped), last]


def fit(settings: dict, inputs: Inputs, run: Run) -> Fitted:
    """The Gaussians, from one pass over the training images.

    :param settings: ``jitter`` and ``shrinkage`` of ``class_gaussians.fit_gaussians``
    """
    saved, compute = inputs.models["classifier"], run.compute
    depths = restore(**saved.content, compute=compute).extractor
    stored, labels = (part.to(compute.device) for part in tensors(inputs.images))
    with torch.no_grad(), compute.autocast():
        passes = [depths(to_unit(part)) for part in stored.split(compute.chunk(CHUNK))]
    parts = [torch.cat(one) for one in zip(*passes, strict=True)]
    kept = kept_parts(parts)
    features = torch.cat([parts[index] for index in kept], dim=1)
    means, factors, added = fit_gaussians(
        features, labels, settings["jitter"], settings["shrinkage"]
    )
    statistics = {"kept": kept, "means": means.cpu(), "factors": factors.cpu()}
    return Fitted(
        {"classifier": saved.content, "statistics": statistics},
        RECORD,
        saved.parameters,
        facts={
            "dimensions": means.shape[1],
            "kept_parts": kept,
            "added_to_variances": added,
            "shrinkage": settings["shrinkage"],
        },
    )


class GaussiansDetector:
    """The best class log-likelihood, negated.

    :param statistics: of ``fit``
    """

    def __init__(self, depths: Remembered, statistics: dict):
        self.depths = depths
        self.statistics = statistics
        # score and prediction of one batch share it
        self._last: tuple[Tensor, Tensor] | None = None

    def values(self, images: Tensor) -> Tensor:
        """The log-likelihood of every class, float64 ``[N, K]``."""
        if self._last is None or self._last[0] is not images:
            s, parts = self.statistics, self.depths(images)
            features = torch.cat([parts[index] for index in s["kept"]], dim=1)
            self._last = images, log_likelihoods(features, s["means"], s["factors"])
        return self._last[1]

    def score(self, images: Tensor) -> Tensor:
        return -self.values(images).max(1).values

    def predict(self, images: Tensor) -> Tensor:
        return self.values(images).argmax(1)


def restore(settings: dict, state: dict[str, Tensor], compute: Compute) -> Remembered:
    """The classifier's features of four depths, which remember their last batch."""
    classifier = classifiers.restore(settings, state).to(compute.device)
    return Remembered(Depths(classifier.features).eval())


def load(content: dict, compute: Compute) -> GaussiansDetector:
    """The detector of ``fit``."""
    statistics = {
        name: value.to(compute.device) if isinstance(value, Tensor) else value
        for name, value in content["statistics"].items()
    }
    return GaussiansDetector(compute.shared(restore, content["classifier"]), statistics)
