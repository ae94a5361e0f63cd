"""OODGen (``ood.methods.oodgen``)."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import model_validator

from ood.settings.base import (
    Count,
    MethodSettings,
    ModelSettings,
    NamesModel,
    NotNegative,
    Part,
    Positive,
    Range,
    Record,
    Settings,
    Width,
    refused,
)
from ood.settings.classifiers import Net
from ood.settings.training import BatchedEpochs

Init = Literal["default", "glorot_uniform"]


class HeldOut(Settings):
    """Part of the training images is held out and decides when to stop."""

    validation_share: Part
    """Share of the training images that is held out."""
    patience: Count | None
    """Epochs without a lower validation loss before training stops; null keeps the last epoch."""


class OODGenCVAE(ModelSettings, HeldOut, BatchedEpochs):
    """The conditional VAE."""

    type: Literal["oodgen_cvae"]
    """OODGen's conditional VAE."""
    latent: Count
    """Dimensions of the latent."""
    hidden: Count
    """Units of the dense layer before the latent."""
    width: Width
    """Factor on the published number of filters."""
    init: Init
    """Initial weights: PyTorch's, or Keras's."""
    deterministic_latent: bool
    """Whether training decodes the mean, without noise, as the released code does."""
    kl_weight: NotNegative
    """Factor on the KL term; the published one is 1."""


class Generation(Settings):
    """Type I and type II images."""

    null_space: Literal["projected", "rref"]
    """Directions of type I: isotropic, or by the reduced row echelon form, as released."""
    lengths: Range
    """Least and largest step of type I, in units of [0, 1] pixels (a and b)."""
    clip_type1: bool
    """Whether type I is clipped to [0, 1]."""
    type1_bytes: bool
    """Whether type I is rounded to 256 values: a quarter of the memory, short steps vanish."""
    radius_quantile: Part
    """Share of a class's latents within its radius r_c."""
    shell_axes: Literal["eigen", "published"]
    """Type II at exact distances, or by the released code's factor."""
    shell: Range
    """Least and largest distance of type II, in units of r_c."""

    @model_validator(mode="after")
    def _bytes_are_clipped(self) -> Self:
        if self.type1_bytes and not self.clip_type1:
            raise refused(
                "type1_bytes: images that are not clipped do not fit into bytes; type1_bytes must "
                "be false"
            )
        return self


class OODGenClassifier(Net, HeldOut, BatchedEpochs):
    """The classifier with a reject class."""

    provides: ClassVar[frozenset[str]] = frozenset({"pseudo_ood", "snapshots", "costly_snapshots"})

    type: Literal["oodgen_classifier"]
    """A classifier with a reject class."""
    extra_outputs: Literal[1]
    """The reject class."""
    vae: Annotated[str, NamesModel("oodgen_cvae")]
    """The conditional VAE that draws the images to be rejected."""
    init: Init
    """Initial weights: PyTorch's, or Keras's."""
    hidden: Count
    """Units of the head's hidden layer."""
    generation: Generation
    """What is drawn."""
    pool_size: Count
    """Images of each type that are drawn at once."""
    type1_every: Count
    """Epochs between two pools of type I."""
    type2_every: Count
    """Epochs between two pools of type II."""
    type1_per_batch: Count
    """Type I images of a step."""
    type2_per_batch: Count
    """Type II images of a step."""
    reject_weight: Positive
    """Weight of the reject class in the cross-entropy."""
    snapshot_every: Count
    """Steps between the states that the `oracle` protocol chooses from."""


class OODGen(MethodSettings):
    """A score of that classifier."""

    shares: ClassVar[str | None] = "classifier"
    provides: ClassVar[frozenset[str]] = frozenset({"snapshots", "trajectory"})

    pipeline: Literal["oodgen"]
    """OOD detection via generation."""
    classifier: Annotated[str, NamesModel("oodgen_classifier")]
    """The classifier with a reject class."""
    score: Literal["reject", "max"]
    """Log-odds of the reject class, or the largest ID probability, negated."""

    @property
    def fitted(self) -> bool:
        return False

    @property
    def record(self) -> Record:
        return Record(
            title="Out-of-distribution Detection in Classifiers via Generation",
            authors="Vernekar, Gaurav, Abdelzad, Denouden, Salay, Czarnecki",
            year=2019,
            arxiv="1910.04241",
            seed_settings="released code sverneka/OODGen",
        )
