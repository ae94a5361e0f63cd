"""Which models stand behind a method, and what follows from that."""

from collections.abc import Iterator
from typing import Protocol

from ood.config.kinds import edges, kinds, listed, models_named, modules_chosen


class Entries(Protocol):
    """What of a benchmark is asked here."""

    models: dict[str, dict]
    methods: dict[str, dict]


def models_behind(benchmark: Entries, method: str) -> list[str]:
    """The models that a method names, those that they name, and so on."""
    waiting, found = models_named("methods", benchmark.methods[method]), []
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.append(name)
            waiting += models_named("models", benchmark.models[name])
    return found


def least_classes(benchmark: Entries, method: str) -> int:
    """How many ID classes a method's models need."""
    types = [benchmark.models[name]["type"] for name in models_behind(benchmark, method)]
    return max([1, *(kinds("models")[one].min_classes for one in types)])


def scored_together(benchmark: Entries) -> dict[str, list[str]]:
    """The benchmark's methods by the job that scores them: those of one pipeline with the same
    value of the setting that it ``shares``. A job's name does not depend on which of them the
    config asks for."""
    groups: dict[str, list[str]] = {}
    for name, settings in benchmark.methods.items():
        pipeline = settings["pipeline"]
        shared = settings.get(kinds("methods")[pipeline].shares)
        groups.setdefault(f"{pipeline}_{shared}" if shared else name, []).append(name)
    return groups


def modules_behind(benchmark: Entries, method: str) -> list[str]:
    """The library's modules that the settings of a method and of its models choose."""
    modules = modules_chosen("methods", benchmark.methods[method])
    for name in models_behind(benchmark, method):
        modules += modules_chosen("models", benchmark.models[name])
    return list(dict.fromkeys(modules))


def marks_behind(benchmark, method: str) -> list[str]:
    """The settings behind a method's scores that were chosen when test scores were known, by the
    path that leads to them from the method."""
    seen = benchmark.test_scores_seen

    def paths(section: str, name: str) -> Iterator[str]:
        yield from seen[section][name]
        entries = benchmark.models if section == "models" else benchmark.methods
        for key, named in edges(section, entries[name]).items():
            for model in listed(named):
                yield from (f"{key}.{path}" for path in paths("models", model))

    return sorted(set(paths("methods", method)))


def recipe_of(benchmark, method: str) -> dict:
    """All settings that a method's scores follow from, those of its models among them."""
    validation = benchmark.validation
    return {
        "id": [benchmark.dataset, list(benchmark.classes), list(benchmark.shape)],
        "validation": validation and [validation.dataset, validation.classes],
        "method": benchmark.methods[method],
        "models": {name: benchmark.models[name] for name in models_behind(benchmark, method)},
    }
