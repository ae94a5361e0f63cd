"""Input files of jobs, by name."""

from collections.abc import Iterable

from ood import layout
from ood.config.kinds import edges, listed, models_named, settings_of
from ood.data.registry import ID_NOISES, REGISTRY
from support.plan import Plan


class Inputs:
    """From which files a plan's jobs are made; ``w`` is a job's wildcards."""

    def __init__(self, plan: Plan):
        self.plan = plan

    def seed(self, benchmark: str, seed: object) -> layout.Seed:
        return layout.Seed.of(self.plan.config.scale, benchmark, seed)

    def first(self, w) -> layout.Seed:
        """The results of the first seed."""
        return self.seed(w.benchmark, self.plan.config.seeds[0])

    def _images(self, name: str, w, dataset: str, split: str) -> dict:
        seed = w.get("seed", self.plan.config.seeds[0])
        if dataset in self.plan.generated:
            model = self.plan.generated[dataset]
            base = self.seed(w.benchmark, seed).pseudo_ood(model, split)
        else:
            shape = "x".join(map(str, self.plan.of(w).shape))
            place = f"{dataset}_{w.benchmark}" if dataset in ID_NOISES else dataset
            base = layout.prepared(shape, place, split)
        return {name: f"{base}.npz", f"{name}_manifest": f"{base}.json"}

    def id_images(self, w) -> dict:
        return self._images("images", w, self.plan.of(w).dataset, "train")

    def id_test_images(self, w) -> dict:
        return self._images("test", w, self.plan.of(w).dataset, "test")

    def noise_source(self, w) -> dict:
        """The ID images that noise is put around."""
        return self._images("images", w, self.plan.of(w).dataset, ID_NOISES[w.dataset])

    def validation_images(self, w) -> dict:
        """Of the validation OOD set; nothing where there is none, and for a method that validates
        on grey ID images."""
        validation = self.plan.of(w).validation
        if validation is None or self.plan.settings(w).get("validate_on") == "grey_id":
            return {}
        return self._images("validation", w, validation.dataset, "test")

    def test_sets(self, w) -> dict:
        """The image sets of a benchmark, in the order of ``Plan.sets``."""
        found = [self._images("set", w, one, "test") for one in self.plan.sets[w.benchmark]]
        return {
            "sets": [one["set"] for one in found],
            "manifests": [one["set_manifest"] for one in found],
        }

    def models(self, w, *files: str) -> dict:
        """The models that settings name, by the setting, and all their files."""
        seed, found = self.seed(w.benchmark, w.seed), {}
        for key, named in edges(*self.plan.entry(w)).items():
            names = listed(named)
            found[key] = [seed.model(name) for name in names]
            found[f"{key}_files"] = [
                path for name in names for path in files_of_model(seed, name, *files)
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
        settings = self.plan.settings(w)
        whole = settings["weights"]["file"] if "weights" in settings else None
        return [path for path in (whole, settings.get("backbone_weights")) if path]

    def model_files(self, w, kind: str, *files: str) -> dict:
        """Files of the first seed's models of a type."""
        names = self.plan.list_models(w.benchmark, kind)
        return {"files": [f for name in names for f in files_of_model(self.first(w), name, *files)]}

    def detector_files(
        self, benchmark: str, seed: object, methods: Iterable[str], suffix: str = ""
    ) -> dict:
        """Of the methods' detectors, or of the models that they are, where no job fits them."""
        folder, oracle = self.seed(benchmark, seed), suffix == ".oracle"
        found = []
        for method in methods:
            plain = self.plan.benchmarks[benchmark].methods[method]
            if settings_of("methods", plain).fitted:
                base = f"detector{'' if oracle else suffix}"
                large = [f"{base}.pt", *["snapshots.pt"] * oracle]
                paths = [folder.detector(method, file) for file in large]
                found += [*with_digests(paths), folder.detector(method, f"{base}.json")]
            else:
                files = ["model.pt", *["states.pt"] * oracle]
                for name in models_named("methods", plain):
                    found += files_of_model(folder, name, *files)
        return {"files": list(dict.fromkeys(found))}

    def score_files(
        self, benchmark: str, seeds: Iterable, methods: Iterable[str], suffix: str = ""
    ) -> dict:
        return {
            "files": [
                self.seed(benchmark, seed).scores(method, dataset, suffix)
                for seed in seeds
                for method in methods
                for dataset in self.plan.sets[benchmark]
            ]
        }


def with_digests(paths: list[str]) -> list[str]:
    """Large files and their digests, which decide whether they changed."""
    return [*paths, *(f"{path}.sha256" for path in paths)]


def files_of_model(seed: layout.Seed, name: str, *files: str) -> list[str]:
    return with_digests([seed.model(name, file) for file in files or ["model.pt"]])


def files_of_dataset(w) -> str:
    """The dataset under whose name a dataset's raw files lie."""
    return REGISTRY[w.dataset].files_of or w.dataset
