"""The leave-out ensemble, and its control (``ood.methods.leave_out``)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ood.settings.base import (
    AtMostClasses,
    Augmentation,
    Backbone,
    Count,
    FromZero,
    MethodSettings,
    NamesModel,
    NotNegative,
    Part,
    Positive,
    Probability,
    Record,
)
from ood.settings.training import BatchedEpochs


class Member(Backbone, BatchedEpochs):
    """One of an ensemble's nets."""

    min_classes: ClassVar[int] = 2

    group: FromZero
    """The member's number, from 0."""
    accuracy_tolerance: Probability
    """How far the best epoch's ID accuracy may lie below the best so far."""
    validation_share: Part
    """Share of the training images that is held out."""
    validation_images: Count
    """Images of each validation set after each epoch, at most."""
    augmentation: Augmentation
    """How training images are changed: a module of `ood/augmentations`, or none."""


class LeaveOutMember(Member):
    """A net that leaves a group of classes out and learns to be unsure about it."""

    type: Literal["leave_out_member"]
    """A member of the leave-out ensemble."""
    groups: Annotated[int, Field(ge=2), AtMostClasses()]
    """Groups that the classes are cut into, and members of the ensemble (K)."""
    partition_seed: FromZero | None
    """Seed of the permutation that is cut into groups; null cuts the classes in order."""
    margin: NotNegative
    """How much larger the entropy of left-out images is to be, in nats (m)."""
    margin_weight: NotNegative
    """Weight of the margin term (beta)."""


class PlainMember(Member):
    """A net of the same kind that leaves no class out."""

    is_a: ClassVar[str | None] = "leave_out_member"

    type: Literal["plain_member"]
    """A member of an ensemble of plain nets."""
    groups: Count
    """Members of the ensemble."""


class LeaveOut(MethodSettings):
    """The ensemble at the temperature and step that are best on the validation OOD set."""

    provides: ClassVar[frozenset[str]] = frozenset({"snapshots", "validation"})

    pipeline: Literal["leave_out"]
    """An ensemble with temperature and input step."""
    members: Annotated[
        list[str],
        Field(min_length=1),
        NamesModel("leave_out_member", one_of_each=("group", "groups")),
    ]
    """The ensemble's nets."""
    perturbation: Literal["entropy", "odin"]
    """What the input step lowers: the entropy, or the cross-entropy to the predicted class."""
    score: Literal["certainty", "largest_probability"]
    """What members' outputs are summed up by: largest probability less entropy, or it alone."""
    temperatures: Annotated[list[Positive], Field(min_length=1)]
    """Temperatures to choose from (T)."""
    epsilons: Annotated[list[NotNegative], Field(min_length=1)]
    """Input steps to choose from, in units of [0, 1] pixels (epsilon)."""
    calibration_images: Count
    """Images of each validation set that both are chosen on, at most."""

    @property
    def needs_validation(self) -> bool:
        return True

    @property
    def record(self) -> Record:
        if self.score == "certainty":
            return Record(
                title="Out-of-Distribution Detection Using an Ensemble of Self Supervised "
                "Leave-out Classifiers",
                authors="Vyas, Jammalamadaka, Zhu, Das, Kaul, Willke",
                year=2018,
                arxiv="1809.03576",
                seed_settings="public code YU1ut/Ensemble-of-Leave-out-Classifiers",
                tuned_on="validation OOD set",
            )
        return Record(
            title="Enhancing The Reliability of Out-of-distribution Image Detection in Neural "
            "Networks, of an ensemble of plain nets; the control of the leave-out ensemble",
            authors="Liang, Li, Srikant",
            year=2018,
            arxiv="1706.02690",
            seed_settings="the leave-out ensemble's nets, grid and validation set",
            tuned_on="validation OOD set",
        )
