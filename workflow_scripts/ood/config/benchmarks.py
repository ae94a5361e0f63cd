"""Configuration: read, check against the schemas, resolve the scale. No torch, no pandas.

Every mistake is an ``InputError`` that names the file, the key, what is wrong and, where there is
one, the nearest known name.

A method's schema file says, beside what its settings may be: ``model_type``, of a setting that
names a model or a list of them (``one_of_each``: one for each value of a setting); ``provides``,
what its jobs leave beyond the contract; ``fitted``, which settings need a fitting job of their
own; ``shares``, the setting in which methods that are scored in one job agree;
``needs_validation``, which settings need the validation OOD set; ``predicts``, which name a class.
"""

import copy
import dataclasses
import difflib
import functools
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from ood.data import user_images as own
from ood.data.registry import ID_NOISES, NOISES, REGISTRY, Dataset
from ood.errors import InputError

MOST_VALUES = 1_000_000
SCALES = ("smoke", "quick", "paper")
RECIPES = "benchmarks/recipes"
GRID = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {"type": ["array", "string"], "minItems": 1, "uniqueItems": True},
}
# what says which schema the settings of a model or a method obey
KINDS = {"models": "type", "methods": "pipeline"}
# of an entry: settings with the value that was chosen when test scores were known; a mark for the
# tables and no setting, so that it trains nothing again
SEEN = "test_scores_seen"
# settings that choose a module by name, with the folder that it lies in
CHOOSERS = {"architecture": "models", "augmentation": "augmentations"}


@dataclass(frozen=True)
class OODSet:
    """One OOD set of a benchmark: some or all classes of a dataset's test split.

    :param generated_by: the model that draws the images, anew for each seed; None for a dataset of
        the registry
    """

    name: str
    dataset: str
    classes: tuple[int, ...] | None
    group: str
    stand_in_for: str | None = None
    generated_by: str | None = None


@dataclass(frozen=True)
class Benchmark:
    """A benchmark with its recipe, at one scale.

    :param classes: the ID labels in the order in which they are renumbered
    :param models: settings by model name, ``type`` and the benchmark's ``shape`` and
        ``n_classes`` among them; only those that a method needs
    :param methods: settings by method name, of the methods that the config asks for
    :param test_scores_seen: by section, for each model and method, the settings whose
        values were chosen when test scores were known
    """

    name: str
    title: str
    shape: tuple[int, int, int]
    dataset: str
    classes: tuple[int, ...]
    ood: dict[str, OODSet]
    validation: OODSet | None
    stand_in_for: str | None
    models: dict[str, dict]
    methods: dict[str, dict]
    test_scores_seen: dict[str, dict[str, list[str]]]


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name: the nearest known one, and all of them if they are few."""
    known = sorted(map(str, known))
    hint = ""
    if close := difflib.get_close_matches(str(name), known, n=1):
        hint = f"; did you mean {close[0]!r}?"
    return f"{hint} Known: {', '.join(known)}" if hint else f"; known: {', '.join(known)}"


class _YAML(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """The parser in C where there is one, which takes a tenth of the time; no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                problem = f"the key {key.value!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)


def load_yaml(path: Path) -> dict:
    """Read a YAML mapping.

    :raises InputError: if the file is missing, no YAML or no mapping, or gives a key twice
    """
    try:
        content = yaml.load(path.read_text(), _YAML)
    except OSError as error:
        raise InputError(f"{path}: cannot read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: no valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected keys and values, found {type(content).__name__}")
    waiting, count = [content], 0
    while waiting:
        one = waiting.pop()
        count += 1
        # names for parts of a file can make it grow without end
        if count > MOST_VALUES:
            raise InputError(f"{path}: more than {MOST_VALUES:,} values, its names (&, *) unfolded")
        if isinstance(one, dict | list):
            waiting += one.values() if isinstance(one, dict) else one
    return content


