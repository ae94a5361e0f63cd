"""CMG (``ood.methods.cmg``)."""

from typing import Annotated, ClassVar, Literal

from ood.settings.base import (
    Augmentation,
    Count,
    MethodSettings,
    ModelSettings,
    NamesModel,
    NotNegative,
    Positive,
    Record,
    Settings,
    Share,
    Where,
    Width,
)
from ood.settings.training import BatchedEpochs


class CMGCVAE(ModelSettings, BatchedEpochs):
    """The conditional VAE of stage 1."""

    type: Literal["cmg_cvae"]
    """CMG's conditional VAE."""
    architecture: Literal["conv", "resnet"]
    """Encoder and decoder: `conv` for grey images, `resnet` for colour."""
    width: Width
    """Factor on the published number of filters."""
    hidden: Count
    """Units of the dense layers."""
    latent: Count
    """Dimensions of the latent, and of the class embeddings."""
    padding: Annotated[Count | None, Where("architecture", "conv")] = None
    """Padding of the first convolution, in pixels."""
    kl_weight: Positive
    """Factor on the KL term; the published one is 1."""
    augmentation: Augmentation
    """How training images are changed: a module of `ood/augmentations`, or none."""


class EnergyMargins(Settings):
    """Of the loss of CMG-e."""

    weight: NotNegative
    """Factor on the squared distances to the margins."""
    in_quantile: Share
    """Quantile of the ID energies that m_in is set to."""
    out_quantile: Share
    """Quantile of the pseudo-OOD energies that m_out is set to."""


class CMG(MethodSettings, BatchedEpochs):
    """Stage 2: a classifier's head, fine-tuned on class-mixed images."""

    provides: ClassVar[frozenset[str]] = frozenset(
        {"pseudo_ood", "snapshots", "costly_snapshots", "trajectory", "history"}
    )

    pipeline: Literal["cmg"]
    """Class-mixed generation."""
    classifier: Annotated[str, NamesModel("classifier")]
    """The classifier whose head is fine-tuned, stage 1."""
    cvae: Annotated[str, NamesModel("cmg_cvae")]
    """The conditional VAE that draws the images."""
    loss: Literal["softmax", "energy"]
    """CMG-s, a reject class, or CMG-e, energy margins."""
    sigma: Positive
    """Standard deviation of the latents that images are drawn from."""
    pseudo_per_batch: Count
    """Pseudo-OOD images of a step, drawn anew."""
    snapshot_every: Count
    """Steps between the heads that the `oracle` protocol chooses from."""
    energy: Annotated[EnergyMargins | None, Where("loss", "energy")] = None
    """Margins and weight of CMG-e."""

    @property
    def record(self) -> Record:
        return Record(
            title="CMG: A Class-Mixed Generation Approach to Out-of-Distribution Detection",
            authors="Wang, Shao, Lin, Hu, Liu",
            year=2022,
            arxiv=None,
            seed_settings="released code shaoyijia/CMG",
        )
