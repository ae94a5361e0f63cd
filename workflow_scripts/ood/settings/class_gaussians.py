"""Class Gaussians, as several methods fit them (``ood.detection.class_gaussians``)."""

from ood.settings.base import Positive, Probability, Settings


class Covariances(Settings):
    """How the covariances of classes are made regular."""

    jitter: Positive
    """What is added to the variances, as many times as it takes to factorise them."""
    shrinkage: Probability
    """Share by which a covariance is moved towards its mean variance times 1."""
