"""A method once more, with other settings of it or of the models behind it."""

import copy

from ood.config.kinds import edges, listed
from ood.config.recipes import Recipe, as_name, suffix
from ood.errors import InputError
from ood.settings.base import nearest


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


def changes_of(variants: dict[str, list | dict]) -> list[tuple[str, dict]]:
    """What the names of a method's variants end in, and the values by path of each: of a setting's
    list one after the other, those under a name together."""
    found = []
    for key, chosen in variants.items():
        if isinstance(chosen, dict):
            found.append((as_name(key), chosen))
        else:
            found += [(suffix(key, value), {key: value}) for value in chosen]
    return found


def add_variant(
    recipe: Recipe, section: str, name: str, changes: dict, ending: str, source: str
) -> str:
    """Add a copy of ``name``, called so with ``ending``, with other values of the settings at the
    paths ``changes``. These may be settings of a model that it names; then that model gets a copy
    too.

    :param source: where the variants are asked for, for errors
    :return: the copy's name
    :raises InputError: if there is no such setting, or the name is taken
    """
    settings, of_models = copy.deepcopy(recipe.section(section)[name]), {}
    keys, variant = edges(section, settings), name + ending
    for path, value in changes.items():
        key, _, rest = path.partition(".")
        if rest and key in keys:
            of_models.setdefault(key, {})[rest] = value
        else:
            replace_setting(settings, path, value, f"{source}: {section}.{name}")
    for key, inner in of_models.items():
        named = settings[key]
        copied = [
            add_variant(recipe, "models", model, inner, ending, source) for model in listed(named)
        ]
        settings[key] = copied if isinstance(named, list) else copied[0]
    if recipe.section(section).setdefault(variant, settings) != settings:
        raise InputError(f"{source}: two different {section} are called {variant!r}")
    return variant


def variant_of(variants: dict[str, dict], method: str) -> dict | None:
    """The key ``variants`` of a config that knows one variant alone; None for another method."""
    for base, changes in variants.items():
        for key, chosen in changes.items():
            for one in [chosen] if isinstance(chosen, dict) else [[value] for value in chosen]:
                if any(base + ending == method for ending, _ in changes_of({key: one})):
                    return {base: {key: one}}
    return None
