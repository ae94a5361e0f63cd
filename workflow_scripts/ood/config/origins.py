"""Where the value of each setting of a recipe comes from: file and line."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from ood.config.benchmarks import KINDS, RECIPES, Loader, at_scale, load_yaml, nearest
from ood.errors import InputError


@dataclass(frozen=True)
class Origin:
    """A setting of an entry.

    :param setting: its name; with a dot, what a benchmark changes within it
    :param file: from the workflow's folder
    :param line: from 1
    """

    setting: str
    value: object
    file: str
    line: int


def origins(
    root: Path, name: str, scale: str, benchmark: str | None = None
) -> tuple[str, list[Origin]]:
    """Every setting of a model or method at a scale, and where it is set.

    :param root: the workflow's folder
    :param name: ``<family>/<entry>``
    :param benchmark: whose ``settings`` change the family's
    :return: ``models`` or ``methods``, and the settings, in the order of the entry
    :raises InputError: if there is no such family, entry or benchmark
    """
    loader = Loader(root, load_yaml(root / "config.yaml"))
    family, _, entry = name.partition("/")
    families = [path.name for path in (root / RECIPES).iterdir() if path.is_dir()]
    if family not in families or not entry:
        raise InputError(f"{name}: write <family>/<entry>{nearest(family, families)}")
    content, _ = loader.entries(family)
    sections = [section for section in KINDS if entry in content[section]]
    if not sections:
        known = [one for section in KINDS for one in content[section]]
        raise InputError(f"{name}: no entry {entry!r}{nearest(entry, known)}")
    section = sections[0]
    places = _places(root, loader, family, section, entry)
    values = at_scale(content[section][entry], scale)
    found = [Origin(key, value, *places[key]) for key, value in values.items()]
    if benchmark:
        found += _changes(root, benchmark, f"{section}.{entry}.", scale)
    return section, found


def _places(
    root: Path, loader: Loader, family: str, section: str, entry: str
) -> dict[str, tuple[str, int]]:
    """File and line of each setting, of the entry itself or of the nearest that it is like."""
    found: dict[str, tuple[str, int]] = {}
    while True:
        file = loader.source_of_entry(family, section, entry)
        lines = _lines(root / file, section, entry)
        found = {key: (file, line) for key, line in lines.items()} | found
        like = loader.like_of_entry(family, section, entry)
        if like is None:
            return found
        other, _, entry = like.rpartition("/")
        family = other or family


def _changes(root: Path, benchmark: str, prefix: str, scale: str) -> list[Origin]:
    """What a benchmark's file changes of an entry."""
    file = f"benchmarks/{benchmark}.yaml"
    settings = load_yaml(root / file).get("settings", {})
    lines = _lines(root / file, "settings") if settings else {}
    return [
        Origin(path.removeprefix(prefix), value, file, lines[path])
        for path, value in at_scale(settings, scale).items()
        if path.startswith(prefix)
    ]


def _lines(path: Path, *keys: str) -> dict[str, int]:
    """The line of each key of the mapping under ``keys`` of a YAML file, from 1."""
    node = yaml.compose(path.read_text(), yaml.SafeLoader)
    for key in keys:
        node = next(value for name, value in node.value if name.value == key)
    return {name.value: name.start_mark.line + 1 for name, _ in node.value}
