"""What results follow from, and whether today's settings and code would make them again."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ood.config.benchmarks import Benchmark, Loader
from ood.config.contents import Config
from ood.config.graph import modules_behind, recipe_of
from ood.config.variants import variant_of
from ood.errors import InputError
from ood.files import load_json
from ood.layout import AGAINST_REFERENCE, MADE_FROM, Seed, find_made_from
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
        "digest": digest(recipe, code(scripts, *STEPS, *modules), config.computing),
        "variant": variant_of(config.variants, method),
    }


@dataclass
class UpToDate:
    """What a results folder holds that today's settings and code would not make otherwise.

    :param metrics: files, by path
    :param comparisons: files, by path
    :param ood_sets: those that each benchmark has today, by scale and benchmark
    :param left_out: how many pairs are not among the metrics, by scale, benchmark and method or
        OOD set
    """

    metrics: list[Path] = field(default_factory=list)
    comparisons: list[Path] = field(default_factory=list)
    ood_sets: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


def up_to_date(results: Path, asked: Iterable[Path], root: Path, config: dict) -> UpToDate:
    """Compare what each method's metrics were made from with what they would be made from today.

    :param asked: metrics of the config's own pairs, which are up to date
    :param root: the workflow's folder
    """
    found, digests, asked = UpToDate(), {}, set(asked)
    for path in find_made_from(results):
        folder, suffix = path.parent, path.stem.removeprefix(MADE_FROM)
        (scale, benchmark, _), method = Seed.containing(path).place, folder.name
        recorded = load_json(path)
        if (at := (scale, benchmark, method)) not in digests:
            digests[at] = _digest_today(root, config, *at, recorded["variant"])
        if (place := (scale, benchmark)) not in found.ood_sets:
            found.ood_sets[place] = _ood_sets(root, config, *place)
        current = recorded["digest"] == digests[at]
        for file in sorted(folder.glob(f"*{suffix}.json")):
            ood = file.name.partition(".")[0]
            if file == path or _suffix(file) != suffix or ood == AGAINST_REFERENCE:
                continue
            # of a method that is asked for now, files of other settings may be there
            if file in asked or (current and ood in found.ood_sets[place]):
                found.metrics.append(file)
            else:
                name = f"{scale} {benchmark} {f'OOD set {ood}' if current else method}"
                found.left_out[name] = found.left_out.get(name, 0) + 1
        comparison = folder / f"{AGAINST_REFERENCE}.json"
        if not suffix and comparison.exists():
            row = load_json(comparison)
            other = scale, benchmark, row["reference"]
            if other not in digests:
                digests[other] = _digest_today(root, config, *other, None)
            if row["made_from"] == [digests[at], digests[other]]:
                found.comparisons.append(comparison)
    return found


def _suffix(path: Path) -> str:
    """The protocol in a file's name."""
    return "".join(Path(path.stem).suffixes)


def _digest_today(
    root: Path, config: dict, scale: str, benchmark: str, method: str, variants: dict | None
) -> str | None:
    """What today's settings would make a method's metrics from; None where they know it not."""
    known = next(iter(variants)) if variants else method
    changes = {"benchmarks": [benchmark], "scale": scale, "methods": [known]}
    # what methods are compared with may name variants
    changes |= {"reference": known, "references": {}, "variants": variants or {}}
    try:
        loader = Loader(root, config | changes)
        one = loader.benchmarks()[benchmark]
        return made_from(loader.config, root / "workflow_scripts", one, method)["digest"]
    except (InputError, KeyError):
        return None


def _ood_sets(root: Path, config: dict, scale: str, benchmark: str) -> set[str]:
    """The OOD sets that a benchmark has today; none where there is no such benchmark."""
    changes = {"scale": scale, "variants": {}, "references": {}}
    try:
        return set(Loader(root, config | changes).benchmark(benchmark).ood)
    except InputError:
        return set()
