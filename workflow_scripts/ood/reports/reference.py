"""Pages of the documents that follow from the files they are about: what may be configured, by the
types of settings, and where the image sets come from, by the registry."""

import ast
import functools
import inspect
import itertools
import re
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from ood.config.contents import BenchmarkFile, Config, IDSet, OODEntry
from ood.config.kinds import KINDS, kinds, module_of
from ood.config.recipes import Family, at_scale, families
from ood.config.yaml_files import load_yaml
from ood.data.registry import ID_NOISES, NOISES, REGISTRY, Dataset
from ood.evaluation.tables import markdown
from ood.settings.base import (
    FROM_BENCHMARK,
    ModuleOf,
    NamesModel,
    Normalization,
    Settings,
    Weights,
    Where,
)

WRITTEN = "Written by `snakemake reference --cores 1` from"


def configuration(root: Path) -> str:
    """Every key of ``config.yaml`` and every setting of models and methods, with what is allowed
    and what it does; and for each recipe what ``quick`` changes of ``paper``.

    :param root: the workflow's folder
    """
    config = load_yaml(root / "config.yaml")
    parts = [
        "# Configuration",
        f"{WRITTEN} `config.yaml`, `benchmarks/recipes/`, and the types in "
        "`workflow_scripts/ood/settings/` and `ood/config/contents.py`. Every key is required "
        "unless it says otherwise, and an unknown one is an error.",
        "## config.yaml",
    ]
    comments = _comments(root / "config.yaml")
    rows = [
        [f"`{key}`", _allowed(field), f"`{_yaml(config[key])}`", comments.get(key, "")]
        for key, field in Config.model_fields.items()
    ]
    parts.append(markdown(["key", "allowed", "default", "meaning"], rows))
    parts += ["## A file in benchmarks/", _table(BenchmarkFile)]
    parts += ["### Its `id`", _table(IDSet), "### An OOD set", _table(OODEntry)]
    parts += [
        "## Settings of models and methods",
        "In a recipe, `benchmarks/recipes/<family>/*.yaml`, or under `settings` of a benchmark. "
        "`{smoke: …, quick: …, paper: …}` gives a value for each scale. Any model takes "
        "`weights` in the place of training. `python -m ood settings <family>/<entry>` prints an "
        "entry with the file and line of each value.",
    ]
    for section, title in (("models", "model type"), ("methods", "pipeline")):
        for kind, settings in sorted(kinds(section).items()):
            module = module_of(section, kind).replace(".", "/")
            parts += [
                f"### {title} `{kind}`",
                f"{inspect.getdoc(settings).splitlines()[0]} `workflow_scripts/{module}.py`",
                _table(settings, KINDS[section], "weights", *FROM_BENCHMARK),
            ]
    parts.append("## Settings within settings")
    for one in _within():
        parts += [f"### {one.__name__}", inspect.getdoc(one).splitlines()[0], _table(one, "name")]
    parts.append("## What `quick` changes of `paper`")
    parts.append("Settings that are the same at both scales are left out. A dash: not set.")
    for family in families(root):
        parts.append(f"### Recipe `{family}`")
        parts.append(markdown(["of", "setting", "paper", "quick"], _scales(root, family)))
    return "\n\n".join(parts) + "\n"


def _within() -> list[type[Settings]]:
    """The settings that others hold, in the order in which they are met."""
    found: dict[type[Settings], None] = dict.fromkeys([Weights, Normalization])
    waiting = [one for section in KINDS for _, one in sorted(kinds(section).items())]
    while waiting:
        for field in waiting.pop(0).model_fields.values():
            for inner in inner_settings(field.annotation):
                if inner not in found:
                    found[inner] = None
                    waiting.append(inner)
    return list(found)


