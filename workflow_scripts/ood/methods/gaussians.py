"""A Gaussian per class of a plain classifier's features of four depths.

The control of VMDLS: its features and its score, but of a net trained with cross-entropy alone,
without a learned latent space and without an auto-encoder.
"""

import torch
from torch import Tensor

from ood.detection import classifier as classifiers
from ood.detection.class_gaussians import Depths, fit_gaussians, kept_parts, log_likelihoods
from ood.detection.contract import Detector, FeatureCache, Fitted
from ood.settings.gaussians import Gaussians
from ood.training.batches import tensors
from ood.training.device import Compute
from ood.training.model_files import restore
from ood.training.run import Inputs, Run

# images in one pass on a CPU
CHUNK = 1000


def fit(settings: Gaussians, inputs: Inputs, run: Run) -> Fitted:
    """The Gaussians, from one pass over the training images."""
    saved, compute = inputs.models["classifier"], run.compute
    depths = restore_depths(saved.content, compute).extractor
    images, labels = tensors(inputs.images)
    parts = compute.batched(depths, images, compute.chunk(CHUNK))
    labels = labels.to(compute.device)
    kept = kept_parts(parts)
    features = torch.cat([parts[index] for index in kept], dim=1)
    means, factors, added = fit_gaussians(features, labels, settings.jitter, settings.shrinkage)
    statistics = {"kept": kept, "means": means.cpu(), "factors": factors.cpu()}
    return Fitted(
        {"classifier": saved.content, "statistics": statistics},
        settings.record,
        saved.parameters,
        facts={
            "dimensions": means.shape[1],
            "kept_parts": kept,
            "added_to_variances": added,
            "shrinkage": settings.shrinkage,
        },
    )


class GaussiansDetector(Detector):
    """The best class log-likelihood, negated.

    :param statistics: of ``fit``
    """

    def __init__(self, depths: FeatureCache, statistics: dict):
        self.depths = depths
        self.statistics = statistics

    def detect(self, images: Tensor) -> tuple[Tensor, Tensor]:
        s, parts = self.statistics, self.depths(images)
        features = torch.cat([parts[index] for index in s["kept"]], dim=1)
        best = log_likelihoods(features, s["means"], s["factors"]).max(1)
        return -best.values, best.indices


def restore_depths(content: dict, compute: Compute) -> FeatureCache:
    """The classifier's features of four depths, kept of the last batch."""
    classifier = restore(classifiers.build, content, compute)
    return FeatureCache(Depths(classifier.features).eval())


def load(content: dict, compute: Compute) -> GaussiansDetector:
    """The detector of ``fit``."""
    statistics = {
        name: value.to(compute.device) if isinstance(value, Tensor) else value
        for name, value in content["statistics"].items()
    }
    return GaussiansDetector(compute.shared(restore_depths, content["classifier"]), statistics)
