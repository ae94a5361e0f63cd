"""Likelihood ratios (``ood.methods.likelihood_ratio``)."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ood.settings.base import (
    Count,
    MethodSettings,
    ModelSettings,
    NamesModel,
    NotNegative,
    Part,
    Probability,
    Record,
    Share,
    refused,
)
from ood.settings.training import Steps

# settings of a method that go together
SELECTION = ("backgrounds", "selection_images", "validate_on")


class PixelCNN(ModelSettings, Steps):
    """A foreground or background model."""

    type: Literal["pixelcnn"]
    """A PixelCNN++."""
    filters: Count
    """Filters of each layer."""
    residual_layers: Count
    """Gated residual layers on each side of each hierarchy."""
    hierarchies: Count
    """Resolutions: each further one halves height and width."""
    components: Count
    """Components of the mixture of logistics."""
    dropout: Share
    """Chance of a value to be 0 in training."""
    rescale: bool
    """Whether pixels enter the net in [-1, 1] instead of 0 .. 255."""
    mutation_rate: Probability
    """Chance of each training pixel to be replaced by a uniform one (mu); 0 for the foreground."""
    l2: NotNegative
    """Weight of the sum of squares of all kernels, in nats (lambda)."""
    validation_share: Part
    """Share of the training images that is held out."""
    validation_images: Count
    """Held-out images that the loss is recorded on, at most."""
    snapshot_every: Count
    """Steps between the states that the `oracle` protocol chooses from."""


class LikelihoodRatio(MethodSettings):
    """The likelihood, or its ratio to a background model."""

    shares: ClassVar[str | None] = "foreground"
    provides: ClassVar[frozenset[str]] = frozenset({"snapshots", "trajectory"})

    pipeline: Literal["likelihood_ratio"]
    """The likelihood, or the ratio of two."""
    foreground: Annotated[str, NamesModel("pixelcnn")]
    """The model of the ID images."""
    backgrounds: Annotated[
        Annotated[list[str], Field(min_length=1)] | None, NamesModel("pixelcnn")
    ] = None
    """Models of mutated images, of which one is chosen; without it the score is the likelihood."""
    selection_images: Count | None = None
    """Images of each validation set that the background model is chosen on, at most."""
    validate_on: Literal["ood", "grey_id"] | None = None
    """The validation OOD set, or the grey version of held-out ID images."""

    @model_validator(mode="after")
    def _together(self) -> Self:
        given = self.model_fields_set & set(SELECTION)
        if missing := [name for name in SELECTION if given and name not in given]:
            raise refused(f"the key {missing[0]!r} is missing; {sorted(given)[0]} needs it")
        return self

    @property
    def predicts(self) -> bool:
        return False

    @property
    def fitted(self) -> bool:
        return self.backgrounds is not None

    @property
    def needs_validation(self) -> bool:
        return self.validate_on == "ood"

    @property
    def record(self) -> Record:
        return Record(
            title="Likelihood Ratios for Out-of-Distribution Detection",
            authors="Ren, Liu, Fertig, Snoek, Poplin, DePristo, Dillon, Lakshminarayanan",
            year=2019,
            arxiv="1906.02845",
            seed_settings="released code google-research/genomics_ood",
        )
