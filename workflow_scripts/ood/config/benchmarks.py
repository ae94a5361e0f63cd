"""Benchmarks of a config: read, checked, at its scale. No torch, no pandas.

Every mistake is an ``InputError`` that names the file, the key, what is wrong and, where there is
one, the nearest known name.
"""

import copy
import dataclasses
import itertools
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from ood.config import recipes
from ood.config.checks import checked
from ood.config.contents import BenchmarkFile, Config
from ood.config.graph import least_classes, models_behind
from ood.config.image_sets import ImageSets, OODSet, known_dataset, overlap
from ood.config.kinds import KINDS, kinds, settings_of
from ood.config.recipes import SEEN, Family
from ood.config.variants import add_variant, changes_of, replace_setting
from ood.config.yaml_files import load_yaml
from ood.data.registry import REGISTRY
from ood.errors import InputError
from ood.settings.base import AtMostClasses, nearest

# keys whose values `--config` may give as text
TEXT_FROM_SNAKEMAKE = ("seeds", "variants", "compile", "deterministic")


@dataclass(frozen=True)
class Benchmark:
    """A benchmark with its recipe, at one scale.

    :param classes: the ID labels in the order in which they are renumbered
    :param class_names: of all classes of the ID dataset, in label order
    :param models: settings by model name, ``type`` and the benchmark's ``shape`` and
        ``n_classes`` among them; only those that a method needs. Plain, as they are hashed and
        stored; ``kinds.settings_of`` types them
    :param methods: settings by method name, of the methods that the config asks for
    :param test_scores_seen: by section, for each model and method, the settings whose
        values were chosen when test scores were known
    :param user_images: by name, what the file says of the user's own images
    """

    name: str
    title: str
    shape: tuple[int, int, int]
    dataset: str
    classes: tuple[int, ...]
    class_names: tuple[str, ...]
    ood: dict[str, OODSet]
    validation: OODSet | None
    stand_in_for: str | None
    models: dict[str, dict]
    methods: dict[str, dict]
    test_scores_seen: dict[str, dict[str, list[str]]]
    user_images: dict[str, dict] = field(default_factory=dict)

    def section(self, name: str) -> dict[str, dict]:
        return self.models if name == "models" else self.methods


