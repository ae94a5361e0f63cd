"""What ``config.yaml`` and the files of ``benchmarks/`` may contain."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, WrapValidator, model_validator

from ood.settings.base import Count, FromZero, Part, Settings, refused

SCALES = ("smoke", "quick", "paper")
NAME = "^[a-z][a-z0-9_]*$"
Name = Annotated[str, Field(pattern=NAME)]
Measure = Literal[
    "auroc", "fpr95", "fpr80", "aupr_in", "aupr_out", "detection_error",
    "detection_error_original", "f1", "cauroc", "aurc", "augrc",
]  # fmt: skip


def _because(reason: str) -> WrapValidator:
    """Says in one sentence how a value is written, in place of what is wrong with it."""

    def check(value: object, handler) -> object:
        try:
            return handler(value)
        except ValidationError as error:
            # what is wrong within a list or mapping is said of its place
            if isinstance(value, list | dict) and any(one["loc"] for one in error.errors()):
                raise
            raise refused(reason) from None

    return WrapValidator(check)


def _each_once(values: list) -> list:
    if len({repr(one) for one in values}) < len(values):
        raise refused("each entry once")
    return values


def _unique(of: Any) -> Any:
    return Annotated[list[of], Field(min_length=1), WrapValidator(_once)]


def _once(value: object, handler) -> list:
    return _each_once(handler(value))


BenchmarkName = Annotated[
    Name, _because("a benchmark's name has small letters, digits and underscores, a letter first")
]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1), _because("a seed is a whole number, 0 or more")]


class Claim(Settings):
    """Words of a finding that name a direction, and what the numbers must say."""

    says: str
    """The words, as the finding has them."""
    method: str | None = None
    """The method that they are about; without it the numbers are elsewhere."""
    than: str | None = None
    """The method that it is compared with."""
    direction: Annotated[Literal["better", "worse", "level"] | None, Field(alias="is")] = None
    """How it compares."""
    sets: _unique(str) | None = None
    """The OOD sets, `<benchmark>/<set>`; all without it."""


class PublishedClaim(Settings):
    """What a paper claims, as two of our methods and what they were judged on."""

    paper: str
    """What the paper calls its method."""
    says: str
    """The claim in plain words."""
    method: str
    """The method that has to be better."""
    than: str
    """The method that it has to be better than, by AUROC."""
    sets: _unique(str) | None = None
    """The OOD sets, `<benchmark>/<set>`; all that both were judged on without it."""
    studies: dict[Literal["quick", "paper"], _unique(Name)]
    """Those that ask the same, by scale."""


class PublishedClaims(Settings):
    """``docs/claims.yaml``."""

    claims: list[PublishedClaim]
    """In the order of the table."""


class Study(Settings):
    """What the book of results says of a study."""

    name: Name
    """Of the file in `studies/`, and of its CSV."""
    title: str
    """Heading in the book."""
    question: str
    """What it asks."""
    short: str | None = None
    """README's line; the finding's first sentence without it."""
    finding: str
    """The answer, without numbers."""
    claims: list[Claim] | None = None
    """Sentences that a test compares with the CSV."""
    measures: _unique(Measure)
    """Columns of metrics.csv that are kept."""


class Config(Settings):
    """``config.yaml``; what a key means stands there, in comments."""

    benchmarks: Annotated[
        _unique(BenchmarkName), _because("write a list of names, each once: [digits]")
    ]
    seeds: Annotated[_unique(Seed), _because("write a list of whole numbers, each once: [0, 1, 2]")]
    scale: Literal["smoke", "quick", "paper"]
    protocols: _unique(Literal["final", "validation", "oracle"])
    methods: Annotated[
        Literal["all"] | _unique(str),
        _because("write all, or a list of names, each once: [msp, energy]"),
    ]
    variants: dict[str, Annotated[dict[str, list | dict[str, Any]], Field(min_length=1)]]
    reference: str
    references: dict[str, str]
    positive: Literal["id", "ood"]
    study: Study | None
    mirrors: list[str]
    stand_ins: dict[str, str]
    exclude: list[str]
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["float32", "bfloat16"]
    # YAML reads off as false
    graphs: Annotated[
        Literal["auto", "off"], BeforeValidator(lambda value: "off" if value is False else value)
    ]
    compile: bool
    deterministic: bool
    threads: Annotated[int, Field(ge=1, le=1024)]
    scoring_batch: Count
    bootstrap: Annotated[int, Field(ge=0, le=1_000_000)]
    figure_format: Literal["png", "pdf", "svg"]

    @property
    def computing(self) -> dict:
        """What decides the numbers of a training beside settings and code, as a job is told it."""
        switches = {"compile": self.compile, "deterministic": self.deterministic}
        # without one, what was computed before there was such a key is the same
        return {"precision": self.precision} | {key: True for key, on in switches.items() if on}


Side = Annotated[int, Field(ge=4, le=1024)]
Classes = _unique(FromZero)


class IDSet(Settings):
    """The in-distribution images: a dataset, or the user's own."""

    dataset: str | None = None
    """A dataset of the registry."""
    classes: Classes | None = None
    """Labels that are ID, in the order in which they are renumbered; all without it."""
    name: Name | None = None
    """Of own images, what the workflow calls them."""
    folder: str | None = None
    """Of own images, a folder with `train` and `test`, or with a part that tests."""
    test_share: Part | None = None
    """The part of such a folder that tests."""
    train: str | None = None
    """Of own images, a list of paths and labels to train on."""
    test: str | None = None
    """A list to test on."""
    root: str | None = None
    """The folder that the lists' paths begin at."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        forms = {"dataset": {"classes"}, "folder": {"name", "classes", "test_share"}}
        form = next((one for one in forms if one in self.model_fields_set), None)
        allowed = {form, *forms[form]} if form else {"name", "train", "test", "root", "classes"}
        return _form(self, form or "lists", allowed, set() if form else allowed - {"classes"})


class OODEntry(Settings):
    """An OOD set; a name alone stands for `{dataset: <name>}`."""

    name: Name | None = None
    """What the tables call it; the dataset's name without it."""
    dataset: str | None = None
    """A dataset of the registry, or a noise."""
    generated_by: str | None = None
    """A model that draws the images."""
    folder: str | None = None
    """Own images: all below a folder."""
    list: str | None = None
    """Own images: a list of paths and labels."""
    root: str | None = None
    """The folder that the list's paths begin at."""
    classes: Literal["others"] | Classes | None = None
    """Labels that count; `others`: those that are not ID, where there is a split."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        forms = {
            "generated_by": set(),
            "folder": {"name"},
            "list": {"name", "root"},
            "dataset": set(),
        }
        form = next((one for one in forms if one in self.model_fields_set), None)
        if form is None:
            raise refused("the key 'dataset' is missing")
        allowed = {form, "name", "classes", *forms[form]}
        return _form(self, form, allowed, {form, *forms[form]})


def _form(entry: Settings, form: str, allowed: set[str], needed: set[str]) -> Settings:
    for key in sorted(entry.model_fields_set - allowed):
        raise refused(f"the key {key!r} has no use beside {form!r}")
    for key in sorted(needed - entry.model_fields_set):
        raise refused(f"the key {key!r} is missing")
    return entry


Entry = Annotated[
    OODEntry,
    BeforeValidator(lambda one: {"dataset": one} if isinstance(one, str) else one),
]


class BenchmarkFile(Settings):
    """A file of ``benchmarks/``."""

    title: str
    """One line for reports; `{number}` stands for that of a split."""
    shape: Annotated[tuple[Side, Side, Literal[1, 3]], Field(strict=False)]
    """Height, width and channels that all images are brought to."""
    id: IDSet
    """The in-distribution images."""
    ood: Annotated[dict[Name, Annotated[list[Entry], Field(min_length=1)]], Field(min_length=1)]
    """The OOD sets, by group."""
    validation: Entry | None = None
    """The OOD set that methods may choose settings on."""
    recipe: str
    """The family of `benchmarks/recipes/` that models and methods come from."""
    split: Literal["only", "first"] | None = None
    """A benchmark for each number at the end of its name: class k alone is ID, or the first k."""
    settings: dict[Annotated[str, Field(pattern=r"^(models|methods)\.")], Any] | None = None
    """What it changes of the recipe, by path: `models.<name>.<setting>`."""

    @model_validator(mode="after")
    def _split_has_all_classes(self) -> Self:
        if self.split and self.id.classes is not None:
            raise refused("id: the key 'classes' has no use beside 'split'")
        return self
