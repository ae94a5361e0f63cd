"""What the workflow builds, and from which files: paths, names and parameters of its jobs.

Snakemake's rules ask it; it does not know Snakemake. ``w`` is a job's wildcards: ``benchmark`` and
``seed``, and of a model or method ``model`` or ``method``.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from ood import provenance as lineage
from ood.config.benchmarks import KINDS, Benchmark, Loader, overlap
from ood.data import user_images as own
from ood.data.registry import ID_NOISES, REGISTRY
from ood.errors import InputError
from ood.evaluation.made_from import made_from

# the protocol in a file's name: none for final
SUFFIXES = {"final": "", "validation": ".validation", "oracle": ".oracle"}
# what a method's jobs must leave so that a protocol can judge it
NEEDED = {"validation": "validation", "oracle": "snapshots"}
TABLES = ["metrics.csv", "summary.csv", "leaderboard.csv", "leaderboard.md", "comparisons.csv"]
TABLES += ["published.csv", "costs.csv", "overview.html"]


class Plan:
    """The jobs of a config's benchmarks.

    :param loader: of a config that has been checked
    :param scripts: the folder of the workflow's scripts
    :raises InputError: if no method has one of the config's protocols
    """

    def __init__(self, loader: Loader, benchmarks: dict[str, Benchmark], scripts: Path):
        self.loader, self.benchmarks, self.scripts = loader, benchmarks, scripts
        config = loader.config
        self.seeds, self.protocols, self.scale = (
            config[key] for key in ("seeds", "protocols", "scale")
        )
        self.reference = config["reference"]
        # below results/, results/logs/ and results/costs/ the same paths
        seed = f"{self.scale}/{{benchmark}}/seed{{seed}}"
        self.run, self.log, self.cost = (f"results/{at}{seed}" for at in ("", "logs/", "costs/"))
        self.plots = f"results/plots/{self.scale}"
        # OOD sets that are drawn by a model of the workflow, anew for each seed
        self.generated = {
            ood.dataset: ood.generated_by
            for one in benchmarks.values()
            for ood in one.ood.values()
            if ood.generated_by
        }
        self.sets = {
            name: sorted({one.dataset, *(ood.dataset for ood in one.ood.values())})
            for name, one in benchmarks.items()
        }

        for protocol in self.protocols:
            cells = [(name, method) for name, one in benchmarks.items() for method in one.methods]
            if not any(protocol in self.protocols_of(*cell) for cell in cells):
                raise InputError(
                    f"{loader.source_of('protocols')}: protocols: none of the chosen methods has "
                    f"{protocol!r}"
                )

    # Names

    def of(self, w) -> Benchmark:
        return self.benchmarks[w.benchmark]

    def entry(self, w) -> tuple[str, dict]:
        """Section and settings of the model or method that the wildcards name."""
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
            for name, settings in getattr(one, section).items()
            if fits(settings)
        }
        return one_of(sorted(names))

    def models_of_type(self, *kinds: str) -> str:
        return self.named("models", lambda settings: settings["type"] in kinds)

    def methods_of(self, pipeline: str) -> str:
        return self.named("methods", lambda settings: settings["pipeline"] == pipeline)

    def list_models(self, benchmark: str, kind: str) -> list[str]:
        models = self.benchmarks[benchmark].models.items()
        return [name for name, settings in models if settings["type"] == kind]

    def list_methods(self, benchmark: str, fits: Callable[[dict], object]) -> list[str]:
        methods = self.benchmarks[benchmark].methods.items()
        return [name for name, settings in methods if fits(settings)]

    def provides(self, w, what: str) -> bool:
        return self.loader.provides(*self.entry(w), what)

    # Files

    def prepared(self, benchmark: str, dataset: str, split: str, seed: object) -> str:
        """The image set of a dataset in a benchmark's shape, without its suffix."""
        if dataset in self.generated:
            folder = self.folder(benchmark, seed)
            return f"{folder}/pseudo_ood/{self.generated[dataset]}/{split}"
        shape = "x".join(map(str, self.benchmarks[benchmark].shape))
        place = f"{dataset}_{benchmark}" if dataset in ID_NOISES else dataset
        return f"data/prepared/{shape}/{place}/{split}"

    def folder(self, benchmark: str, seed: object) -> str:
        """Of a seed's results."""
        return self.run.format(benchmark=benchmark, seed=seed)

    def first(self, w) -> str:
        """The folder of the first seed."""
        return self.folder(w.benchmark, self.seeds[0])

    def _images(self, name: str, w, dataset: str, split: str) -> dict:
        base = self.prepared(w.benchmark, dataset, split, w.get("seed", self.seeds[0]))
        return {name: f"{base}.npz", f"{name}_manifest": f"{base}.json"}

    def id_images(self, w) -> dict:
        return self._images("images", w, self.of(w).dataset, "train")

    def id_test_images(self, w) -> dict:
        return self._images("test", w, self.of(w).dataset, "test")

    def noise_source(self, w) -> dict:
        """The ID images that noise is put around."""
        return self._images("images", w, self.of(w).dataset, ID_NOISES[w.dataset])

    def validation_images(self, w) -> dict:
        """Of the validation OOD set; nothing where there is none, and for a method that validates
        on grey ID images."""
        if self.settings(w).get("validate_on") == "grey_id" or self.of(w).validation is None:
            return {}
        return self._images("validation", w, self.of(w).validation.dataset, "test")

    def test_sets(self, w) -> dict:
        """The image sets of a benchmark, in the order of ``sets``."""
        found = [self._images("set", w, one, "test") for one in self.sets[w.benchmark]]
        return {
            "sets": [one["set"] for one in found],
            "manifests": [one["set_manifest"] for one in found],
        }

    def models(self, w, *files: str) -> dict:
        """The models that settings name, by the setting, and all their files."""
        folder, found = self.folder(w.benchmark, w.seed), {}
        for key, chosen in self.loader.edges(*self.entry(w)).items():
            names = chosen if isinstance(chosen, list) else [chosen]
            found[key] = [f"{folder}/models/{name}/model.pt" for name in names]
            found[f"{key}_files"] = [
                path for name in names for path in files_of_model(folder, name, *files)
            ]
        return found

    def models_and_states(self, w) -> dict:
        """The same, with the best state and the snapshots of each."""
        return self.models(w, "model.pt", "states.pt")

    def models_and_images(self, w) -> dict:
        """What is trained or fitted on models and on the ID training images."""
        return self.models(w) | self.id_images(w)

    def weights(self, w) -> list[str]:
        """Files of the user's that a model starts from, or is."""
        settings = self.settings(w)
        whole = settings["weights"]["file"] if "weights" in settings else None
        return [path for path in (whole, settings.get("backbone_weights")) if path]

    def model_files(self, w, kind: str, *files: str) -> dict:
        """Files of the first seed's models of a type."""
        names = self.list_models(w.benchmark, kind)
        return {"files": [f for name in names for f in files_of_model(self.first(w), name, *files)]}

    def detector_files(
        self, benchmark: str, seed: object, methods: Iterable[str], suffix: str = ""
    ) -> dict:
        """Of the methods' detectors, or of the models that they are, where no job fits them."""
        folder, oracle = self.folder(benchmark, seed), suffix == ".oracle"
        found = []
        for method in methods:
            settings = self.benchmarks[benchmark].methods[method]
            if self.loader.fits(settings, "fitted"):
                base = f"{folder}/detectors/{method}/detector{'' if oracle else suffix}"
                large = [f"{base}.pt", *[f"{folder}/detectors/{method}/snapshots.pt"] * oracle]
                found += [*with_digests(large), f"{base}.json"]
            else:
                files = ["model.pt", *["states.pt"] * oracle]
                for name in self.loader.models_of("methods", settings):
                    found += files_of_model(folder, name, *files)
        return {"files": list(dict.fromkeys(found))}

    def score_files(
        self, benchmark: str, seeds: Iterable, methods: Iterable[str], suffix: str = ""
    ) -> dict:
        return {
            "files": [
                f"{self.folder(benchmark, seed)}/scores/{method}/{dataset}{suffix}.parquet"
                for seed in seeds
                for method in methods
                for dataset in self.sets[benchmark]
            ]
        }

    def ranked(self, benchmark: str) -> list[tuple[str, str]]:
        """Methods and OOD sets of the user's own images, which are ranked by file."""
        one = self.benchmarks[benchmark]
        return [
            (method, name)
            for method in one.methods
            for name, ood in one.ood.items()
            if ood.dataset in self.loader.own
        ]

    def rankings(self) -> list[str]:
        return [
            f"{self.folder(benchmark, seed)}/ranked/{method}/{ood}.csv"
            for benchmark in self.benchmarks
            for seed in self.seeds
            for method, ood in self.ranked(benchmark)
        ]

    # Parameters

    def stamp(self, w) -> str:
        """Of a split of the user's own images."""
        return own.read(self.loader.own[w.dataset]).stamp(w.split)

    def class_names(self, w) -> list[str]:
        """Of the ID dataset, in label order."""
        return list(self.loader.datasets[self.of(w).dataset].classes)

    def classes(self, w) -> list[int]:
        return list(self.of(w).classes)

    def validation_set(self, w) -> dict | None:
        """Name and classes (None for all) of the validation OOD set."""
        one = self.of(w).validation
        return one and {"name": one.name, "classes": one.classes and list(one.classes)}

    def edges(self, w) -> dict:
        """The models that settings name."""
        return self.loader.edges(*self.entry(w))

    def module(self, w) -> str:
        section, settings = self.entry(w)
        return self.loader.modules[section][settings[KINDS[section]]]

    def keeps_snapshots(self, w) -> bool:
        """Whether to leave what the oracle protocol chooses from; what is costly only if asked."""
        if self.provides(w, "costly_snapshots"):
            return "oracle" in self.protocols
        return self.provides(w, "snapshots")

    def parts(self, w) -> dict:
        """Which images of which dataset are ID, and each OOD set."""
        one = self.of(w)
        known = {"dataset": one.dataset, "classes": list(one.classes)}
        return {"id": known} | {
            name: {"dataset": ood.dataset, "classes": ood.classes and list(ood.classes)}
            for name, ood in one.ood.items()
        }

    def known(self, w) -> dict:
        """What to know of a benchmark's images to score others with its detectors."""
        one, names = self.of(w), self.class_names(w)
        classes = [names[label] for label in one.classes]
        known = {"dataset": one.dataset, "labels": list(one.classes), "classes": classes}
        return known | {"shape": list(one.shape)}

    def pairs(self, w) -> dict:
        """What is to be known of the OOD sets when methods are judged."""
        one = self.of(w)
        return {
            name: {
                "group": ood.group,
                "id_dataset": one.dataset,
                "id_classes": list(one.classes),
                "id_stand_in_for": one.stand_in_for,
                "ood_dataset": ood.dataset,
                "ood_classes": ood.classes and list(ood.classes),
                "ood_stand_in_for": ood.stand_in_for,
                "validation": one.validation and one.validation.name,
                "lists": self._lists(one.dataset, ood.dataset),
                "on_validation_set": bool(one.validation) and overlap(ood, one.validation),
            }
            for name, ood in one.ood.items()
        }

    def _lists(self, *datasets: str) -> list[str]:
        """The lists that tell which images of the user's own are tested on."""
        found = [own.list_of(self.loader.own[d], "test") for d in datasets if d in self.loader.own]
        return [one for one in found if one]

    def scored(self, benchmark: str, methods: list[str]) -> dict:
        """What is to be known of methods to score with them."""
        chosen = self.benchmarks[benchmark].methods
        return {
            method: {
                "settings": chosen[method],
                "fitted": self.loader.fits(chosen[method], "fitted"),
                "module": self.loader.modules["methods"][chosen[method]["pipeline"]],
                "models": self.loader.edges("methods", chosen[method]),
            }
            for method in methods
        }

    def test_scores_seen(self, w) -> list[str]:
        """Settings that were chosen when test scores were known."""
        return self.loader.test_scores_seen(self.of(w), w.method)

    def made_from(self, benchmark: str, method: str) -> dict:
        return made_from(self.loader, self.scripts, self.benchmarks[benchmark], method)

    # Code

    def code(self, *names: str) -> dict[str, str]:
        """What scripts, and modules that they import, mean: parameters of a rule, one a file.

        They stand in for Snakemake's own trigger, which goes by time and does not follow imports;
        the reason for a rerun shows the files that changed.
        """
        return {
            "code_" + re.sub(r"\W", "_", file): f"{file} {meaning}"
            for file, meaning in lineage.code(self.scripts, *names).items()
        }

    def chosen_code(self, script: str) -> Callable[[object], list[str]]:
        """The same of what settings choose by name: the module of a model or method, its net, its
        augmentation."""
        return lambda w: self._beyond(script, self.loader.chosen_modules(*self.entry(w)))

    def scoring_code(self, benchmark: str, methods: list[str]) -> list[str]:
        """The same of methods and of the models that they score with."""
        modules = []
        for method in methods:
            recipe = self.loader.recipe_of(self.benchmarks[benchmark], method)
            modules += self.loader.chosen_modules("methods", recipe["method"])
            for settings in recipe["models"].values():
                modules += self.loader.chosen_modules("models", settings)
        return self._beyond("evaluation/score.py", dict.fromkeys(modules))

    def _beyond(self, script: str, modules: Iterable[str]) -> list[str]:
        anyway = lineage.code(self.scripts, script)
        found = lineage.code(self.scripts, *modules).items()
        return [f"{file} {meaning}" for file, meaning in found if file not in anyway]

    # Jobs and targets

    def protocols_of(self, benchmark: str, method: str) -> list[str]:
        """The protocols of the config under which a method can be evaluated."""
        one = self.benchmarks[benchmark]
        return [
            protocol
            for protocol in self.protocols
            if protocol == "final"
            or (
                self.loader.provides("methods", one.methods[method], NEEDED[protocol])
                and (protocol != "validation" or one.validation)
            )
        ]

    def scoring_jobs(self) -> list[tuple[str, str, list[str], str]]:
        """Benchmark, job, the methods that it scores, and the protocol in the files' names."""
        return [
            (name, job, methods, SUFFIXES[protocol])
            for name, benchmark in self.benchmarks.items()
            for job, group in self.loader.scored_together(benchmark).items()
            for protocol in self.protocols
            if (methods := [one for one in group if protocol in self.protocols_of(name, one)])
        ]

    def evaluation_jobs(self) -> list[tuple[str, str]]:
        """Benchmark and protocol in the files' names."""
        jobs = [(benchmark, suffix) for benchmark, _, _, suffix in self.scoring_jobs()]
        return list(dict.fromkeys(jobs))

    def compared(self) -> list[str]:
        """Benchmarks with methods that can be compared with their reference method."""
        return [name for name in self.benchmarks if self.against_reference(name)]

    def against_reference(self, benchmark: str) -> dict[str, str]:
        """The methods that are compared, each with the one that it is compared with."""
        methods = self.benchmarks[benchmark].methods
        chosen = {m: self.loader.config["references"].get(m, self.reference) for m in methods}
        return {m: other for m, other in chosen.items() if other != m and other in methods}

    def metrics(self) -> list[str]:
        return [
            f"{self.folder(benchmark, seed)}/metrics/{method}/{name}{SUFFIXES[protocol]}.json"
            for benchmark, one in self.benchmarks.items()
            for seed in self.seeds
            for method in one.methods
            for protocol in self.protocols_of(benchmark, method)
            for name in [*one.ood, "made_from"]
        ]

    def comparisons(self) -> list[str]:
        return [
            f"{self.folder(benchmark, seed)}/metrics/{method}/against_reference.json"
            for benchmark in self.compared()
            for seed in self.seeds
            for method in self.against_reference(benchmark)
        ]

    def pseudo_ood(self) -> list[str]:
        """Pictures of generated images, which their jobs draw themselves."""
        return [
            f"{self.folder(benchmark, self.seeds[0])}/pseudo_ood/{name}/grid.png"
            for benchmark, one in self.benchmarks.items()
            for section in KINDS
            for name, settings in getattr(one, section).items()
            if self.loader.provides(section, settings, "pseudo_ood")
        ]

    # What pictures show

    def trained(self, benchmark: str) -> list[str]:
        """Seed, section and name of every model and detector that training curves belong to."""
        names = [f"models/{name}" for name in self.benchmarks[benchmark].models]
        names += [f"detectors/{name}" for name in self.providing(benchmark, "history")]
        return [f"seed{seed}/{name}" for seed in self.seeds for name in names]

    def providing(self, benchmark: str, what: str) -> list[str]:
        """The methods whose jobs leave something."""
        return self.list_methods(benchmark, lambda s: self.loader.provides("methods", s, what))

    def classifying(self, benchmark: str) -> list[str]:
        """The methods that name a class."""
        return self.list_methods(benchmark, lambda s: self.loader.fits(s, "predicts"))

    def with_trajectory(self, benchmark: str) -> list[str]:
        """The methods with scores at several steps of training."""
        return self.providing(benchmark, "trajectory") if "oracle" in self.protocols else []

    def all_methods(self) -> list[str]:
        """Of all benchmarks, so that each has one colour in a run's pictures."""
        return list(dict.fromkeys(name for one in self.benchmarks.values() for name in one.methods))

    def ood_names(self, benchmark: str) -> list[str]:
        return list(self.benchmarks[benchmark].ood)


def one_of(names: Iterable[str]) -> str:
    """A regular expression for the names; one that matches nothing where there are none."""
    return "|".join(names) or "(?!)"


def with_digests(paths: list[str]) -> list[str]:
    """Large files and their digests, which decide whether they changed."""
    return [*paths, *(f"{path}.sha256" for path in paths)]


def files_of_model(folder: str, name: str, *files: str) -> list[str]:
    return with_digests([f"{folder}/models/{name}/{file}" for file in files or ["model.pt"]])


def name_of(kind: str, *parts: str) -> str:
    """Of a rule that is made for a benchmark."""
    return "_".join([kind, *(part.strip(".") for part in parts if part)])


def files_of_dataset(w) -> str:
    """The dataset under whose name a dataset's raw files lie."""
    return REGISTRY[w.dataset].files_of or w.dataset