class Loader:
    """Reads ``config`` and the files that it names under ``root`` (the workflow's folder).

    :param source: what errors call the config
    :param sources: what they call it where a key comes from somewhere else
    """

    def __init__(
        self,
        root: Path,
        config: dict,
        source: str = "config.yaml",
        sources: Mapping[str, str] | None = None,
    ):
        self.root, self.source, self.sources = root, source, sources or {}
        self._families: dict[str, Family] = {}
        config = {
            key: _parsed(value) if key in TEXT_FROM_SNAKEMAKE else value
            for key, value in config.items()
        }
        for key in config:
            if key not in Config.model_fields:
                raise InputError(
                    f"{self.source_of(key)}: unknown key {key!r}{nearest(key, Config.model_fields)}"
                )
        self.config = self._checked(config)
        # the one that PyTorch calls
        compiler = os.environ.get("CXX", "g++")
        if self.config.compile and not shutil.which(compiler):
            raise InputError(
                f"{self._at('compile')}: there is no C++ compiler {compiler!r}; install one, name "
                "another one in CXX, or write compile: off"
            )
        for key in ("stand_ins", "exclude"):
            for name in getattr(self.config, key):
                known_dataset(REGISTRY, name, self.source_of(key), key)
        replaced = self.config.stand_ins
        for original, name in replaced.items():
            known_dataset(REGISTRY, name, self.source_of("stand_ins"), "stand_ins")
            if replaced.get(name) == original or name == original:
                raise InputError(
                    f"{self._at('stand_ins')}: {original} and {name} replace each other"
                )

    def _checked(self, config: dict) -> Config:
        try:
            return checked(Config, config, self.source)
        except InputError as error:
            # each key may come from another place
            text = str(error).removeprefix(f"{self.source}: ")
            key = re.split(r"[.:]", text, maxsplit=1)[0]
            raise InputError(f"{self.source_of(key)}: {text}") from None

    def source_of(self, key: str) -> str:
        """What errors call the place that a key of the config comes from."""
        return self.sources.get(key, self.source)

    def _at(self, key: str) -> str:
        return f"{self.source_of(key)}: {key}"

    def benchmarks(self) -> dict[str, Benchmark]:
        """Every benchmark of the config, checked.

        :raises InputError: on the first mistake
        """
        config = self.config
        found = {name: self.benchmark(name) for name in config.benchmarks}
        methods = {method for benchmark in found.values() for method in benchmark.methods}
        for key, names in (
            ("methods", [] if config.methods == "all" else config.methods),
            ("reference", [config.reference]),
            ("references", itertools.chain(*config.references.items())),
            ("variants", config.variants),
        ):
            for name in names:
                if name not in methods:
                    raise InputError(
                        f"{self._at(key)}: unknown method {name!r}{nearest(name, methods)}"
                    )
        self._check_user_images(found)
        return {name: self._asked_for(benchmark) for name, benchmark in found.items()}

    def _check_user_images(self, benchmarks: dict[str, Benchmark]) -> None:
        """One name, one set: the prepared images of two benchmarks lie side by side."""
        known: dict[str, dict] = {}
        for name, benchmark in benchmarks.items():
            for one, about in benchmark.user_images.items():
                if known.setdefault(one, about) != about:
                    raise InputError(
                        f"benchmarks/{name}.yaml: the name {one!r} is taken by other images of "
                        "another benchmark; give it another 'name'"
                    )

    def _asked_for(self, benchmark: Benchmark) -> Benchmark:
        """The benchmark with the methods of the config, and with the models and OOD sets that
        these need."""
        chosen = self.config.methods
        varied = {
            method + ending
            for method, changes in self.config.variants.items()
            if method in benchmark.methods
            for ending, _ in changes_of(changes)
        }
        methods = {
            name: settings
            for name, settings in benchmark.methods.items()
            if (chosen == "all" or name in chosen or name in varied)
            and (benchmark.validation or not settings_of("methods", settings).needs_validation)
            and len(benchmark.classes) >= least_classes(benchmark, name)
        }
        if not methods:
            raise InputError(
                f"{self._at('methods')}: the benchmark {benchmark.name!r} can run none of "
                f"{', '.join(chosen)}; it has {', '.join(benchmark.methods)}, some of which need a "
                "validation OOD set or more ID classes"
            )
        needed = {model for name in methods for model in models_behind(benchmark, name)}
        models = {name: one for name, one in benchmark.models.items() if name in needed}
        ood = {
            name: one
            for name, one in benchmark.ood.items()
            if one.generated_by is None or one.generated_by in models
        }
        if not ood:
            raise InputError(
                f"benchmarks/{benchmark.name}.yaml: ood: no OOD set is left after 'exclude'"
            )
        _check_sizes(models, f"benchmarks/{benchmark.name}.yaml")
        return dataclasses.replace(benchmark, methods=methods, models=models, ood=ood)

    def _file(self, name: str) -> tuple[str, BenchmarkFile]:
        """The file that describes a benchmark, and its content. A number at the end of a name
        chooses the ID classes of a file with ``split``; the content has them then.

        :raises InputError: if there is no such benchmark
        """
        folder = self.root / "benchmarks"
        known = [path.stem for path in folder.glob("*.yaml")]
        stem, number = re.fullmatch(r"(.*?)(\d*)", name).groups()
        if name not in known and stem not in known:
            raise InputError(
                f"{self._at('benchmarks')}: unknown benchmark {name!r}{nearest(name, known)}"
            )
        chosen = name if name in known else stem
        source = f"benchmarks/{chosen}.yaml"
        content = checked(BenchmarkFile, load_yaml(self.root / source), source)
        if content.split is None:
            if chosen == name:
                return source, content
            raise InputError(
                f"{self._at('benchmarks')}: unknown benchmark {name!r}{nearest(name, known)}"
            )
        dataset = content.id.dataset
        known_dataset(REGISTRY, dataset, source, "id.dataset")
        every = range(len(REGISTRY[dataset].classes or ()))
        if len(every) < 2:
            raise InputError(f"{source}: split: {dataset} has no list of classes to split")
        # one class alone, or the first so many and not all
        numbers = every if content.split == "only" else every[1:]
        if chosen == name or int(number) not in numbers:
            raise InputError(
                f"{self._at('benchmarks')}: {name!r}: {source} needs a number at the end, "
                f"{stem}{numbers[0]} to {stem}{numbers[-1]}"
            )
        return source, _split(content, int(number), every)

    def groups(self, name: str) -> list[str]:
        """The groups of OOD sets in a benchmark's file, in order.

        :raises InputError: if there is no such benchmark
        """
        return list(self._file(name)[1].ood)

    def benchmark(self, name: str) -> Benchmark:
        """One benchmark, checked, with all methods of its recipe."""
        source, content = self._file(name)
        sets = ImageSets(self.config.stand_ins, self.config.exclude, source)
        named, dataset, classes = sets.id_set(content.id)
        given = {"shape": list(content.shape), "n_classes": len(classes)}
        recipe = self._recipe(content, source, given)
        marks = {section: _marks(recipe.section(section)) for section in KINDS}
        generators = [
            model
            for model, one in recipe.models.items()
            if "pseudo_ood" in kinds("models")[one["type"]].provides
        ]
        ood: dict[str, OODSet] = {}
        for group, entries in content.ood.items():
            for index, entry in enumerate(entries):
                key = f"ood.{group}[{index}]"
                one = sets.ood_set(entry, group, generators, key)
                if one is not None and one.name in ood:
                    raise InputError(
                        f"{source}: {key}: a second OOD set called {one.name!r}; give it another "
                        "'name', or leave one out with 'exclude'"
                    )
                if one is not None:
                    ood[one.name] = one
        validation = content.validation and sets.ood_set(
            content.validation, "validation", generators, "validation"
        )
        identity = OODSet("id", dataset, classes, "id")
        for one in [*ood.values(), *([validation] if validation else [])]:
            if overlap(one, identity) or sets.share_a_folder(one.dataset, dataset):
                raise InputError(
                    f"{source}: OOD set {one.name!r} shares classes of {one.dataset} with the ID "
                    "set; give it other 'classes' or another dataset"
                )
        return Benchmark(
            name=name,
            title=content.title,
            shape=content.shape,
            dataset=dataset,
            classes=classes,
            class_names=tuple(sets.datasets[dataset].classes),
            ood=ood,
            validation=validation,
            stand_in_for=named if named != dataset else None,
            models={model: settings | given for model, settings in recipe.models.items()},
            methods=recipe.methods,
            test_scores_seen=marks,
            user_images=sets.user_images,
        )

    def _recipe(self, content: BenchmarkFile, referrer: str, given: dict) -> recipes.Recipe:
        """Models and methods of a recipe, changed as the benchmark says, and the variants."""
        if content.recipe not in self._families:
            self._families[content.recipe] = Family(self.root, content.recipe, referrer)
        family = self._families[content.recipe]
        entries, sources = family.resolved(), family.sources()
        recipe = recipes.at_one_scale(entries, sources, self.config.scale)
        recipes.check(recipe, recipe.sources, given)
        if content.settings:
            source = f"{referrer}: settings"
            for path, value in content.settings.items():
                replace_setting(entries, path, copy.deepcopy(value), source)
            recipe = recipes.at_one_scale(entries, sources, self.config.scale)
            recipes.check(recipe, _everywhere(recipe, source), given)
        if self.config.variants:
            source = self._at("variants")
            for method, varied in self.config.variants.items():
                if method in recipe.methods:
                    for ending, changed in changes_of(varied):
                        add_variant(recipe, "methods", method, changed, ending, source)
            recipes.check(recipe, _everywhere(recipe, source), given)
        return recipe


