"""What gpu.py runs, from today's recipes.

``scores``: every method of the default benchmark at `smoke` scale. ``speed``: the models of two
benchmarks at another scale, once each where they differ in their group of classes or in a grid.
"""

from pathlib import Path

import timing  # noqa: F401, so that the library is found

from ood.config.benchmarks import Loader
from ood.config.kinds import edges, module_of
from ood.config.yaml_files import load_yaml

ROOT = Path(__file__).parents[1]
# ID training images
IMAGES = {"mnist": 60_000, "cifar10": 50_000}
# settings that do not change how long a step takes
INDIFFERENT = ("group", "mutation_rate", "l2")


def entries(benchmark: str, scale: str) -> dict:
    """A benchmark's models and methods with their modules and the models that they name."""
    changes = {"benchmarks": [benchmark], "scale": scale}
    one = Loader(ROOT, load_yaml(ROOT / "config.yaml") | changes).benchmarks()[benchmark]

    def described(section: str, kind: str) -> dict:
        return {
            name: {
                "module": module_of(section, settings[kind]),
                "settings": settings,
                "models": edges(section, settings),
            }
            for name, settings in one.section(section).items()
        }

    return {"models": described("models", "type"), "methods": described("methods", "pipeline")}


def speed(benchmark: str, scale: str = "paper") -> dict:
    """The models that differ in speed, how many of each there are, and what each method needs."""
    found = entries(benchmark, scale)
    models, stands_for = {}, {}
    for name, one in found["models"].items():
        alike = {k: v for k, v in one["settings"].items() if k not in INDIFFERENT}
        same = [n for n, m in models.items() if m["alike"] == alike]
        stands_for[name] = same[0] if same else name
        if not same:
            models[name] = one | {"alike": alike, "images": IMAGES[benchmark]}

    def needed(edges: dict) -> set[str]:
        names = set()
        for named in edges.values():
            for name in [named] if isinstance(named, str) else named:
                names |= {name} | needed(found["models"][name]["models"])
        return names

    methods = {}
    for name, one in found["methods"].items():
        counts: dict[str, int] = {}
        for model in sorted(needed(one["models"])):
            counts[stands_for[model]] = counts.get(stands_for[model], 0) + 1
        if counts:
            methods[name] = counts
    for one in models.values():
        del one["alike"]
    return {"models": models, "methods": methods}


def plan(scale: str = "paper") -> dict:
    """``scores`` and ``speed``, see above."""
    return {
        "scores": entries("digits", "smoke"),
        "speed": {benchmark: speed(benchmark, scale) for benchmark in IMAGES},
    }
