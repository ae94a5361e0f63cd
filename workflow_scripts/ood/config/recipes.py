"""Recipes: the models and methods of a family of benchmarks, with settings for each scale.

Values go in one direction. A file of ``recipes/base`` has what families have in common; the file of
the same name in a family's folder changes it, setting by setting, and a benchmark changes that. A
family without the file does not have its entries; an entry that is null is left out, and one with a
``type`` or ``pipeline`` takes nothing from the base. An entry that is ``like`` another one of its
family takes that one's settings first.
"""

import copy
import functools
import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from ood.config.checks import checked
from ood.config.contents import NAME, SCALES
from ood.config.kinds import KINDS, edges, kinds, listed
from ood.config.yaml_files import load_yaml
from ood.errors import InputError
from ood.settings.base import FROM_BENCHMARK, NamesModel, nearest

RECIPES = "benchmarks/recipes"
BASE = "base"
# of an entry: settings with the value that was chosen when test scores were known; a mark for the
# tables and no setting, so that it trains nothing again
SEEN = "test_scores_seen"


@dataclass(frozen=True)
class Entry:
    """A model or method as it is written.

    :param parts: its settings in the base file and in the family's, with the file of each
    """

    parts: list[tuple[dict, str]]

    @property
    def settings(self) -> dict:
        """The family's before those of the base."""
        return functools.reduce(lambda below, part: below | part[0], self.parts, {})

    @property
    def source(self) -> str:
        """The file that errors name: the last that says something of it."""
        return self.parts[-1][1]


@dataclass(frozen=True)
class Recipe:
    """Settings by name at one scale, and the file of each entry."""

    models: dict[str, dict]
    methods: dict[str, dict]
    sources: dict[str, dict[str, str]]

    def section(self, name: str) -> dict[str, dict]:
        return self.models if name == "models" else self.methods


class Family:
    """The files of a family.

    :param root: the workflow's folder
    :raises InputError: if there is no such family, or an entry is in two files
    """

    def __init__(self, root: Path, name: str, referrer: str):
        self.name, known = name, families(root)
        if name not in known:
            raise InputError(f"{referrer}: recipe: unknown recipe {name!r}{nearest(name, known)}")
        self.entries: dict[str, dict[str, Entry]] = {section: {} for section in KINDS}
        for path in sorted((root / RECIPES / name).glob("*.yaml")):
            base = root / RECIPES / BASE / path.name
            files = [base] * base.is_file() + [path]
            self._add([_read(file) for file in files])

    def _add(self, files: list[tuple[dict, str]]) -> None:
        """The entries of a file and of the base's file of the same name."""
        for section in KINDS:
            names = [name for content, _ in files for name in content.get(section) or {}]
            for name in dict.fromkeys(names):
                parts: list[tuple[dict, str]] = []
                for content, source in files:
                    if name in (content.get(section) or {}):
                        settings = content[section][name]
                        # what says its type is whole; nothing takes the entry away
                        whole = settings is None or KINDS[section] in settings
                        parts = [*parts * (not whole), *[(settings, source)] * bool(settings)]
                if not parts:
                    continue
                entry = Entry(parts)
                if name in self.entries[section]:
                    other = self.entries[section][name].source
                    raise InputError(f"{entry.source}: {section}.{name} is in {other} too")
                self.entries[section][name] = entry

    def resolved(self) -> dict[str, dict[str, dict]]:
        """The settings of every entry at all scales, by section and name, without ``like``."""
        return {
            section: {name: self._like(section, name) for name in entries}
            for section, entries in self.entries.items()
        }

    def chain(self, section: str, name: str) -> list[tuple[str, Entry]]:
        """An entry, the one that it is like, the one that this is like, and so on; with names.

        :raises InputError: if there is no such entry, or they go in a circle
        """
        entries, found, seen = self.entries[section], [], []
        while True:
            entry = entries[name]
            found.append((name, entry))
            seen.append(name)
            if (like := entry.settings.get("like")) is None:
                return found
            where = f"{entry.source}: {section}.{name}.like"
            if like not in entries:
                raise InputError(
                    f"{where}: no entry {like!r} in {self.name}{nearest(like, entries)}"
                )
            if like in seen:
                raise InputError(f"{where}: goes in a circle: {' -> '.join([*seen, like])}")
            name = like

    def _like(self, section: str, name: str) -> dict:
        found: dict = {}
        for _, entry in reversed(self.chain(section, name)):
            found |= copy.deepcopy(entry.settings)
        return {key: value for key, value in found.items() if key != "like"}

    def sources(self) -> dict[str, dict[str, str]]:
        """The file of every entry, by section and name."""
        return {
            section: {name: entry.source for name, entry in entries.items()}
            for section, entries in self.entries.items()
        }


def families(root: Path) -> list[str]:
    folders = (path.name for path in (root / RECIPES).iterdir() if path.is_dir())
    return sorted(name for name in folders if name != BASE)


def _read(path: Path) -> tuple[dict, str]:
    """A file of a recipe, and what errors call it."""
    content, source = load_yaml(path), f"{RECIPES}/{path.parent.name}/{path.name}"
    for section, entries in content.items():
        if section not in KINDS:
            raise InputError(f"{source}: unknown key {section!r}{nearest(section, KINDS)}")
        for name, settings in (entries or {}).items():
            if not re.fullmatch(NAME, str(name)):
                raise InputError(f"{source}: {section}.{name}: it must have the form {NAME}")
            if not isinstance(settings, dict | None):
                raise InputError(f"{source}: {section}.{name}: it must be a mapping")
    return content, source


