"""What the scripts that draw share: which pictures are due, and where their scores lie."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ood.evaluation.scores import load_scores
from ood.layout import Seed
from support.job import Work


def place(snakemake, seed: int | None = None) -> str:
    """What every title says: the benchmark, the scale and, of one model, its seed."""
    params, benchmark = snakemake.params, snakemake.wildcards.benchmark
    return f"{benchmark} ({params.scale}" + (")" if seed is None else f", seed {seed})")


def due(
    snakemake,
    work: Work,
    files: Callable[[str], Iterable[str | Path]],
    about: Callable[[str], object],
) -> Iterator[tuple[str, str, str]]:
    """Name, path and key of every picture that is not up to date.

    :param files: the inputs that a picture is drawn from, by its name
    :param about: what else it shows
    """
    code = {name: one for name, one in snakemake.params.items() if name.startswith("code_")}
    for name, path in zip(snakemake.params.names, snakemake.output, strict=False):
        key = work.key(files(name), name, about(name), code)
        if not work.is_up_to_date(path, key):
            yield name, path, key


class Scores:
    """The scores of a benchmark, for pictures."""

    def __init__(self, snakemake):
        self.run, self.parts = Path(snakemake.params.run), dict(snakemake.params.parts)

    def file(self, seed: int, method: str, name: str, suffix: str = "") -> Path:
        return Path(
            Seed(f"{self.run}/seed{seed}").scores(method, self.parts[name]["dataset"], suffix)
        )

    def files(self, seeds: list[int], methods: Iterable[str], *names: str, suffix: str = ""):
        """The files of parts of the benchmark: ``id`` or an OOD set."""
        return [
            self.file(seed, method, name, suffix)
            for method in methods
            for seed in seeds
            for name in names
        ]

    def columns(self, seed: int, method: str, name: str, columns: list[str]):
        """Columns of the images of one part."""
        file = self.file(seed, method, name)
        return load_scores(file, self.parts[name]["classes"], columns)

    def __call__(self, seed: int, method: str, name: str):
        return self.columns(seed, method, name, ["score"])["score"]


def due_comparisons(
    snakemake, work: Work, scores: Scores, suffix: str = ""
) -> Iterator[tuple[str, str, str]]:
    """``due`` for pictures that compare methods over all seeds, one of each OOD set."""
    params = snakemake.params

    def files(ood):
        return scores.files(params.seeds, params.methods, "id", ood, suffix=suffix)

    def about(ood):
        looks = [params.reference, *map(params.styled.index, params.methods)]
        return [params.methods, looks, params.seeds, scores.parts["id"], scores.parts[ood]]

    return due(snakemake, work, files, about)