def check_schema(
    content: object, schema: dict, source: str, prefix: str = "", shared: dict | None = None
) -> None:
    """Check ``content`` against a JSON schema, and that its numbers are finite.

    :param shared: schemas by file name that ``schema`` may refer to
    :raises InputError: with the first error's file, key and what is allowed there
    """
    from jsonschema import Draft202012Validator
    from referencing import Registry

    for path, value in _numbers(content):
        if not math.isfinite(value):
            key = ".".join([*[prefix] * bool(prefix), *path])
            raise InputError(f"{source}: {key}: {value} is no number to compute with")

    # a wrong key explains more than the missing one that it was meant to be
    order = {"additionalProperties": 0, "required": 2}
    registry = Registry().with_contents((shared or {}).items())
    errors = sorted(
        Draft202012Validator(schema, registry=registry).iter_errors(content),
        key=lambda e: (order.get(e.validator, 1), list(map(str, e.absolute_path))),
    )
    if not errors:
        return
    error = errors[0]
    parts = [prefix] if prefix else []
    key = ".".join(parts + [str(part) for part in error.absolute_path]) or "(top level)"
    if error.validator == "additionalProperties":
        allowed = error.schema.get("properties", {})
        unknown = next(k for k in error.instance if k not in allowed)
        where = "" if key == "(top level)" else f" in {key}"
        raise InputError(f"{source}: unknown key {unknown!r}{where}{nearest(unknown, allowed)}")
    if error.validator is None:
        # jsonschema does not say which property a `false` schema forbade
        parent = content
        for part in error.absolute_path:
            parent = parent[part]
        stray = next(name for name, value in parent.items() if value is error.instance)
        raise InputError(f"{source}: {key}: the key {stray!r} does not fit the other settings here")
    if reason := error.schema.get("because"):
        raise InputError(f"{source}: {key}: {reason}")
    if error.validator == "required":
        missing = next(k for k in error.validator_value if k not in error.instance)
        raise InputError(f"{source}: {key}: the key {missing!r} is missing")
    if error.validator == "enum":
        allowed = error.validator_value
        raise InputError(f"{source}: {key}: {error.instance!r}{nearest(error.instance, allowed)}")
    hint = ""
    if error.validator == "type" and re.fullmatch(r"[\d.]+e[+-]?\d+", str(error.instance)):
        hint = " (a string; YAML reads 1e-4 as text: write 1.0e-4)"
    raise InputError(f"{source}: {key}: {error.message}{hint}")


def _numbers(content: object, *path: str) -> Iterator[tuple[tuple[str, ...], float]]:
    """Every number with a point, and where it is."""
    if isinstance(content, float):
        yield path, content
    elif isinstance(content, dict | list):
        pairs = content.items() if isinstance(content, dict) else enumerate(content)
        for key, value in pairs:
            yield from _numbers(value, *path, str(key))


def at_scale(value: object, scale: str) -> object:
    """Replace every ``{smoke: …, quick: …, paper: …}`` by its value at ``scale``; where it has none
    there, its key is left out."""
    if not isinstance(value, dict):
        return value
    if _by_scale(value):
        return value[scale]
    return {
        key: at_scale(one, scale)
        for key, one in value.items()
        if not _by_scale(one) or scale in one
    }


