"""Which jobs score, judge, compare and draw, and what all of them end in."""

from ood.config.graph import scored_together
from ood.config.kinds import KINDS
from ood.errors import InputError
from ood.layout import AGAINST_REFERENCE, MADE_FROM, SUFFIXES, Seed
from support.plan import Plan

# what a method's jobs must leave so that a protocol can judge it
NEEDED = {"validation": "validation", "oracle": "snapshots"}
TABLES = ["metrics.csv", "summary.csv", "leaderboard.csv", "leaderboard.md", "ranks.csv"]
TABLES += ["comparisons.csv", "published.csv", "costs.csv", "health.csv", "overview.html"]


class Jobs:
    """Of a plan.

    :raises InputError: if no method has one of the config's protocols
    """

    def __init__(self, plan: Plan):
        self.plan, self.config = plan, plan.config
        for protocol in self.config.protocols:
            cells = [(one.name, m) for one in plan.benchmarks.values() for m in one.methods]
            if not any(protocol in self.protocols_of(*cell) for cell in cells):
                raise InputError(
                    f"{plan.source_of('protocols')}: protocols: none of the chosen methods has "
                    f"{protocol!r}"
                )

    def protocols_of(self, benchmark: str, method: str) -> list[str]:
        """The protocols of the config under which a method can be evaluated."""
        one = self.plan.benchmarks[benchmark]
        return [
            protocol
            for protocol in self.config.protocols
            if protocol == "final"
            or (
                self.plan.provides("methods", one.methods[method], NEEDED[protocol])
                and (protocol != "validation" or one.validation)
            )
        ]

    def scoring(self) -> list[tuple[str, str, list[str], str]]:
        """Benchmark, job, the methods that it scores, and the protocol in the files' names."""
        return [
            (name, job, methods, SUFFIXES[protocol])
            for name, benchmark in self.plan.benchmarks.items()
            for job, group in scored_together(benchmark).items()
            for protocol in self.config.protocols
            if (methods := [one for one in group if protocol in self.protocols_of(name, one)])
        ]

    def evaluation(self) -> list[tuple[str, str]]:
        """Benchmark and protocol in the files' names."""
        return list(
            dict.fromkeys((benchmark, suffix) for benchmark, _, _, suffix in self.scoring())
        )

    def compared(self) -> list[str]:
        """Benchmarks with methods that can be compared with their reference method."""
        return [name for name in self.plan.benchmarks if self.against_reference(name)]

    def against_reference(self, benchmark: str) -> dict[str, str]:
        """The methods that are compared, each with the one that it is compared with."""
        methods, config = self.plan.benchmarks[benchmark].methods, self.config
        chosen = {method: config.references.get(method, config.reference) for method in methods}
        return {m: other for m, other in chosen.items() if other != m and other in methods}

    def _seeds(self, benchmark: str) -> list[Seed]:
        return [Seed.of(self.config.scale, benchmark, seed) for seed in self.config.seeds]

    def metrics(self) -> list[str]:
        return [
            seed.metrics(method, name, SUFFIXES[protocol])
            for benchmark, one in self.plan.benchmarks.items()
            for seed in self._seeds(benchmark)
            for method in one.methods
            for protocol in self.protocols_of(benchmark, method)
            for name in [*one.ood, MADE_FROM]
        ]

    def comparisons(self) -> list[str]:
        return [
            seed.metrics(method, AGAINST_REFERENCE)
            for benchmark in self.compared()
            for seed in self._seeds(benchmark)
            for method in self.against_reference(benchmark)
        ]

    def pseudo_ood(self) -> list[str]:
        """Pictures of generated images, which their jobs draw themselves."""
        return [
            self._seeds(benchmark)[0].pseudo_ood(name, "grid.png")
            for benchmark, one in self.plan.benchmarks.items()
            for section in KINDS
            for name, plain in one.section(section).items()
            if self.plan.provides(section, plain, "pseudo_ood")
        ]

    def ranked(self, benchmark: str) -> list[tuple[str, str]]:
        """Methods and OOD sets of the user's own images, which are ranked by file."""
        one = self.plan.benchmarks[benchmark]
        return [
            (method, name)
            for method in one.methods
            for name, ood in one.ood.items()
            if ood.dataset in self.plan.user_images
        ]

    def rankings(self) -> list[str]:
        return [
            seed.ranked(method, ood)
            for benchmark in self.plan.benchmarks
            for seed in self._seeds(benchmark)
            for method, ood in self.ranked(benchmark)
        ]