def at_scale(value: object, scale: str) -> object:
    """Replace every ``{smoke: …, quick: …, paper: …}`` by its value at ``scale``; where it has none
    there, its key is left out."""
    if not isinstance(value, dict):
        return value
    if _by_scale(value):
        return value[scale]
    return {
        key: at_scale(inner, scale)
        for key, inner in value.items()
        if not _by_scale(inner) or scale in inner
    }


def _by_scale(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and set(value) <= set(SCALES)


def at_one_scale(content: dict, sources: dict, scale: str) -> Recipe:
    """The recipe at a scale, every ``grid`` of a model replaced by its members."""
    content = at_scale(copy.deepcopy(content), scale)
    recipe = Recipe(content["models"], content["methods"], copy.deepcopy(sources))
    for name in [name for name, settings in recipe.models.items() if "grid" in settings]:
        members = _members(recipe, name)
        for section in KINDS:
            for settings in recipe.section(section).values():
                for key in _edges(section, settings):
                    settings[key] = members if settings[key] == name else settings[key]
    return recipe


def _members(recipe: Recipe, name: str) -> list[str]:
    """Put the members of a model's grid in its place; their names."""
    settings, source = recipe.models.pop(name), recipe.sources["models"][name]
    grid, where = settings.pop("grid"), f"models.{name}.grid"
    if not isinstance(grid, dict) or not grid:
        raise InputError(f"{source}: {where}: it must be a mapping of settings to lists")
    for key, values in grid.items():
        if isinstance(values, str):
            if not isinstance(settings.get(values), int):
                raise InputError(
                    f"{source}: {where}.{key}: a list, or a setting that is a number, not "
                    f"{values!r}"
                )
            grid[key] = list(range(settings[values]))
        elif not isinstance(values, list) or not values or len(set(values)) < len(values):
            raise InputError(
                f"{source}: {where}.{key}: {values!r}: it must be a list, each value once"
            )
    members = []
    for values in itertools.product(*grid.values()):
        chosen = dict(zip(grid, values, strict=True))
        members.append(name + "".join(map(suffix, chosen, chosen.values())))
        recipe.models[members[-1]] = settings | chosen
        recipe.sources["models"][members[-1]] = source
    return members


def suffix(path: str, value: object) -> str:
    """``_<setting>_<value>`` as names of files and methods may hold it."""
    return as_name(f"{path.rpartition('.')[2]}_{value}")


def as_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", f"_{text}".lower()).rstrip("_")


def _edges(section: str, settings: dict) -> dict:
    """Of an entry that has not been checked yet."""
    return edges(section, settings) if settings.get(KINDS[section]) in kinds(section) else {}


def check(recipe: Recipe, sources: dict[str, dict[str, str]], given: dict) -> None:
    """Every entry against its settings' types, and the models that entries name.

    :param sources: by section and name, the file that errors name
    :param given: what the benchmark gives to every model: ``shape`` and ``n_classes``
    :raises InputError: on the first mistake
    """
    for section, kind in KINDS.items():
        for name, settings in recipe.section(section).items():
            source, where = sources[section][name], f"{section}.{name}"
            if kind not in settings:
                raise InputError(f"{source}: {where}: the key {kind!r} is missing")
            if settings[kind] not in kinds(section):
                raise InputError(
                    f"{source}: {where}.{kind}: unknown {kind} {settings[kind]!r}"
                    f"{nearest(settings[kind], kinds(section))}"
                )
            bare = {key: value for key, value in settings.items() if key != SEEN}
            for key in settings.get(SEEN, {}):
                if key not in bare:
                    raise InputError(
                        f"{source}: {where}.{SEEN}: no setting {key!r}{nearest(key, bare)}"
                    )
            for key in FROM_BENCHMARK:
                if key in bare:
                    raise InputError(f"{source}: {where}: {key!r} comes from the benchmark")
            more = given if section == "models" else {}
            checked(kinds(section)[settings[kind]], bare | more, source, where)
            _check_named(recipe, section, settings, source, where)


def _check_named(recipe: Recipe, section: str, settings: dict, source: str, where: str) -> None:
    """Whether the models that an entry names are there, and of the right type."""
    marks = kinds(section)[settings[KINDS[section]]].marked(NamesModel)
    for key, named in edges(section, settings).items():
        mark = marks[key]
        fitting = [name for name, one in recipe.models.items() if _is_a(one, mark.kind)]
        for name in listed(named):
            if name not in fitting:
                raise InputError(
                    f"{source}: {where}.{key}: unknown model {name!r} of type {mark.kind}"
                    f"{nearest(name, fitting)}"
                )
        if mark.one_of_each:
            setting, of = mark.one_of_each
            models = [recipe.models[name] for name in listed(named)]
            numbers = sorted(one[setting] for one in models)
            for one in models:
                if numbers != list(range(one[of])):
                    raise InputError(
                        f"{source}: {where}.{key}: needs one model for each {setting} of {one[of]} "
                        f"{of}, has {', '.join(map(str, numbers))}"
                    )


def _is_a(settings: dict, kind: str) -> bool:
    """Whether a model is of a type, or can stand for one."""
    found = kinds("models").get(settings.get("type"))
    return found is not None and kind in (settings["type"], found.is_a)