def _by_scale(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and set(value) <= set(SCALES)


def replace_setting(content: dict, path: str, value: object, source: str) -> None:
    """Set ``content[a][b][c]`` for the path ``a.b.c``, which must exist.

    :raises InputError: if it does not
    """
    *parents, last = path.split(".")
    for part in [*parents, last]:
        if not isinstance(content, dict) or part not in content:
            known = nearest(part, content) if isinstance(content, dict) else ""
            raise InputError(f"{source}: no setting {path!r}: unknown key {part!r}{known}")
        if part is not last:
            content = content[part]
    content[last] = value


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
        self.root, self.config = root, config
        self.source, self.sources = source, sources or {}
        # the registry's, and those of users' own images that benchmark files name
        self.datasets = dict(REGISTRY)
        self.own: dict[str, dict] = {}
        folder = root / "schemas"
        names = ("config", "benchmark", "recipe")
        self.files = {name: load_yaml(folder / f"{name}.yaml") for name in names}
        self.shared = {"shared.yaml": load_yaml(folder / "shared.yaml")}
        # by section and kind: the schema, and the module of the library that serves it
        self.schemas: dict[str, dict[str, dict]] = {"models": {}, "methods": {}}
        self.modules: dict[str, dict[str, str]] = {"models": {}, "methods": {}}
        found = [(folder / "classifiers.yaml", "ood.detection.classifier")]
        for path in sorted((folder / "methods").glob("*.yaml")):
            found.append((path, f"ood.methods.{path.stem}"))
        for path, module in found:
            content = load_yaml(path)
            for kind, schema in content.get("models", {}).items():
                # any model can be had as it was released
                schema["properties"]["weights"] = {"$ref": "shared.yaml#/$defs/weights"}
                schema["properties"][SEEN] = {"$ref": f"shared.yaml#/$defs/{SEEN}"}
                self.schemas["models"][kind] = schema
                self.modules["models"][kind] = module
            if "method" in content:
                content["method"]["properties"][SEEN] = {"$ref": f"shared.yaml#/$defs/{SEEN}"}
                self.schemas["methods"][path.stem] = content["method"]
                self.modules["methods"][path.stem] = module
        for key in ("seeds", "variants"):
            if key in config:
                config[key] = _parsed(config[key])
        self._check_config()

    def source_of(self, key: str) -> str:
        """What errors call the place that a key of the config comes from."""
        return self.sources.get(key, self.source)

    def _at(self, key: str) -> str:
        return f"{self.source_of(key)}: {key}"

    def _check_config(self) -> None:
        config, schema = self.config, self.files["config"]
        for key, value in config.items():
            # one by one: each may come from another place
            part = {**schema, "required": []}
            check_schema({key: value}, part, self.source_of(key))
        check_schema(config, schema, self.source)
        for key in ("stand_ins", "exclude"):
            for name in config[key]:
                self._known_dataset(name, self.source_of(key), key)
        source = self.source_of("stand_ins")
        for original, name in config["stand_ins"].items():
            self._known_dataset(name, source, "stand_ins")
            if config["stand_ins"].get(name) == original or name == original:
                raise InputError(f"{source}: stand_ins: {original} and {name} replace each other")

    def _known_dataset(self, name: str, source: str, key: str) -> None:
        if name not in self.datasets:
            raise InputError(
                f"{source}: {key}: unknown dataset {name!r}{nearest(name, self.datasets)}"
            )

    def benchmarks(self) -> dict[str, Benchmark]:
        """Every benchmark of the config, checked.

        :raises InputError: on the first mistake
        """
        found = {name: self.benchmark(name) for name in self.config["benchmarks"]}
        methods = {method for benchmark in found.values() for method in benchmark.methods}
        chosen = self.config["methods"]
        for key, names in (
            ("methods", [] if chosen == "all" else chosen),
            ("reference", [self.config["reference"]]),
            ("references", itertools.chain(*self.config["references"].items())),
            ("variants", self.config["variants"]),
        ):
            for name in names:
                if name not in methods:
                    raise InputError(
                        f"{self._at(key)}: unknown method {name!r}{nearest(name, methods)}"
                    )
        return {name: self._asked_for(benchmark) for name, benchmark in found.items()}

    def _asked_for(self, benchmark: Benchmark) -> Benchmark:
        """The benchmark with the methods of the config, and with the models and OOD sets that
        these need."""
        chosen = self.config["methods"]
        varied = {
            method + ending
            for method, changes in self.config["variants"].items()
            if method in benchmark.methods
            for ending, _ in _variants(changes)
        }
        methods = {
            name: settings
            for name, settings in benchmark.methods.items()
            if (chosen == "all" or name in chosen or name in varied)
            and (benchmark.validation or not self.fits(settings, "needs_validation"))
            and len(benchmark.classes) >= self._least_classes(benchmark, settings)
        }
        if not methods:
            raise InputError(
                f"{self._at('methods')}: the benchmark {benchmark.name!r} can run none of "
                f"{', '.join(chosen)}; it has {', '.join(benchmark.methods)}, some of which need a "
                "validation OOD set or more ID classes"
            )
        models = {}
        needed = [m for one in methods.values() for m in self.models_of("methods", one)]
        while needed:
            name = needed.pop()
            models[name] = benchmark.models[name]
            needed += self.models_of("models", models[name])
        ood = {
            name: one
            for name, one in benchmark.ood.items()
            if one.generated_by is None or one.generated_by in models
        }
        if not ood:
            raise InputError(
                f"benchmarks/{benchmark.name}.yaml: ood: no OOD set is left after 'exclude'"
            )
        in_order = {name: one for name, one in benchmark.models.items() if name in models}
        self._check_sizes(in_order, len(benchmark.classes), f"benchmarks/{benchmark.name}.yaml")
        return dataclasses.replace(benchmark, methods=methods, models=in_order, ood=ood)

    def _benchmark_file(self, name: str) -> tuple[str, dict]:
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
        content = load_yaml(self.root / source)
        check_schema(content, self.files["benchmark"], source)
        if "split" not in content:
            if chosen == name:
                return source, content
            raise InputError(
                f"{self._at('benchmarks')}: unknown benchmark {name!r}{nearest(name, known)}"
            )
        dataset = content["id"]["dataset"]
        self._known_dataset(dataset, source, "id.dataset")
        every = range(len(self.datasets[dataset].classes or ()))
        if len(every) < 2:
            raise InputError(f"{source}: split: {dataset} has no list of classes to split")
        # one class alone, or the first so many and not all
        numbers = every if content["split"] == "only" else every[1:]
        if chosen == name or int(number) not in numbers:
            raise InputError(
                f"{self._at('benchmarks')}: {name!r}: {source} needs a number at the end, "
                f"{stem}{numbers[0]} to {stem}{numbers[-1]}"
            )
        taken = [int(number)] if content["split"] == "only" else list(range(int(number)))
        others = [k for k in every if k not in taken]
        content["id"]["classes"] = taken
        content["title"] = content["title"].format(number=number)
        for entries in content["ood"].values():
            for entry in entries:
                if isinstance(entry, dict) and entry.get("classes") == "others":
                    entry["classes"] = others
        return source, content

    def groups(self, name: str) -> list[str]:
        """The groups of OOD sets in a benchmark's file, in order.

        :raises InputError: if there is no such benchmark
        """
        return list(self._benchmark_file(name)[1]["ood"])

    def benchmark(self, name: str) -> Benchmark:
        """One benchmark, checked."""
        source, content = self._benchmark_file(name)
        original = self._own(content["id"] | {"known": True}, source, "id")
        dataset = self._stand_in(original, source, "id.dataset")
        if missing := {"train", "test"} - set(self.datasets[dataset].splits):
            raise InputError(
                f"{source}: id.dataset: {dataset} has no {' and no '.join(sorted(missing))} split"
            )
        classes = self._classes(dataset, content["id"].get("classes"), source, "id.classes")
        if classes is None:
            raise InputError(f"{source}: id.classes: name the ID classes of {dataset}")
        identity = OODSet("id", dataset, classes, "id")
        models, methods = self._recipe(content["recipe"], content.get("settings", {}), source)
        marks = {
            section: {
                name: [key for key, value in one.pop(SEEN, {}).items() if one.get(key) == value]
                for name, one in entries.items()
            }
            for section, entries in (("models", models), ("methods", methods))
        }
        ood: dict[str, OODSet] = {}
        for group, entries in content["ood"].items():
            for index, entry in enumerate(entries):
                key = f"ood.{group}[{index}]"
                one = self._ood_set(entry, group, models, source, key)
                if one is not None and one.name in ood:
                    raise InputError(
                        f"{source}: {key}: a second OOD set called {one.name!r}; give it another "
                        "'name', or leave one out with 'exclude'"
                    )
                if one is not None:
                    ood[one.name] = one
        validation = None
        if "validation" in content:
            validation = self._ood_set(
                content["validation"], "validation", models, source, "validation"
            )
        for one in [*ood.values(), *([validation] if validation else [])]:
            if overlap(one, identity) or self._one_folder(one.dataset, dataset):
                raise InputError(
                    f"{source}: OOD set {one.name!r} shares classes of {one.dataset} with the ID "
                    "set; give it other 'classes' or another dataset"
                )
        shape = tuple(content["shape"])
        for settings in models.values():
            settings |= {"shape": list(shape), "n_classes": len(classes)}
        return Benchmark(
            name,
            content["title"],
            shape,
            dataset,
            classes,
            ood,
            validation,
            original if original != dataset else None,
            models,
            methods,
            marks,
        )

    def _own(self, about: dict, source: str, key: str) -> str:
        """The dataset that an entry names, or the name of its own images."""
        if "dataset" in about:
            return about["dataset"]
        name = about.get("name") or _ending(Path(about.get("folder", "own")).name).strip("_")
        about = {part: value for part, value in about.items() if part not in ("name", "classes")}
        if name in self.datasets and self.own.get(name) != about:
            raise InputError(f"{source}: {key}: the name {name!r} is taken; give it another 'name'")
        try:
            found = own.read(about)
        except InputError as error:
            raise InputError(f"{source}: {key}: {error}") from error
        self.own[name] = about
        self.datasets[name] = Dataset(
            title=f"own images, {about.get('folder') or about['root']}",
            shape=None,
            licence="the user's",
            citation="",
            splits=dict.fromkeys(found.splits, ((), None)),
            classes=found.classes,
        )
        return name

    def _one_folder(self, *names: str) -> bool:
        """Whether two sets are own images of the same folder."""
        first, second = (self.own.get(name, {}).get("folder") for name in names)
        return first is not None and first == second

    def _stand_in(self, name: str, source: str, key: str) -> str:
        self._known_dataset(name, source, key)
        return self.config["stand_ins"].get(name, name)

    def _ood_set(
        self, entry: str | dict, group: str, models: dict[str, dict], source: str, key: str
    ) -> OODSet | None:
        if isinstance(entry, str):
            entry = {"dataset": entry}
        if "generated_by" in entry:
            model = entry["generated_by"]
            generators = [
                name for name, one in models.items() if self.provides("models", one, "pseudo_ood")
            ]
            if model not in generators:
                raise InputError(
                    f"{source}: {key}.generated_by: no model {model!r} that generates images"
                    f"{nearest(model, generators)}"
                )
            classes = tuple(entry["classes"]) if "classes" in entry else None
            dataset = f"generated_by_{model}"
            return OODSet(entry.get("name", dataset), dataset, classes, group, None, model)
        original = self._own(entry, source, key)
        dataset = self._stand_in(original, source, key)
        name = entry.get("name", dataset)
        if {original, dataset, name} & set(self.config["exclude"]):
            return None
        if "test" not in self.datasets[dataset].splits:
            raise InputError(f"{source}: {key}: {dataset} has no test split")
        classes = self._classes(dataset, entry.get("classes"), source, f"{key}.classes")
        stand_in_for = original if dataset != original else None
        return OODSet(name, dataset, classes, group, stand_in_for)

    def _classes(
        self, dataset: str, classes: list[int] | None, source: str, key: str
    ) -> tuple[int, ...] | None:
        if classes == "others":
            raise InputError(f"{source}: {key}: 'others' needs a 'split' of the ID classes")
        names = self.datasets[dataset].classes
        known = None if names is None else tuple(range(len(names)))
        if classes is None:
            return known
        if known is not None and (unknown := set(classes) - set(known)):
            raise InputError(
                f"{source}: {key}: {dataset} has labels 0 to {known[-1]}; no images have label "
                f"{', '.join(map(str, sorted(unknown)))}"
            )
        return tuple(classes)

    def _recipe(
        self, name: str, changes: dict, referrer: str
    ) -> tuple[dict[str, dict], dict[str, dict]]:
        """Models and methods of a recipe, changed as the benchmark says, and the variants."""
        known = [path.name for path in (self.root / RECIPES).iterdir() if path.is_dir()]
        if name not in known:
            raise InputError(f"{referrer}: recipe: unknown recipe {name!r}{nearest(name, known)}")
        content, sources = self.entries(name)
        recipe = self._resolved(content, sources)
        self._check(recipe, sources)
        if changes:
            source = f"{referrer}: settings"
            for path, value in changes.items():
                replace_setting(content, path, value, source)
            sources = {section: dict.fromkeys(content[section], source) for section in KINDS}
            recipe = self._resolved(content, sources)
            self._check(recipe, sources)
        if self.config["variants"]:
            for method, varied in self.config["variants"].items():
                if method in recipe["methods"]:
                    for ending, changed in _variants(varied):
                        self._vary(recipe, "methods", method, changed, ending)
            source = f"{self._at('variants')}"
            self._check(recipe, {name: dict.fromkeys(recipe[name], source) for name in KINDS})
        return recipe["models"], recipe["methods"]

    @functools.lru_cache  # noqa: B019 - a loader lives as long as the run
    def _files(self, family: str) -> dict[str, dict[str, tuple[dict, str]]]:
        """The entries of a family's files as written, each with its file's name."""
        found: dict[str, dict[str, tuple[dict, str]]] = {section: {} for section in KINDS}
        for path in sorted((self.root / RECIPES / family).glob("*.yaml")):
            source = f"{RECIPES}/{family}/{path.name}"
            content = load_yaml(path)
            check_schema(content, self.files["recipe"], source)
            for section, entries in content.items():
                for name, settings in entries.items():
                    if name in found[section]:
                        other = found[section][name][1]
                        raise InputError(f"{source}: {section}.{name} is in {other} too")
                    found[section][name] = settings, source
        return found

    def source_of_entry(self, family: str, section: str, name: str) -> str:
        """The file that an entry is written in, from the workflow's folder."""
        return self._files(family)[section][name][1]

    def like_of_entry(self, family: str, section: str, name: str) -> str | None:
        """The entry whose settings it takes, ``<entry>`` or ``<family>/<entry>``."""
        return self._files(family)[section][name][0].get("like")

    def entries(self, family: str) -> tuple[dict, dict]:
        """Every entry of a family without ``like``, by section and name, and the file of each."""
        files = self._files(family)
        content = {
            section: {name: self._like(family, section, name) for name in entries}
            for section, entries in files.items()
        }
        sources = {
            section: {name: source for name, (_, source) in entries.items()}
            for section, entries in files.items()
        }
        return content, sources

    def _like(self, family: str, section: str, name: str, seen: tuple[str, ...] = ()) -> dict:
        """The settings of an entry, those of the one that it is like among them."""
        settings, source = self._files(family)[section][name]
        if "like" not in settings:
            return copy.deepcopy(settings)
        where, seen = f"{source}: {section}.{name}.like", (*seen, f"{family}/{name}")
        other, _, entry = settings["like"].rpartition("/")
        other = other or family
        families = [path.name for path in (self.root / RECIPES).iterdir() if path.is_dir()]
        if other not in families:
            raise InputError(f"{where}: unknown recipe {other!r}{nearest(other, families)}")
        entries = self._files(other)[section]
        if entry not in entries:
            raise InputError(f"{where}: no entry {entry!r} in {other}{nearest(entry, entries)}")
        if f"{other}/{entry}" in seen:
            raise InputError(f"{where}: goes in a circle: {' -> '.join([*seen, seen[0]])}")
        own = {key: value for key, value in settings.items() if key != "like"}
        return self._like(other, section, entry, seen) | copy.deepcopy(own)

    def _resolved(self, content: dict, sources: dict) -> dict:
        """The recipe at the config's scale, every ``grid`` of a model replaced by its members."""
        recipe = at_scale(copy.deepcopy(content), self.config["scale"])
        for name in [name for name, one in recipe["models"].items() if "grid" in one]:
            settings = recipe["models"].pop(name)
            grid = settings.pop("grid")
            source = sources["models"][name]
            check_schema(grid, GRID, source, f"models.{name}.grid")
            for key, values in grid.items():
                if isinstance(values, str):
                    grid[key] = _range(settings, values, source, f"models.{name}.grid.{key}")
            members = []
            for values in itertools.product(*grid.values()):
                chosen = dict(zip(grid, values, strict=True))
                members.append(name + "".join(map(variant_suffix, chosen, chosen.values())))
                recipe["models"][members[-1]] = settings | chosen
                sources["models"][members[-1]] = source
            for section in KINDS:
                for one in recipe[section].values():
                    for key in self._model_keys(section, one):
                        one[key] = members if one[key] == name else one[key]
        return recipe

    def _check(self, recipe: dict, sources: dict) -> None:
        for section, kind in KINDS.items():
            schemas = self.schemas[section]
            for entry, settings in recipe[section].items():
                source, where = sources[section][entry], f"{section}.{entry}"
                if kind not in settings:
                    raise InputError(f"{source}: {where}: the key {kind!r} is missing")
                if settings[kind] not in schemas:
                    raise InputError(
                        f"{source}: {where}.{kind}: unknown {kind} {settings[kind]!r}"
                        f"{nearest(settings[kind], schemas)}"
                    )
                schema = schemas[settings[kind]]
                check_schema(settings, schema, source, where, self.shared)
                for key in settings.get(SEEN, {}):
                    if key not in settings:
                        raise InputError(
                            f"{source}: {where}.{SEEN}: no setting {key!r}{nearest(key, settings)}"
                        )
                for key, model_type in self._model_keys(section, settings).items():
                    for model in _listed(settings[key]):
                        self._check_model(
                            model, model_type, recipe["models"], source, f"{where}.{key}"
                        )
                    if one_of_each := schema["properties"][key].get("one_of_each"):
                        named = [recipe["models"][model] for model in _listed(settings[key])]
                        _check_one_of_each(named, one_of_each, f"{source}: {where}.{key}")

    def _check_model(
        self, name: str, kind: str, models: dict[str, dict], source: str, where: str
    ) -> None:
        schemas = self.schemas["models"]
        fitting = [
            model
            for model, settings in models.items()
            # a type may say that its models are of another type, too
            if kind in (settings["type"], schemas[settings["type"]].get("is_a"))
        ]
        if name not in fitting:
            raise InputError(
                f"{source}: {where}: unknown model {name!r} of type {kind}{nearest(name, fitting)}"
            )

    def _check_sizes(self, models: dict[str, dict], n_classes: int, source: str) -> None:
        for name, settings in models.items():
            for key, one in self.schemas["models"][settings["type"]]["properties"].items():
                if one.get("at_most") == "n_classes" and settings[key] > n_classes:
                    raise InputError(
                        f"{source}: models.{name}.{key}: {settings[key]} is more than the "
                        f"{n_classes} ID classes; lower it under 'settings' of the benchmark"
                    )

    def _least_classes(self, benchmark: Benchmark, settings: dict) -> int:
        """How many ID classes a method's models need, as their schemas say."""
        waiting, least = self.models_of("methods", settings), 1
        while waiting:
            one = benchmark.models[waiting.pop()]
            least = max(least, self.schemas["models"][one["type"]].get("min_classes", 1))
            waiting += self.models_of("models", one)
        return least

    def _vary(self, recipe: dict, section: str, name: str, changes: dict, ending: str) -> str:
        """Add a copy of ``name``, called so with ``ending``, with other values of the settings at
        the paths ``changes``. These may be settings of a model that it names; then that model gets
        a copy too.

        :return: the copy's name
        """
        settings, of_models = copy.deepcopy(recipe[section][name]), {}
        keys, variant = self._model_keys(section, settings), name + ending
        for path, value in changes.items():
            key, _, rest = path.partition(".")
            if rest and key in keys:
                of_models.setdefault(key, {})[rest] = value
            else:
                replace_setting(
                    settings,
                    path,
                    value,
                    f"{self._at('variants')}: {section}.{name}",
                )
        for key, inner in of_models.items():
            named = settings[key]
            copied = [self._vary(recipe, "models", m, inner, ending) for m in _listed(named)]
            settings[key] = copied if isinstance(named, list) else copied[0]
        if recipe[section].setdefault(variant, settings) != settings:
            raise InputError(
                f"{self._at('variants')}: two different {section} are called {variant!r}"
            )
        return variant

    def _model_keys(self, section: str, settings: dict) -> dict[str, str]:
        """The settings that name models, with the type that these must have."""
        schema = self.schemas[section].get(settings.get(KINDS[section]), {"properties": {}})
        return {
            key: one["model_type"]
            for key, one in schema["properties"].items()
            if "model_type" in one and key in settings
        }

    def models_of(self, section: str, settings: dict) -> list[str]:
        """The models that the settings of a model or method name."""
        keys = self._model_keys(section, settings)
        return [name for key in keys for name in _listed(settings[key])]

    def edges(self, section: str, settings: dict) -> dict[str, str | list[str]]:
        """The settings that name a model or several."""
        return {key: settings[key] for key in self._model_keys(section, settings)}

    def fits(self, settings: dict, what: str) -> bool:
        """Whether the settings of a method fit what its schema says under ``needs_validation``,
        ``predicts`` or ``fitted``."""
        from jsonschema import Draft202012Validator

        schema = self.schemas["methods"][settings["pipeline"]].get(what, False)
        return Draft202012Validator(schema).is_valid(settings)

    def provides(self, section: str, settings: dict, what: str) -> bool:
        """Whether the schema of a model or method says that its jobs leave ``what``."""
        return what in self.schemas[section][settings[KINDS[section]]].get("provides", [])

    def scored_together(self, benchmark: Benchmark) -> dict[str, list[str]]:
        """The benchmark's methods by the job that scores them: those of one pipeline with the same
        value of the setting that its schema names under ``shares``. A job's name does not depend on
        which of them the config asks for."""
        groups: dict[str, list[str]] = {}
        for name, settings in benchmark.methods.items():
            pipeline = settings["pipeline"]
            shared = settings.get(self.schemas["methods"][pipeline].get("shares"))
            groups.setdefault(f"{pipeline}_{shared}" if shared else name, []).append(name)
        return groups

    def chosen_modules(self, section: str, settings: dict) -> list[str]:
        """The library's modules that settings choose: that of the model or method, and those that
        ``CHOOSERS`` name."""
        chosen = [self.modules[section][settings[KINDS[section]]]]
        for key, folder in CHOOSERS.items():
            if key in settings:
                chosen.append(f"ood.{folder}.{settings[key]}")
        return chosen

    def variant_of(self, method: str) -> dict | None:
        """The key ``variants`` of a config that knows one variant alone; None for another
        method."""
        for base, changes in self.config["variants"].items():
            for key, chosen in changes.items():
                for one in [chosen] if isinstance(chosen, dict) else [[value] for value in chosen]:
                    if any(base + ending == method for ending, _ in _variants({key: one})):
                        return {base: {key: one}}
        return None

    def test_scores_seen(self, benchmark: Benchmark, method: str) -> list[str]:
        """The settings behind a method's scores that were chosen when test scores were known, by
        the path that leads to them from the method."""
        seen = benchmark.test_scores_seen

        def paths(section: str, name: str) -> Iterator[str]:
            yield from seen[section][name]
            for key, named in self.edges(section, getattr(benchmark, section)[name]).items():
                for model in _listed(named):
                    yield from (f"{key}.{path}" for path in paths("models", model))

        return sorted(set(paths("methods", method)))

    def recipe_of(self, benchmark: Benchmark, method: str) -> dict:
        """All settings that a method's scores follow from, those of its models among them."""
        settings = benchmark.methods[method]
        models, waiting = {}, self.models_of("methods", settings)
        while waiting:
            name = waiting.pop()
            models[name] = benchmark.models[name]
            waiting += self.models_of("models", models[name])
        validation = benchmark.validation and [benchmark.validation.dataset]
        return {
            "id": [benchmark.dataset, list(benchmark.classes), list(benchmark.shape)],
            "validation": validation and [*validation, benchmark.validation.classes],
            "method": settings,
            "models": models,
        }


def _range(settings: dict, key: str, source: str, where: str) -> list[int]:
    """0 .. n - 1, for a setting ``key`` that holds n."""
    if not isinstance(settings.get(key), int):
        raise InputError(f"{source}: {where}: a list, or a setting that is a number, not {key!r}")
    return list(range(settings[key]))


def _check_one_of_each(models: list[dict], rule: dict, where: str) -> None:
    """Whether the models' setting ``rule["setting"]`` runs from 0 to their ``rule["of"]`` - 1."""
    found = sorted(one[rule["setting"]] for one in models)
    for one in models:
        if found != list(range(one[rule["of"]])):
            raise InputError(
                f"{where}: needs one model for each {rule['setting']} of {one[rule['of']]} "
                f"{rule['of']}, has {', '.join(map(str, found))}"
            )


def _parsed(value: object) -> object:
    """Numbers for the strings in lists that `--config seeds=[0,1]` makes of them."""
    if isinstance(value, dict):
        return {key: _parsed(one) for key, one in value.items()}
    if isinstance(value, list):
        return [yaml.safe_load(one) if isinstance(one, str) else one for one in value]
    return value


def variant_suffix(path: str, value: object) -> str:
    """``_<setting>_<value>`` as names of files and methods may hold it."""
    return _ending(f"{path.rpartition('.')[2]}_{value}")


def _ending(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", f"_{text}".lower()).rstrip("_")


def _variants(changes: dict[str, list | dict]) -> list[tuple[str, dict]]:
    """What the names of a method's variants end in, and the values by path of each: of a setting's
    list one after the other, those under a name together."""
    found = []
    for key, chosen in changes.items():
        if isinstance(chosen, dict):
            found.append((_ending(key), chosen))
        else:
            found += [(variant_suffix(key, value), {key: value}) for value in chosen]
    return found


def _listed(names: str | list[str]) -> list[str]:
    return names if isinstance(names, list) else [names]


def overlap(one: OODSet, other: OODSet) -> bool:
    """Whether two sets may share images."""
    if one.dataset != other.dataset or one.dataset in (*NOISES, *ID_NOISES):
        return one.dataset == other.dataset
    if one.classes is None or other.classes is None:
        return True
    return bool(set(one.classes) & set(other.classes))
