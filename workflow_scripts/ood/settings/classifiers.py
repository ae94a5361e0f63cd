"""The plain classifiers that methods share (``ood.detection.classifier``)."""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from ood.settings.base import Augmentation, Backbone, Count, FromZero, Share, Size, refused
from ood.settings.training import BatchedEpochs


class Net(Backbone):
    """A backbone with a classifier's head, whatever trains it."""

    min_classes: ClassVar[int] = 2

    resize: Size | None = None
    """Height and width in pixels that images are brought to first; null for their own."""
    hidden: Count | None
    """Units of the head's hidden layer; null for a head of one linear map."""
    head_dropout: Share
    """Chance of a value in the head to be 0 in training."""
    extra_outputs: FromZero
    """Logits beyond those of the ID classes."""

    @model_validator(mode="after")
    def _used_dropout(self) -> Self:
        if self.hidden is None and self.head_dropout:
            raise refused("head_dropout: does nothing in a head of one linear map; it must be 0")
        return self


class Classifier(Net, BatchedEpochs):
    """A net that is trained with cross-entropy."""

    type: Literal["classifier"]
    """A plain classifier."""
    augmentation: Augmentation
    """How training images are changed: a module of `ood/augmentations`, or none."""
