"""YAML files, read strictly."""

from pathlib import Path

import yaml

from ood.errors import InputError

MOST_VALUES = 1_000_000


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
        raise InputError(f"{path}: expected keys and values, not {type(content).__name__}")
    waiting, count = [content], 0
    while waiting:
        value = waiting.pop()
        count += 1
        # names for parts of a file can make it grow without end
        if count > MOST_VALUES:
            raise InputError(f"{path}: more than {MOST_VALUES:,} values, its names (&, *) unfolded")
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
    return content


def key_lines(path: Path, *keys: str) -> dict[str, int]:
    """The line, from 1, of each key of the mapping under ``keys``; nothing where there is none."""
    node = yaml.compose(path.read_text(), yaml.SafeLoader)
    for key in keys:
        found = [value for name, value in node.value if name.value == key]
        if not found or not isinstance(found[0], yaml.MappingNode):
            return {}
        node = found[0]
    return {name.value: name.start_mark.line + 1 for name, _ in node.value}
