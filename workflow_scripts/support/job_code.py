"""Which code counts for a job: parameters that say what it means, a file each."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from ood import provenance
from ood.config.graph import modules_behind
from ood.config.kinds import modules_chosen
from support.plan import Plan

# what only training runs: scores follow from the models that it leaves, byte by byte
TRAINING = {
    f"ood/training/{name}.py"
    for name in ("checkpoint", "graphs", "health", "lars", "loop", "optimizers", "validation")
}


class Code:
    """Of a plan's jobs.

    :param scripts: the folder of the workflow's scripts
    """

    def __init__(self, plan: Plan, scripts: Path):
        self.plan, self.scripts = plan, scripts

    def of(self, *names: str) -> dict[str, str]:
        """What scripts, and modules that they import, mean: parameters of a rule, one a file.

        They stand in for Snakemake's own trigger, which goes by time and does not follow imports;
        the reason for a rerun shows the files that changed.
        """
        return {
            "code_" + re.sub(r"\W", "_", file): f"{file} {meaning}"
            for file, meaning in provenance.code(self.scripts, *names).items()
        }

    def chosen(self, script: str) -> Callable[[object], list[str]]:
        """The same of what settings choose by name: the module of a model or method, its net, its
        augmentation."""
        return lambda w: self._beyond(script, modules_chosen(*self.plan.entry(w)))

    def scoring(self, script: str, benchmark: str, methods: list[str]) -> list[str]:
        """The same of methods and of the models that they score with, without ``TRAINING``."""
        one = self.plan.benchmarks[benchmark]
        modules = [module for method in methods for module in modules_behind(one, method)]
        found = self._beyond(script, dict.fromkeys(modules))
        return [one for one in found if one.partition(" ")[0] not in TRAINING]

    def _beyond(self, script: str, modules: Iterable[str]) -> list[str]:
        anyway = provenance.code(self.scripts, script)
        found = provenance.code(self.scripts, *modules).items()
        return [f"{file} {meaning}" for file, meaning in found if file not in anyway]
