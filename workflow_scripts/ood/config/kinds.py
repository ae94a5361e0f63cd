"""Which settings belong to a model's ``type`` and a method's ``pipeline``, and whose code it is."""

import functools
import importlib
import pkgutil
from typing import Literal, get_args, get_origin

from ood import settings as rooms
from ood.settings.base import MethodSettings, ModelSettings, NamesModel, Settings

# of a recipe's sections, the key that says whose settings an entry has
KINDS = {"models": "type", "methods": "pipeline"}
# settings that choose a module by name, with the folder that it lies in
CHOOSERS = {"architecture": "models", "augmentation": "augmentations"}
# optimizers that are modules of ``ood.training``
OPTIMIZERS = ("lars",)
# the file of nets that methods share; any other is of the method of its name
SHARED = "classifiers"


@functools.cache
def kinds(section: str) -> dict[str, type[Settings]]:
    """The settings of every model type, or of every pipeline."""
    found: dict[str, type[Settings]] = {}
    base = ModelSettings if section == "models" else MethodSettings
    for module in sorted(one.name for one in pkgutil.iter_modules(rooms.__path__)):
        content = importlib.import_module(f"{rooms.__name__}.{module}")
        for kind in vars(content).values():
            field = KINDS[section]
            if (
                isinstance(kind, type)
                and issubclass(kind, base)
                and field in kind.model_fields
                and kind.__module__ == content.__name__
                and get_origin(kind.model_fields[field].annotation) is Literal
            ):
                found[get_args(kind.model_fields[field].annotation)[0]] = kind
    return found


@functools.cache
def module_of(section: str, name: str) -> str:
    """The module of the library that serves a model type or a pipeline."""
    stem = kinds(section)[name].__module__.rpartition(".")[2]
    return "ood.detection.classifier" if stem == SHARED else f"ood.methods.{stem}"


def settings_of(section: str, plain: dict) -> Settings:
    """The typed settings of a model or method that has been checked before."""
    return kinds(section)[plain[KINDS[section]]].read(plain)


def edges(section: str, plain: dict) -> dict[str, str | list[str]]:
    """The settings that name a model, or several."""
    named = kinds(section)[plain[KINDS[section]]].marked(NamesModel)
    return {key: plain[key] for key in named if key in plain}


def models_named(section: str, plain: dict) -> list[str]:
    """The models that the settings of a model or method name."""
    return [name for named in edges(section, plain).values() for name in listed(named)]


def modules_chosen(section: str, plain: dict) -> list[str]:
    """The library's modules that settings choose: that of the model or method, and those that
    ``CHOOSERS`` and ``OPTIMIZERS`` name."""
    chosen = [module_of(section, plain[KINDS[section]])]
    for key, folder in CHOOSERS.items():
        if key in plain:
            chosen.append(f"ood.{folder}.{plain[key]}")
    if (name := plain.get("optimizer", {}).get("name")) in OPTIMIZERS:
        chosen.append(f"ood.training.{name}")
    return chosen


def listed(names: str | list[str]) -> list[str]:
    return names if isinstance(names, list) else [names]
