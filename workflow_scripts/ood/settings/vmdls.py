"""VMDLS (``ood.methods.vmdls``)."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ood.settings.base import (
    Augmentation,
    Backbone,
    Count,
    FromZero,
    MethodSettings,
    ModelSettings,
    NamesModel,
    Normalization,
    NotNegative,
    Part,
    Positive,
    Record,
    Width,
    refused,
)
from ood.settings.class_gaussians import Covariances
from ood.settings.training import BatchedEpochs, Epochs

AtLeastTwo = Annotated[int, Field(ge=2)]


class VMDLSEncoder(Backbone, Epochs):
    """The encoder with a metric-learned latent space."""

    min_classes: ClassVar[int] = 2

    type: Literal["vmdls_encoder"]
    """VMDLS's encoder."""
    architecture: Literal["vgg", "resnet18", "resnet50", "densenet", "wide_resnet", "mnist_conv"]
    """The backbone: a module of `ood/models`."""
    latent: Count
    """Dimensions of the latent."""
    latent_distance: Literal["euclidean", "unit_sphere"]
    """Distance between latents, or between latents scaled to length 1, as released."""
    kl_weight: NotNegative
    """Factor on the KL term (beta)."""
    generation_epoch: FromZero
    """Epochs before the KL term counts."""
    margin_max: Positive
    """Largest distance asked for between classes."""
    margin_jump: Positive
    """What each epoch adds to that distance, from `margins_epoch` on."""
    margins_epoch: FromZero
    """Epochs before the distance grows."""
    classes_per_batch: AtLeastTwo
    """Classes of a batch, at most."""
    images_per_class: AtLeastTwo
    """Images of each class of a batch."""
    backbone: Annotated[str | None, NamesModel("classifier")] = None
    """A classifier whose weights training starts from."""
    backbone_weights: str | None = None
    """A file whose weights training starts from."""
    frozen_epochs: Count | None = None
    """First epochs, in which only the heads learn."""
    frozen_learning_rate: Positive | None = None
    """Learning rate of these."""
    validation_share: Part
    """Share of the training images that is held out."""
    augmentation: Augmentation
    """How training images are changed: a module of `ood/augmentations`, or none."""

    @model_validator(mode="after")
    def _start(self) -> Self:
        given = self.model_fields_set
        if {"backbone", "backbone_weights"} <= given:
            raise refused("the key 'backbone_weights' has no use where there is a 'backbone'")
        starts = {"backbone", "backbone_weights"} & given
        for name in ("frozen_epochs", "frozen_learning_rate"):
            if starts and name not in given:
                raise refused(f"the key {name!r} is missing; {starts.pop()} needs it")
            if not starts and name in given:
                raise refused(f"the key {name!r} has no use without 'backbone' or its weights")
        if self.frozen_epochs is not None and self.epochs <= self.frozen_epochs:
            raise refused("epochs: as many as frozen_epochs or fewer; then nothing is released")
        return self


class VMDLSAutoEncoder(ModelSettings, BatchedEpochs):
    """The net whose reconstruction error weighs the scores."""

    type: Literal["vmdls_autoencoder"]
    """VMDLS's auto-encoder."""
    architecture: Literal["mnist_conv", "resnet18", "resnet50"]
    """Encoder and decoder."""
    width: Width
    """Factor on the published number of filters."""
    normalization: Normalization | None
    """How pixels are normalised; null leaves them in [0, 1]."""
    latent: Count
    """Dimensions of the latent."""


class VMDLS(MethodSettings, Covariances):
    """Class Gaussians of features and latent, weighted by reconstruction."""

    shares: ClassVar[str | None] = "encoder"
    provides: ClassVar[frozenset[str]] = frozenset({"validation"})

    pipeline: Literal["vmdls"]
    """A variational and metric-based latent space."""
    encoder: Annotated[str, NamesModel("vmdls_encoder")]
    """The encoder with the latent space."""
    autoencoder: Annotated[str | None, NamesModel("vmdls_autoencoder")] = None
    """The net whose reconstruction error is the weight; without it every weight is 1."""

    @property
    def record(self) -> Record:
        return Record(
            title="Variational- and Metric-based Deep Latent Space for Out-of-Distribution "
            "Detection",
            authors="Dinari, Freifeld",
            year=2022,
            arxiv=None,
            seed_settings="released code BGU-CS-VIL/vmdls",
        )