def inner_settings(annotation: object) -> list[type[Settings]]:
    """The settings that a type holds."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [one for part in get_args(annotation) for one in inner_settings(part)]


@functools.cache
def descriptions(kind: type[Settings]) -> dict[str, str]:
    """The docstring below each field, of a class and of those that it comes from."""
    found: dict[str, str] = {}
    for one in reversed([part for part in kind.__mro__ if issubclass(part, Settings)]):
        body = ast.parse(inspect.cleandoc("\n" + inspect.getsource(one))).body[0].body
        for field, text in itertools.pairwise(body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            ):
                found[field.target.id] = " ".join(text.value.value.split())
    return found


def _table(kind: type[Settings], *but: str) -> str:
    says = descriptions(kind)
    rows = [
        [f"`{field.alias or name}`", _needed(field) + _allowed(field), says.get(name, "")]
        for name, field in kind.model_fields.items()
        if name not in but
    ]
    return markdown(["setting", "allowed", "meaning"], rows)


def _needed(field: FieldInfo) -> str:
    where = [one for one in field.metadata if isinstance(one, Where)]
    if where:
        values = ", ".join(f"`{value}`" for value in where[0].values)
        return f"where `{where[0].setting}` is {values}: "
    return "" if field.is_required() else "optional; "


def _allowed(field: FieldInfo) -> str:
    """What a field takes, in words."""
    for mark in field.metadata:
        if isinstance(mark, ModuleOf):
            return ", ".join(f"`{name}`" for name in mark.names())
        if isinstance(mark, NamesModel):
            name = f"of a model of type `{mark.kind}`"
            return f"names {name}s, or a grid's" if mark.one_of_each else f"name {name}"
    optional = not field.is_required() and field.default is None
    return _words(field.annotation, field.metadata, optional)


def _words(annotation: object, marks: list = (), optional: bool = False) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        return _words(inner[0], [*inner[1:], *marks], optional)
    marks = [part for mark in marks for part in getattr(mark, "metadata", None) or [mark]]
    if origin is Literal:
        return ", ".join(f"`{_yaml(one)}`" for one in inner)
    if origin in (Union, types.UnionType):
        kept = [one for one in inner if not (optional and one is type(None))]
        return " or ".join(_words(one, marks if one is not type(None) else ()) for one in kept)
    if origin in (list, tuple):
        parts = inner if origin is tuple else inner[:1]
        return "list of " + ", ".join(map(_words, parts))
    if origin is dict:
        return "mapping"
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        title = f"{annotation.__name__}"
        within = annotation in _within()
        return f"[{title}](#{title.lower()})" if within else "mapping"
    names = {int: "whole number", float: "number", str: "text", bool: "`true` or `false`"}
    names |= {type(None): "`null`", Any: "anything"}
    return names[annotation] + (_limits(marks) if annotation in (int, float) else "")


def _limits(marks: list) -> str:
    signs = {Ge: ("≥", "ge"), Gt: (">", "gt"), Le: ("≤", "le"), Lt: ("<", "lt")}
    found = [
        f"{sign} {getattr(mark, name)}"
        for mark in marks
        for kind, (sign, name) in signs.items()
        if isinstance(mark, kind)
    ]
    return f" {', '.join(found)}" if found else ""


def data() -> str:
    """The image sets of the registry: what they are, under which licence, from where."""
    head = ["name", "images", "shape", "licence", "from"]
    rows = []
    for name, one in REGISTRY.items():
        shape = "varies" if one.shape is None else "×".join(map(str, one.shape))
        title = one.title + (f"; {one.note}" if one.note else "")
        if one.stand_in_for:
            title += f"; stand-in for `{one.stand_in_for}`"
        rows.append([f"`{name}`", title, shape, one.licence, _source(one)])
    cited = [f"* `{name}`: {one.citation}" for name, one in REGISTRY.items() if one.citation]
    noise = ", ".join(f"`{name}`" for name in (*NOISES, *ID_NOISES))
    return (
        "\n\n".join(
            [
                "# Image sets",
                f"{WRITTEN} `workflow_scripts/ood/data/registry.py`. Each file is checked against "
                "its published digest. Where there is none, the first download's SHA-256 is "
                "recorded and later ones must agree. Whether an address still answers is not known "
                "here; `mirrors` in `config.yaml` are tried first.",
                f"Drawn, not downloaded: {noise}.",
                markdown(head, rows),
                "## To be cited",
                "\n".join(cited),
            ]
        )
        + "\n"
    )


def _source(one: Dataset) -> str:
    if one.files_of:
        return f"the files of `{one.files_of}`"
    hosts = {
        re.sub(r"^https?://([^/]+).*", r"\1", url)
        for file in one.files.values()
        for url in file.urls
    }
    if not one.files:
        return "drawn here" if one.licence == "generated" else "comes with scikit-learn"
    return ", ".join(sorted(hosts)) or "only from a mirror"


def _comments(path: Path) -> dict[str, str]:
    """The comment lines right above each key of a YAML file, and the one behind it."""
    found, above = {}, []
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            above.append(line.lstrip("# "))
        elif key := re.match(r"(\w+):", line):
            found[key[1]] = " ".join(above).replace("|", "\\|")
            above = []
        else:
            above = []
    return found


def _scales(root: Path, family: str) -> list[list[str]]:
    """Settings of a family's entries whose resolved values differ between the scales."""
    rows = []
    entries = Family(root, family, family).resolved()
    for section in ("models", "methods"):
        for name, settings in entries[section].items():
            paper, quick = (at_scale(settings, scale) for scale in ("paper", "quick"))
            for key in settings:
                both = [f"`{_yaml(one[key])}`" if key in one else "–" for one in (paper, quick)]
                if both[0] != both[1]:
                    rows.append([f"`{name}`", f"`{key}`", *both])
    return rows


def _yaml(value: object) -> str:
    """A value as one would write it on a line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000)
    return text.removesuffix("\n").removesuffix("\n...")
