"""CSI (``ood.methods.csi``)."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ood.settings.base import (
    Count,
    MethodSettings,
    ModelSettings,
    NamesModel,
    Normalization,
    Positive,
    Record,
    Settings,
    Share,
    Size,
    Where,
    Width,
    refused,
)
from ood.settings.classifiers import Net
from ood.settings.training import BatchedEpochs, Epochs

Area = Annotated[float, Field(gt=0, le=1)]
Trunk = Literal["resnet18", "resnet50"]


class Jitter(Settings):
    """Largest relative changes of a view's colours."""

    value: Share
    """Of the brightness."""
    contrast: Share
    """Of the contrast."""
    saturation: Share | None = None
    """Of the saturation; grey images have none."""
    hue: Share | None = None
    """Of the hue, in turns; grey images have none."""

    @model_validator(mode="after")
    def _of_colours(self) -> Self:
        given = {"saturation", "hue"} & self.model_fields_set
        if len(given) == 1:
            (missing,) = {"saturation", "hue"} - given
            raise refused(f"the key {missing!r} is missing; {given.pop()} needs it")
        return self


class CSIEncoder(ModelSettings, Epochs):
    """Trunk, projection and shift head."""

    type: Literal["csi_encoder"]
    """CSI's encoder."""
    architecture: Trunk
    """The trunk: a module of `ood/models`."""
    width: Width
    """Factor on the published number of filters."""
    resize: Size | None
    """Height and width of a view in pixels; null for the images' own."""
    normalization: Normalization | None
    """How pixels are normalised; null leaves them in [0, 1]."""
    projection: Count
    """Dimensions of the projection."""
    labeled: bool
    """Whether views of one class and shift belong together; else those of one image and shift."""
    shift: Literal["none", "rotation", "cutperm"]
    """What makes another instance of an image: nothing, quarter turns, or a swap of halves."""
    flip: bool
    """Whether views are mirrored, half of them."""
    crop: Annotated[list[Area], Field(min_length=2, max_length=2)]
    """Least and largest area of a view's window, as a share of the image."""
    jitter: Jitter
    """Largest relative changes of a view's colours."""
    temperature: Positive
    """Temperature of the similarities (tau)."""
    training_images: Count | None
    """Training images, at most; null for all."""
    batch_size: Annotated[int, Field(ge=2)]
    """Images of a step; each gives two views in every shift."""


class CSIClassifier(Net, BatchedEpochs):
    """A linear head on the frozen trunk of a labelled encoder."""

    is_a: ClassVar[str | None] = "classifier"

    type: Literal["csi_classifier"]
    """A linear head on CSI's trunk."""
    encoder: Annotated[str, NamesModel("csi_encoder")]
    """The labelled encoder whose trunk it is."""
    architecture: Trunk
    """The trunk, as the encoder's."""
    resize: Size | None
    """Height and width of a view in pixels, as the encoder's."""
    hidden: None
    """Null: the head is one linear map."""
    joint: bool
    """Whether there is an output for each pair of class and shift, instead of each class."""
    passes: Count
    """Draws of the views; each epoch trains on the next."""


class CSI(MethodSettings):
    """A score of an encoder, or of a joint head."""

    shares: ClassVar[str | None] = "encoder"

    pipeline: Literal["csi"]
    """Contrasting shifted instances."""
    score: Literal["whole", "similarity", "joint"]
    """Similarity and shift part, the first alone, or the softmax of a joint head."""
    encoder: Annotated[
        str | None, Where("score", "whole", "similarity"), NamesModel("csi_encoder")
    ] = None
    """The encoder that is scored with."""
    classifier: Annotated[str | None, Where("score", "joint"), NamesModel("csi_classifier")] = None
    """The joint head that is scored with."""
    test_samples: Annotated[Count | None, Where("score", "whole", "similarity")] = None
    """Windows of each shifted form that a test image is looked at in."""
    test_crop: Annotated[Area | None, Where("score", "whole", "similarity")] = None
    """Area of these windows, as a share of the image; null looks at the whole image."""
    known_images: Annotated[Count | None, Where("score", "whole", "similarity")] = None
    """Training images that the score compares with, at most; null for all."""

    @property
    def predicts(self) -> bool:
        return self.score == "joint"

    @property
    def fitted(self) -> bool:
        return self.score != "joint"

    @property
    def record(self) -> Record:
        return Record(
            title="CSI: Novelty Detection via Contrastive Learning on Distributionally Shifted "
            "Instances",
            authors="Tack, Mo, Jeong, Shin",
            year=2020,
            arxiv="2007.08176",
            seed_settings="released code alinlab/CSI",
        )
