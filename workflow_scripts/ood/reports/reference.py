"""Pages of the documents that follow from the files they are about: what may be configured, by the
schemas, and where the image sets come from, by the registry."""

import re
from pathlib import Path

import yaml

from ood.config.benchmarks import Loader, at_scale, load_yaml
from ood.data.registry import ID_NOISES, NOISES, REGISTRY, Dataset
from ood.evaluation.tables import markdown

WRITTEN = "Written by `snakemake reference --cores 1` from"


def configuration(root: Path) -> str:
    """Every key of ``config.yaml`` and every setting of models and methods, with what is allowed;
    and for each recipe what ``quick`` changes of ``paper``.

    :param root: the workflow's folder
    """
    config = load_yaml(root / "config.yaml")
    loader = Loader(root, dict(config))
    parts = [
        "# Configuration",
        f"{WRITTEN} `config.yaml`, `schemas/` and `benchmarks/recipes/`. Every key is required "
        "unless it says otherwise, and an unknown one is an error.",
        "## config.yaml",
    ]
    keys = loader.files["config"]["properties"]
    comments = _comments(root / "config.yaml")
    rows = [
        [f"`{key}`", _allowed(schema, loader), f"`{_yaml(config[key])}`", comments.get(key, "")]
        for key, schema in keys.items()
    ]
    parts.append(markdown(["key", "allowed", "default", "meaning"], rows))
    parts += [
        "## A file in benchmarks/",
        markdown(["key", "allowed"], _settings(loader.files["benchmark"], loader)),
        "## Settings of models and methods",
        "In a recipe, `benchmarks/recipes/<family>/*.yaml`, or under `settings` of a benchmark. "
        "`{smoke: …, quick: …, paper: …}` gives a value for each scale. Any model takes "
        "`weights: {file: …, names: {…}}` in the place of training.",
    ]
    for section, title in (("models", "model type"), ("methods", "pipeline")):
        for kind, schema in loader.schemas[section].items():
            module = loader.modules[section][kind].replace(".", "/")
            parts += [
                f"### {title} `{kind}`",
                f"`workflow_scripts/{module}.py`",
                markdown(["setting", "allowed"], _settings(schema, loader, "weights")),
            ]
    parts.append("## What `quick` changes of `paper`")
    parts.append("Settings that are the same at both scales are left out. A dash: not set.")
    for folder in sorted((root / "benchmarks/recipes").iterdir()):
        parts.append(f"### Recipe `{folder.name}`")
        parts.append(markdown(["of", "setting", "paper", "quick"], _scales(loader, folder.name)))
    return "\n\n".join(parts) + "\n"


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
                "its published digest. Where there is none, the first download's SHA-256 is recorded "
                "and later ones must agree. Whether an address still answers is not known here; "
                "`mirrors` in `config.yaml` are tried first.",
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


def _settings(schema: dict, loader: Loader, *but: str) -> list[list[str]]:
    required = set(schema.get("required", ()))
    rows = []
    for key, one in schema["properties"].items():
        if key not in but:
            optional = "" if key in required else "optional; "
            rows.append([f"`{key}`", optional + _allowed(one, loader)])
    return rows


def _allowed(schema: dict | bool, loader: Loader) -> str:
    """A schema in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        shared = loader.shared["shared.yaml"]["$defs"] | loader.files["benchmark"]["$defs"]
        return _allowed(shared[name], loader)
    if "oneOf" in schema:
        return " or ".join(_allowed(one, loader) for one in schema["oneOf"])
    if "const" in schema:
        return f"`{_yaml(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{_yaml(one)}`" for one in schema["enum"])
    kinds = schema.get("type", "anything")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    words = []
    for kind in kinds:
        if kind == "array":
            words.append(f"list of {_allowed(schema.get('items', {}), loader)}")
        elif kind == "object":
            names = ", ".join(f"`{name}`" for name in schema.get("properties", {}))
            words.append(f"mapping of {names}" if names else "mapping")
        elif kind in ("integer", "number"):
            words.append({"integer": "whole number"}.get(kind, kind) + _limits(schema))
        elif kind == "string" and "model_type" in schema:
            words.append(f"name of a model of type `{schema['model_type']}`")
        else:
            words.append({"string": "text", "boolean": "`true` or `false`"}.get(kind, kind))
    return " or ".join(words)


def _limits(schema: dict) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema]
    return f" {', '.join(found)}" if found else ""


def _scales(loader: Loader, family: str) -> list[list[str]]:
    """Settings of a family's entries whose resolved values differ between the scales."""
    rows = []
    entries, _ = loader.entries(family)
    for section in ("models", "methods"):
        for name, settings in entries.get(section, {}).items():
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
