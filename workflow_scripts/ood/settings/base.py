"""What all settings have in common."""

import difflib
import functools
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

LIBRARY = Path(__file__).parents[1]

Count = Annotated[int, Field(ge=1)]
FromZero = Annotated[int, Field(ge=0)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1)]
# a probability below 1
Share = Annotated[float, Field(ge=0, lt=1)]
# of the training images; neither none nor all
Part = Annotated[float, Field(gt=0, lt=1)]
Range = Annotated[list[Positive], Field(min_length=2, max_length=2)]
# a factor on the number of filters
Width = Annotated[float, Field(gt=0, le=64)]
# height and width in pixels
Size = Annotated[int, Field(ge=8)]


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name: the nearest known one, and all of them."""
    known = sorted(map(str, known))
    hint = ""
    if close := difflib.get_close_matches(str(name), known, n=1):
        hint = f"; did you mean {close[0]!r}?"
    return f"{hint} Known: {', '.join(known)}" if hint else f"; known: {', '.join(known)}"


@dataclass(frozen=True)
class Where:
    """Marks a field that is needed where another setting has one of these values, and has no use
    elsewhere. Its default is None."""

    setting: str
    values: tuple

    def __init__(self, setting: str, *values: object):
        object.__setattr__(self, "setting", setting)
        object.__setattr__(self, "values", values)


@dataclass(frozen=True)
class NamesModel:
    """Marks a field that names a model, or a list of models.

    :param kind: the type that they must have
    :param one_of_each: settings of the models; the first must run from 0 to the second less 1
    """

    kind: str
    one_of_each: tuple[str, str] | None = None


@dataclass(frozen=True)
class ModuleOf:
    """Marks a text that names a module of the library, or something else that is allowed.

    :param folder: below ``ood/``
    :param marker: what such a module has in its text; ``{name}`` stands for its own
    """

    folder: str
    marker: str
    also: str | None = None

    def names(self) -> list[str]:
        """The modules that are there: a new one need not be written down."""
        return _modules(self.folder, self.marker) + [self.also] * (self.also is not None)

    def check(self, value: str) -> str:
        if value not in self.names():
            raise refused(f"{value!r}{nearest(value, self.names())}")
        return value

    def __get_pydantic_core_schema__(self, source: object, handler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))


@functools.cache
def _modules(folder: str, marker: str) -> list[str]:
    return sorted(
        path.stem
        for path in (LIBRARY / folder).glob("*.py")
        if marker.format(name=path.stem) in path.read_text()
    )


@dataclass(frozen=True)
class AtMostClasses:
    """Marks a number that may not be larger than that of the ID classes."""


@dataclass(frozen=True)
class Record:
    """Where a method comes from.

    :param seed_settings: whose settings it follows
    :param tuned_on: the data that its settings were chosen on
    """

    title: str
    authors: str
    year: int
    arxiv: str | None
    seed_settings: str
    tuned_on: str = "nothing"


# what a benchmark gives to each of its models; a recipe does not say it
FROM_BENCHMARK = ("shape", "n_classes")


class Settings(BaseModel):
    """Settings that belong together. Nothing is converted, and an unknown key is an error."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", defer_build=True)

    @classmethod
    def read(cls, plain: dict) -> Self:
        """From a dictionary that has been checked before; keys that serve others are left out."""
        return cls.model_validate(
            {key: one for key, one in plain.items() if key in cls.model_fields}
        )

    def plain(self) -> dict:
        """What was given, as dictionaries, lists, numbers and text."""
        return self.model_dump(exclude_unset=True)

    @classmethod
    def marked(cls, kind: type) -> dict[str, object]:
        """The fields that have a mark, with it."""
        return {
            name: mark
            for name, field in cls.model_fields.items()
            for mark in field.metadata
            if isinstance(mark, kind)
        }

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, given: object) -> object:
        known = {field.alias or name for name, field in cls.model_fields.items()}
        for key in given if isinstance(given, dict) else ():
            if key not in known:
                message = f"unknown key {key!r}{nearest(key, known - set(FROM_BENCHMARK))}"
                raise PydanticCustomError("unknown_key", "{text}", {"text": message})
        return given

    @model_validator(mode="after")
    def _used_keys(self) -> Self:
        for name, where in self.marked(Where).items():
            value = getattr(self, where.setting)
            if value in where.values and name not in self.model_fields_set:
                raise refused(f"the key {name!r} is missing; {where.setting} {value!r} needs it")
            if value not in where.values and name in self.model_fields_set:
                raise refused(f"the key {name!r} has no use where {where.setting} is {value!r}")
        return self