def _everywhere(recipe: recipes.Recipe, source: str) -> dict[str, dict[str, str]]:
    return {section: dict.fromkeys(recipe.section(section), source) for section in KINDS}


def _marks(entries: dict[str, dict]) -> dict[str, list[str]]:
    """Of each entry the settings that have the value chosen when test scores were known; the marks
    are taken out."""
    return {
        name: [key for key, value in one.pop(SEEN, {}).items() if one.get(key) == value]
        for name, one in entries.items()
    }


def _split(content: BenchmarkFile, number: int, every: range) -> BenchmarkFile:
    """The file with the ID classes that a number chooses, and ``others`` for the OOD sets."""
    taken = [number] if content.split == "only" else list(range(number))
    others = [k for k in every if k not in taken]
    ood = {
        group: [
            one.model_copy(update={"classes": others}) if one.classes == "others" else one
            for one in entries
        ]
        for group, entries in content.ood.items()
    }
    return content.model_copy(
        update={
            "id": content.id.model_copy(update={"classes": taken}),
            "title": content.title.format(number=number),
            "ood": ood,
        }
    )


def _check_sizes(models: dict[str, dict], source: str) -> None:
    for name, settings in models.items():
        for key in kinds("models")[settings["type"]].marked(AtMostClasses):
            if settings[key] > settings["n_classes"]:
                raise InputError(
                    f"{source}: models.{name}.{key}: {settings[key]} is more than the "
                    f"{settings['n_classes']} ID classes; lower it under 'settings' of the "
                    "benchmark"
                )


def _parsed(value: object) -> object:
    """What strings mean that `--config seeds=[0,1] compile=on` makes of numbers and switches."""
    if isinstance(value, dict):
        return {key: _parsed(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_parsed(one) for one in value]
    return yaml.safe_load(value) if isinstance(value, str) else value
