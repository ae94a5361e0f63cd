"""What a config asks for: benchmarks with their models and methods, and names of these.

Snakemake's rules ask it; it does not know Snakemake. ``w`` is a job's wildcards: ``benchmark`` and
``seed``, and of a model or method ``model`` or ``method``.
"""

from collections.abc import Callable, Iterable

from ood.config.benchmarks import Benchmark, Loader
from ood.config.kinds import KINDS, kinds, settings_of
from ood.settings.base import Settings


class Plan:
    """The benchmarks of a config.

    :param loader: of a config that has been checked
    :ivar generated: OOD sets that a model of the workflow draws, anew for each seed, with the model
    :ivar sets: by benchmark, the datasets that it scores
    :ivar user_images: what benchmark files say of the user's own images, by name
    """

    def __init__(self, loader: Loader):
        self.config, self.source_of = loader.config, loader.source_of
        self.benchmarks = loader.benchmarks()
        every = self.benchmarks.values()
        self.generated = {
            ood.dataset: ood.generated_by
            for one in every
            for ood in one.ood.values()
            if ood.generated_by
        }
        self.sets = {
            one.name: sorted({one.dataset, *(ood.dataset for ood in one.ood.values())})
            for one in every
        }
        self.user_images = {name: about for one in every for name, about in one.user_images.items()}

    def of(self, w) -> Benchmark:
        return self.benchmarks[w.benchmark]

    def entry(self, w) -> tuple[str, dict]:
        """Section and plain settings of the model or method that the wildcards name."""
        if "method" in w.keys():
            return "methods", self.of(w).methods[w.method]
        return "models", self.of(w).models[w.model]

    def settings(self, w) -> dict:
        return self.entry(w)[1]

    def named(self, section: str, fits: Callable[[dict], object] = bool) -> str:
        """A regular expression for the models or methods whose settings fit."""
        names = {
            name
            for one in self.benchmarks.values()
            for name, settings in one.section(section).items()
            if fits(settings)
        }
        return one_of(sorted(names))

    def models_of_type(self, *types: str) -> str:
        return self.named("models", lambda settings: settings["type"] in types)

    def methods_of(self, pipeline: str, fits: Callable[[Settings], object] = bool) -> str:
        """A regular expression for the methods of a pipeline whose typed settings fit."""
        return self.named(
            "methods",
            lambda plain: plain["pipeline"] == pipeline and fits(settings_of("methods", plain)),
        )

    def list_models(self, benchmark: str, kind: str) -> list[str]:
        models = self.benchmarks[benchmark].models.items()
        return [name for name, settings in models if settings["type"] == kind]

    def list_methods(self, benchmark: str, fits: Callable[[Settings], object]) -> list[str]:
        methods = self.benchmarks[benchmark].methods.items()
        return [name for name, plain in methods if fits(settings_of("methods", plain))]

    def provides(self, section: str, plain: dict, what: str) -> bool:
        """Whether a model's or method's jobs leave something, see ``ood.settings.base``."""
        return what in kinds(section)[plain[KINDS[section]]].provides


def one_of(names: Iterable[str]) -> str:
    """A regular expression for the names; one that matches nothing where there are none."""
    return "|".join(names) or "(?!)"


def name_of(kind: str, *parts: str) -> str:
    """Of a rule that is made for a benchmark."""
    return "_".join([kind, *(part.strip(".") for part in parts if part)])
