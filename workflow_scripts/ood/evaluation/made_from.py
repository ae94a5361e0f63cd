"""Whether today's settings and code would make a result again."""

from pathlib import Path

from ood.config.benchmarks import Benchmark, Loader
from ood.provenance import code, digest

STEPS = ("train.py", "fit.py", "score.py", "evaluate.py")


def made_from(loader: Loader, scripts: Path, benchmark: Benchmark, method: str) -> dict:
    """What a method's metrics follow from, OOD sets and seed aside.

    :param scripts: the folder of the workflow's scripts
    :return: ``digest`` of settings and code; ``variant``: ``variants`` of a config that knows the
        method as its only variant, or None
    """
    recipe = loader.recipe_of(benchmark, method)
    modules = loader.chosen_modules("methods", recipe["method"])
    for settings in recipe["models"].values():
        modules += loader.chosen_modules("models", settings)
    return {
        "digest": digest(recipe, code(scripts, *STEPS, *modules), loader.config["precision"]),
        "variant": loader.variant_of(method),
    }