def refused(message: str) -> PydanticCustomError:
    """The error of settings that do not go together."""
    return PydanticCustomError("refused", "{text}", {"text": message})


class Weights(Settings):
    """Released weights instead of training."""

    file: str
    """A state dict, alone or under `state_dict` or `state`, or a `.safetensors`."""
    names: dict[str, str]
    """Regular expressions and what takes their place in the file's names."""


class ModelSettings(Settings):
    """Of a model; ``type`` says of which."""

    # how many ID classes it needs
    min_classes: ClassVar[int] = 1
    # a type whose models it can stand for
    is_a: ClassVar[str | None] = None
    # what its jobs leave beyond the contract: `pseudo_ood`, `snapshots`, `costly_snapshots`
    provides: ClassVar[frozenset[str]] = frozenset()

    weights: Weights | None = None
    """Released weights, which take the place of training."""
    shape: Annotated[list[int], Field(min_length=3, max_length=3)]
    """Height, width and channels of the images; from the benchmark."""
    n_classes: Count
    """How many ID classes there are; from the benchmark."""


class MethodSettings(Settings):
    """Of a method; ``pipeline`` says of which."""

    # the setting in which methods agree that are scored in one job
    shares: ClassVar[str | None] = None
    # what its jobs leave beyond the contract: `pseudo_ood`; `snapshots`, which the `oracle`
    # protocol chooses from; `costly_snapshots`, only if it is asked for; `trajectory`, snapshots
    # named by the step of training; `validation`, a detector of each model's best epoch on the
    # validation OOD set; `history` of a training
    provides: ClassVar[frozenset[str]] = frozenset()

    @property
    @abstractmethod
    def record(self) -> Record:
        """Where it comes from."""

    @property
    def predicts(self) -> bool:
        """Whether it names the class of an image."""
        return True

    @property
    def fitted(self) -> bool:
        """Whether a job of its own fits it; it is put together when it scores otherwise."""
        return True

    @property
    def needs_validation(self) -> bool:
        """Whether it needs the benchmark's validation OOD set."""
        return False


Architecture = Annotated[str, ModuleOf("models", "class Features(")]
Augmentation = Annotated[str, ModuleOf("augmentations", "def {name}(", "none")]
Depth = Literal[10, 16, 22, 28, 34, 40, 52, 64, 76, 88, 100]


class Normalization(Settings):
    """Of each channel: (x - mean) / sd."""

    mean: Annotated[list[Number], Field(min_length=1)]
    """Mean of each channel, of pixels in [0, 1]."""
    sd: Annotated[list[Number], Field(min_length=1)]
    """Standard deviation of each channel."""


class Backbone(ModelSettings):
    """A net of ``ood.models`` without its head, and what it may be told."""

    architecture: Architecture
    """The net: a module of `ood/models`."""
    net: Annotated[str | None, Where("architecture", "timm")] = None
    """timm's name of the net."""
    width: Width
    """Factor on the published number of filters."""
    depth: Annotated[Depth | None, Where("architecture", "densenet", "wide_resnet")] = None
    """Number of layers, 6 n + 4."""
    padding: Annotated[FromZero | None, Where("architecture", "toynet")] = None
    """Padding of each convolution, in pixels."""
    dropout: Annotated[
        Share | None, Where("architecture", "convnet", "two_conv", "wide_resnet")
    ] = None
    """Chance of a value between layers to be 0 in training."""
    normalization: Normalization | None
    """How pixels are normalised; null leaves them in [0, 1]."""

    @model_validator(mode="after")
    def _one_width(self) -> Self:
        if self.architecture == "timm" and self.width != 1:
            raise refused("width: timm's nets have one width; it must be 1")
        return self
