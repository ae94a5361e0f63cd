"""Where every result lies. No other file knows.

Below ``results/``, and for logs, costs and keys below folders of their own, the paths are
``<scale>/<benchmark>/seed<k>/…``. Paths are text, so that they may hold Snakemake's wildcards.
"""

import re
from dataclasses import dataclass
from pathlib import Path

RESULTS = "results"
LOGS, COSTS, KEYS = (f"{RESULTS}/{name}" for name in ("logs", "costs", "keys"))
TABLES, PLOTS, AVAILABLE = (f"{RESULTS}/{name}" for name in ("tables", "plots", "available"))
# what PyTorch's compiler keeps
COMPILED = f"{RESULTS}/compiled"
PREPARED = "data/prepared"
# the protocol in a file's name: none for final
SUFFIXES = {"final": "", "validation": ".validation", "oracle": ".oracle"}
# of a method's metrics, files that are of no OOD set
MADE_FROM, AGAINST_REFERENCE = "made_from", "against_reference"
# in a detector's folder: what is needed to use it outside of the workflow
ABOUT = "about.json"


@dataclass(frozen=True)
class Seed:
    """The results of one seed of a benchmark at a scale."""

    folder: str

    @classmethod
    def of(cls, scale: str, benchmark: str, seed: object, top: str = RESULTS) -> "Seed":
        return cls(f"{top}/{scale}/{benchmark}/seed{seed}")

    @classmethod
    def containing(cls, path: str | Path) -> "Seed":
        """That which a file lies in."""
        for folder in Path(path).parents:
            if re.fullmatch(r"seed\d+", folder.name):
                return cls(str(folder))
        raise ValueError(f"{path} lies in no folder of a seed")

    @property
    def place(self) -> tuple[str, str, int]:
        """Scale, benchmark and seed."""
        scale, benchmark, seed = Path(self.folder).parts[-3:]
        return scale, benchmark, int(seed.removeprefix("seed"))

    def model_folder(self, name: str) -> str:
        return f"{self.folder}/models/{name}"

    def model(self, name: str, file: str = "model.pt") -> str:
        return f"{self.model_folder(name)}/{file}"

    def detector(self, method: str, file: str = "detector.pt") -> str:
        return f"{self.folder}/detectors/{method}/{file}"

    def pseudo_ood(self, name: str, file: str) -> str:
        return f"{self.folder}/pseudo_ood/{name}/{file}"

    def scores(self, method: str, dataset: str, suffix: str = "") -> str:
        return f"{self.folder}/scores/{method}/{dataset}{suffix}.parquet"

    def metrics(self, method: str, name: str, suffix: str = "") -> str:
        return f"{self.folder}/metrics/{method}/{name}{suffix}.json"

    def ranked(self, method: str, ood: str) -> str:
        return f"{self.folder}/ranked/{method}/{ood}.csv"


def detector_folder(path: str | Path) -> tuple[Seed, str]:
    """The seed and the method of a detector's folder."""
    folder = Path(path)
    return Seed(str(folder.parents[1])), folder.name


def prepared(shape: object, dataset: str, split: str) -> str:
    """An image set in one shape, without its suffix."""
    return f"{PREPARED}/{shape}/{dataset}/{split}"


def figure(scale: str, benchmark: str, kind: str, name: str, suffix: str) -> str:
    return f"{PLOTS}/{scale}/{benchmark}/{kind}/{name}.{suffix}"


def of_the_same_job(log: str | Path, top: str, suffix: str) -> Path:
    """The file below another folder that has a log's path."""
    return Path(str(log).replace(f"{LOGS}/", f"{top}/", 1)).with_suffix(suffix)


def find_made_from(results: Path) -> list[Path]:
    """What each method's metrics were made from, of all scales, benchmarks and seeds."""
    return sorted(results.glob(f"*/*/seed*/metrics/*/{MADE_FROM}*.json"))


def find_models(results: Path) -> list[Path]:
    """What is known of each trained model."""
    return sorted(results.glob("*/*/seed*/models/*/config.json"))


def find_costs(results: Path) -> list[tuple[Path, Seed, str]]:
    """Snakemake's benchmark files, with the seed's results and the kind of work."""
    found = []
    for path in sorted(results.glob("costs/*/*/seed*/*/*.jsonl")):
        scale, benchmark, seed = Seed.containing(path).place
        found.append((path, Seed.of(scale, benchmark, seed, str(results)), path.parent.name))
    return found
