"""Typed settings from what a file says, or an error that names the file and the key."""

import math
import re
from collections.abc import Iterator
from typing import TypeVar

from pydantic import ValidationError

from ood.errors import InputError
from ood.settings.base import Settings, nearest

S = TypeVar("S", bound=Settings)
# by pydantic's name of an error, what a value must be
WANTED = {
    "greater_than_equal": "it must be {ge:g} or more",
    "greater_than": "it must be more than {gt:g}",
    "less_than_equal": "it must be {le:g} or less",
    "less_than": "it must be less than {lt:g}",
    "too_short": "it must have {min_length} or more entries",
    "too_long": "it must have {max_length} entries or fewer",
    "int_type": "it must be a whole number",
    "float_type": "it must be a number",
    "bool_type": "it must be true or false",
    "string_type": "it must be text",
    "list_type": "it must be a list",
    "dict_type": "it must be a mapping",
    "model_type": "it must be a mapping",
    "model_attributes_type": "it must be a mapping",
    "none_required": "it must be null",
    "string_pattern_mismatch": "it must have the form {pattern}",
}


def checked(kind: type[S], content: object, source: str, prefix: str = "") -> S:
    """``content`` as settings of a kind.

    :param source: the file, for errors
    :param prefix: the key that ``content`` lies under, for errors
    :raises InputError: with the first error's file, key and what is allowed there
    """
    for path, value in _numbers(content):
        if not math.isfinite(value):
            key = ".".join([*[prefix] * bool(prefix), *path])
            raise InputError(f"{source}: {key}: {value} is no number to compute with")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        # a wrong key explains more than the missing one that it was meant to be
        order = {"unknown_key": 0, "missing": 2}
        first = min(error.errors(), key=lambda one: order.get(one["type"], 1))
        raise InputError(f"{source}: {_message(first, content, prefix)}") from None


def _message(error: dict, content: object, prefix: str) -> str:
    kind, value, more = error["type"], error["input"], error.get("ctx", {})
    path = _path(error["loc"], content, kind == "missing")
    if kind == "missing":
        return f"{_key(prefix, path[:-1])}: the key {path[-1]!r} is missing"
    key = _key(prefix, path)
    if kind == "unknown_key":
        where = "" if key == "(top level)" else f" in {key}"
        return more["text"].replace(";", f"{where};", 1)
    if kind == "refused":
        return f"{key}: {more['text']}"
    if kind == "literal_error":
        return f"{key}: {value!r}{nearest(value, _quoted(more['expected']))}"
    if kind == "union_tag_invalid":
        tag = more["discriminator"].strip("'")
        return f"{key}.{tag}: {more['tag']!r}{nearest(more['tag'], _quoted(more['expected_tags']))}"
    if kind == "union_tag_not_found":
        return f"{key}: the key {more['discriminator']} is missing"
    hint = ""
    if kind.endswith("_type") and re.fullmatch(r"[\d.]+e[+-]?\d+", str(value)):
        hint = " (this is text; YAML reads 1e-4 as text: write 1.0e-4)"
    wanted = WANTED[kind].format(**more) if kind in WANTED else error["msg"]
    return f"{key}: {value!r}: {wanted}{hint}"


def _path(places: tuple, content: object, missing: bool) -> list[str]:
    """The keys that lead to an error, the last of which may be ``missing``. Pydantic names the
    branches of a union, too: left out."""
    found = []
    for number, place in enumerate(places):
        if (isinstance(content, dict) and place in content) or (
            isinstance(content, list) and isinstance(place, int) and place < len(content)
        ):
            content = content[place]
            found.append(str(place))
        elif missing and number == len(places) - 1:
            found.append(str(place))
    return found


def _key(prefix: str, path: list[str]) -> str:
    return ".".join([*[prefix] * bool(prefix), *path]) or "(top level)"


def _quoted(text: str) -> list[str]:
    """The values in pydantic's list of them."""
    return [one.strip("'") for one in re.findall(r"'[^']*'|\d+", text)]


def _numbers(content: object, *path: str) -> Iterator[tuple[tuple[str, ...], float]]:
    """Every number with a point, and where it is."""
    if isinstance(content, float):
        yield path, content
    elif isinstance(content, dict | list):
        pairs = content.items() if isinstance(content, dict) else enumerate(content)
        for key, value in pairs:
            yield from _numbers(value, *path, str(key))
