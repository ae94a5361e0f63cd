"""Class Gaussians of a classifier's features (``ood.methods.gaussians``)."""

from typing import Annotated, ClassVar, Literal

from ood.settings.base import MethodSettings, NamesModel, Record
from ood.settings.class_gaussians import Covariances


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
