"""Where the value of each setting of a recipe comes from: file and line."""

from dataclasses import dataclass
from pathlib import Path

from ood.config.kinds import KINDS
from ood.config.recipes import Family, at_scale, families
from ood.config.yaml_files import key_lines, load_yaml
from ood.errors import InputError
from ood.settings.base import nearest


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
    of, _, entry = name.partition("/")
    if of not in families(root) or not entry:
        raise InputError(f"{name}: write <family>/<entry>{nearest(of, families(root))}")
    family = Family(root, of, name)
    sections = [section for section in KINDS if entry in family.entries[section]]
    if not sections:
        known = [one for section in KINDS for one in family.entries[section]]
        raise InputError(f"{name}: no entry {entry!r}{nearest(entry, known)}")
    section = sections[0]
    places = _places(root, family, section, entry)
    values = at_scale(family.resolved()[section][entry], scale)
    found = [Origin(key, value, *places[key]) for key, value in values.items()]
    if benchmark:
        found += _changes(root, benchmark, f"{section}.{entry}.", scale)
    return section, found


def _places(root: Path, family: Family, section: str, name: str) -> dict[str, tuple[str, int]]:
    """File and line of each setting: of the family before the base, of the entry before the one
    that it is like."""
    found: dict[str, tuple[str, int]] = {}
    for entry_name, entry in family.chain(section, name):
        for _, file in reversed(entry.parts):
            lines = key_lines(root / file, section, entry_name)
            found = {key: (file, line) for key, line in lines.items()} | found
    return found


def _changes(root: Path, benchmark: str, prefix: str, scale: str) -> list[Origin]:
    """What a benchmark's file changes of an entry."""
    file = f"benchmarks/{benchmark}.yaml"
    settings = load_yaml(root / file).get("settings") or {}
    lines = key_lines(root / file, "settings") if settings else {}
    return [
        Origin(path.removeprefix(prefix), value, file, lines[path])
        for path, value in at_scale(settings, scale).items()
        if path.startswith(prefix)
    ]
