"""What pictures of a benchmark show."""

from support.plan import Plan


class Figures:
    """Of a plan's benchmarks."""

    def __init__(self, plan: Plan):
        self.plan, self.config = plan, plan.config

    def trained(self, benchmark: str) -> list[str]:
        """Seed, section and name of every model and detector that training curves belong to."""
        names = [f"models/{name}" for name in self.plan.benchmarks[benchmark].models]
        fitted = self.plan.list_methods(benchmark, lambda one: "history" in one.provides)
        names += [f"detectors/{name}" for name in fitted]
        return [f"seed{seed}/{name}" for seed in self.config.seeds for name in names]

    def classifying(self, benchmark: str) -> list[str]:
        """The methods that name a class."""
        return self.plan.list_methods(benchmark, lambda one: one.predicts)

    def with_trajectory(self, benchmark: str) -> list[str]:
        """The methods with scores at several steps of training."""
        if "oracle" not in self.config.protocols:
            return []
        return self.plan.list_methods(benchmark, lambda one: "trajectory" in one.provides)

    def all_methods(self) -> list[str]:
        """Of all benchmarks, so that each has one colour in a run's pictures."""
        every = self.plan.benchmarks.values()
        return list(dict.fromkeys(name for one in every for name in one.methods))

    def ood_names(self, benchmark: str) -> list[str]:
        return list(self.plan.benchmarks[benchmark].ood)
