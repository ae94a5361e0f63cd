"""Whether today's settings and code would make a result again."""

from pathlib import Path

from ood.config.benchmarks import Benchmark
from ood.config.contents import Config
from ood.config.graph import modules_behind, recipe_of
from ood.config.variants import variant_of
from ood.provenance import code, digest

STEPS = ("models/train.py", "models/fit.py", "evaluation/score.py", "evaluation/evaluate.py")


def made_from(config: Config, scripts: Path, benchmark: Benchmark, method: str) -> dict:
    """What a method's metrics follow from, OOD sets and seed aside.

    :param scripts: the folder of the workflow's scripts
    :return: ``digest`` of settings and code; ``variant``: ``variants`` of a config that knows the
        method as its only variant, or None
    """
    modules = modules_behind(benchmark, method)
    recipe = recipe_of(benchmark, method)
    return {
        "digest": digest(recipe, code(scripts, *STEPS, *modules), config.precision),
        "variant": variant_of(config.variants, method),
    }
