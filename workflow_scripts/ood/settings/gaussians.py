"""Class Gaussians of a classifier's features (``ood.methods.gaussians``)."""

from typing import Annotated, ClassVar, Literal

from ood.settings.base import MethodSettings, NamesModel, Positive, Probability, Record, Settings


class Covariances(Settings):
    """How the covariances of classes are made regular."""

    jitter: Positive
    """What is added to the variances, as many times as it takes to factorise them."""
    shrinkage: Probability
    """Share by which a covariance is moved towards its mean variance times 1."""


class Gaussians(MethodSettings, Covariances):
    """A Gaussian for each class of features of four depths."""

    shares: ClassVar[str | None] = "classifier"

    pipeline: Literal["gaussians"]
    """Class Gaussians of features at four depths."""
    classifier: Annotated[str, NamesModel("classifier")]
    """The classifier whose features they are."""

    @property
    def record(self) -> Record:
        return Record(
            title="Class Gaussians of features at four depths",
            authors="–",
            year=0,
            arxiv=None,
            seed_settings="VMDLS's features and likelihood",
        )
