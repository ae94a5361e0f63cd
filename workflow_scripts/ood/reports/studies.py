"""The book of results: what studies measured, beside what papers published.

A study is a config file with a key ``study``. ``record`` keeps its numbers in a small table that
can be committed; ``book`` writes all of them as Markdown.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd

from ood.config.benchmarks import Benchmark, Loader
from ood.config.image_sets import OODSet
from ood.config.yaml_files import load_yaml
from ood.errors import InputError
from ood.evaluation.tables import joined_flags, markdown, outward

CELL = ["benchmark", "method", "ood_set", "protocol"]
COLUMNS = [*CELL, "measure", "seeds", "seed_values", "mean", "sd", "low", "high", "id_accuracy"]
COLUMNS += ["id_dataset", "ood_dataset", "validation_set", "tuned_on", "flags"]
# of a row's method against another one on the same images and seeds
PAIRED = ["reference", "difference", "difference_low", "difference_high", "p_value"]
RUN = ["scale", "precision", "revision", "machine", "core_minutes"]
NOTHING = "–"

HEAD = """## Studies

Written by `snakemake book` from `studies/results/`. By hand come only each study's question and
finding.

* Numbers are percent: mean ± sample standard deviation over seeds [mean of the seeds' 95 %
  intervals over test images, rounded outward].
* "Against" is the paired difference in AUROC from another method on the same images and seeds,
  with its 95 % interval. It knows how test images differ, and how seeds do where there are several.
* "Unchecked" marks a published number that was recalled from memory or quoted at second hand.
* `final` is the last state of training. `validation` chooses on the validation OOD set. `oracle` is
  the best state or setting on the OOD test set itself, as many papers report.
* "Same protocol" says whether the published number was chosen as ours; if not, how it was.
* `tuned_on` in the CSV files says what settings were chosen on. "With test scores known" marks a
  setting that was chosen after a test score had been seen.
* "Flagged" names models that training left in a bad state, and the methods that use them. Studies
  recorded before there was such a check say nothing of it.
* A dash: not run, or not published. OOD sets without either are left out. In brackets behind a
  set: the stand-in that was used.
"""


@dataclass(frozen=True)
class Study:
    """A study's file.

    :param about: its key ``study``: ``name``, ``title``, ``question``, ``finding`` and ``measures``
    :param benchmarks: of its config
    """

    about: dict
    benchmarks: dict[str, Benchmark]


def load(root: Path, path: str | Path) -> Study:
    """A study's file, over the keys of ``config.yaml``.

    :param root: the workflow's folder
    :raises InputError: as ``Loader`` does, and if it is called otherwise than its file
    """
    path = Path(path)
    config = load_yaml(root / "config.yaml") | load_yaml(path)
    source = f"{path.parent.name}/{path.name}"
    benchmarks = Loader(root, config, source).benchmarks()
    if not config["study"] or config["study"]["name"] != path.stem:
        raise InputError(f"{source}: study.name: call it {path.stem}, as the file")
    return Study(config["study"], benchmarks)


def record(
    study: Study,
    metrics: pd.DataFrame,
    comparisons: pd.DataFrame,
    costs: pd.DataFrame,
    protocols: list[str],
    run: dict,
) -> pd.DataFrame:
    """A study's numbers, one row per benchmark, method, OOD set, protocol and measure. Where a
    stand-in was used, the row has the name of the OOD set, and the stand-in under ``ood_dataset``.

    :param metrics: one row per cell and seed, of the study's scale and seeds; others of its
        benchmarks are not asked for
    :param comparisons: of the same scale and seeds
    :param costs: of the study's jobs
    :param run: ``scale``, ``precision``, ``revision`` and ``machine``, for every row
    :return: ``COLUMNS``, ``PAIRED`` (of the last states' AUROC) and ``RUN``; ``core_minutes`` are
        those of all jobs
    """
    cells, rows = dict(list(metrics.groupby(CELL))), []
    paired = dict(list(comparisons.groupby(CELL[:3])))
    for benchmark, one in study.benchmarks.items():
        for key in [
            (benchmark, method, ood, protocol)
            for method in one.methods
            for ood in one.ood
            for protocol in protocols
        ]:
            if key not in cells:
                continue
            cell = cells[key]
            original = _original(key[2], one.ood[key[2]])
            for measure in study.about["measures"]:
                ends = (f"{measure}_low", f"{measure}_high")
                ends = [cell[end].mean() if end in cell else math.nan for end in ends]
                values = [cell[measure].mean(), cell[measure].std(), *ends]
                by_seed = cell.sort_values("seed").set_index("seed")[measure]
                by_seed = [f"{seed}: {value:.6f}" for seed, value in by_seed.items()]
                row = [benchmark, key[1], original, key[3], measure, len(cell)]
                row += [", ".join(by_seed), *values, cell["id_accuracy"].mean(), one.dataset]
                row += [one.ood[key[2]].dataset, one.validation and _image_set(one.validation)]
                row += [joined_flags(cell["tuned_on"]), joined_flags(cell["flags"].fillna(""))]
                last = key[3] == "final" and measure == "auroc" and key[:3] in paired
                rows.append(row + (_paired(paired[key[:3]]) if last else [None] * len(PAIRED)))
    minutes = round((costs["seconds"] * costs["threads"]).sum() / 60)
    facts = run | {"core_minutes": minutes}
    columns = [*COLUMNS, *PAIRED]
    return pd.DataFrame(rows, columns=columns).assign(**facts)[[*columns, *RUN]]


def _paired(rows: pd.DataFrame) -> list:
    """``PAIRED`` from the paired comparison of each seed."""
    half = NormalDist().inv_cdf(0.975)
    errors = (rows["auroc_difference_high"] - rows["auroc_difference_low"]) / (2 * half)
    difference, low, high, p_value = over_seeds(rows["auroc_difference"], errors)
    return [rows["reference"].iloc[0], difference, low, high, p_value]


def over_seeds(
    differences: Iterable[float], errors: Iterable[float], confidence: float = 0.95
) -> tuple[float, float, float, float]:
    """The mean of a difference over seeds.

    Its variance is that between seeds, divided by their number, plus the mean variance over test
    images, which all seeds share. Degrees of freedom by Welch and Satterthwaite; of one seed, whose
    spread is unknown, the interval knows the test images alone.

    :param differences: of each seed
    :param errors: their standard errors over test images
    :return: mean, the ends of its interval, and the two-sided p value
    """
    from scipy.stats import t

    differences, errors = np.array(list(differences)), np.array(list(errors))
    count, mean, of_images = len(differences), differences.mean(), (errors**2).mean()
    of_seeds = differences.var(ddof=1) / count if count > 1 else 0.0
    error = math.sqrt(of_seeds + of_images)
    if error == 0:
        return mean, mean, mean, float(mean == 0)
    freedom = error**4 / (of_seeds**2 / (count - 1)) if of_seeds else math.inf
    reach = t.ppf(0.5 + confidence / 2, freedom) * error
    return mean, mean - reach, mean + reach, 2 * t.sf(abs(mean) / error, freedom)


Cell = tuple[str, str]


def differences(
    rows: pd.DataFrame, method: str, than: str
) -> dict[Cell, tuple[float, float, float]]:
    """How much higher a method's AUROC is than another's, with its 95 % interval, by benchmark and
    OOD set.

    The difference is the paired one where the study has it. Else the two methods' intervals and
    deviations over seeds are joined as if they were independent, which is wider.

    :param rows: see ``record``; the last states count
    """
    final = rows[(rows["protocol"] == "final") & (rows["measure"] == "auroc")]
    of_method, of_other = (
        {
            (row["benchmark"], row["ood_set"]): row
            for row in final[final["method"] == one].to_dict("records")
        }
        for one in (method, than)
    )
    found = {}
    # in the order of the study's rows
    for cell in (cell for cell in of_method if cell in of_other):
        mine, other = of_method[cell], of_other[cell]
        middle = mine["mean"] - other["mean"]
        if mine["reference"] == than:
            low, high = mine["difference_low"], mine["difference_high"]
        elif other["reference"] == method:
            low, high = -other["difference_high"], -other["difference_low"]
        else:
            reach = math.hypot(_reach(mine), _reach(other))
            low, high = middle - reach, middle + reach
        found[cell] = middle, low, high
    return found


def direction(rows: pd.DataFrame, method: str, than: str) -> dict[Cell, str]:
    """``better`` or ``worse`` where the interval of the difference leaves 0 out, else ``level``, by
    benchmark and OOD set; see ``differences``."""
    return {
        cell: "better" if low > 0 else "worse" if high < 0 else "level"
        for cell, (_, low, high) in differences(rows, method, than).items()
    }


def _reach(row: dict) -> float:
    """Half the width of the 95 % interval of a mean over seeds, of test images and seeds."""
    of_seeds = 0.0 if pd.isna(row["sd"]) else 1.96 * row["sd"] / math.sqrt(row["seeds"])
    return math.hypot((row["high"] - row["low"]) / 2, of_seeds)


def _image_set(one: OODSet) -> str:
    """What an OOD set is called, and what stands in for it."""
    return f"{one.dataset} for {one.stand_in_for}" if one.stand_in_for else one.name


def _original(name: str, ood: OODSet) -> str:
    """What a benchmark calls an OOD set where no stand-in takes its place."""
    return ood.stand_in_for if ood.stand_in_for and name == ood.dataset else name


def book(
    studies: list[Study],
    results: dict[str, pd.DataFrame],
    published: pd.DataFrame,
    claims: str = "",
) -> str:
    """All studies as Markdown.

    :param claims: what comes first, see ``ood.reports.claims``
    :param results: what ``record`` gave, by study; missing for one that was not run
    :param published: ``benchmark, method, ood_set, metric, protocol, published, confidence``
    """
    parts = ["# Results", *[claims] * bool(claims), HEAD.strip(), _overview(studies, results)]
    for study in studies:
        about, ours = study.about, results.get(study.about["name"])
        parts += [f"## {about['title']}", f"`studies/{about['name']}.yaml`. {about['question']}"]
        parts.append("Not run yet." if ours is None else _facts(ours))
        for name, benchmark in study.benchmarks.items():
            known = published[published["benchmark"] == name]
            mine = None if ours is None else ours[ours["benchmark"] == name]
            if rows := _rows(benchmark, about["measures"], mine, known):
                parts += [f"**{name}**: {benchmark.title}.", *_about_id(benchmark, mine)]
                parts += _flagged(mine)
                header = ["method", "OOD set", "measure", "protocol", "ours", "against"]
                header += ["published", "difference", "same protocol"]
                parts.append(markdown(header, rows))
        if about["finding"]:
            parts.append(f"**Finding.** {about['finding']}")
    return "\n\n".join(parts) + "\n"


def anchor(about: dict) -> str:
    """Where a study is told of, as both GitHub and mkdocs name a heading."""
    return "#" + re.sub(r"[^\w -]", "", about["title"].lower()).replace(" ", "-")


def _overview(studies: list[Study], results: dict[str, pd.DataFrame]) -> str:
    """A line per study: what it asks, what it cost, and the first sentence of what it found."""
    rows = []
    for about in (study.about for study in studies):
        ours = results.get(about["name"])
        cost = NOTHING if ours is None else f"{ours['core_minutes'].iloc[0]}"
        short = about.get("short") or about["finding"].partition(". ")[0]
        answer = "not run yet" if ours is None else short.removesuffix(".")
        rows.append([f"[{about['title']}]({anchor(about)})", about["question"], cost, answer])
    return markdown(["study", "question", "core minutes", "in short"], rows)


def _facts(ours: pd.DataFrame) -> str:
    """How a study was run."""
    first = ours.iloc[0]
    seeds = sorted(set(ours["seeds"]))
    text = f"Scale `{first['scale']}`, {' or '.join(map(str, seeds))} seed{'s' * (seeds != [1])}, "
    text += f"{first['precision']}, {first['core_minutes']} core minutes on {first['machine']}; "
    return f"{text}revision {first['revision']}."


def _about_id(benchmark: Benchmark, ours: pd.DataFrame | None) -> list[str]:
    """The ID images where they are a stand-in, and how well they are classified."""
    if ours is None or ours.empty:
        return []
    used, text = ours["id_dataset"].iloc[0], ""
    if used != benchmark.dataset:
        text = f"ID images: `{used}` in place of `{benchmark.dataset}`. "
    found = ours.groupby("method", sort=False)["id_accuracy"].mean().dropna()
    listed = ", ".join(f"`{method}` {100 * value:.1f}" for method, value in found.items())
    text += f"ID accuracy: {listed}." if listed else ""
    return [text.strip()] if text else []


def _flagged(ours: pd.DataFrame | None) -> list[str]:
    """What is not healthy about models, and who uses them; studies of before had no such column."""
    if ours is None or "flags" not in ours:
        return []
    found: dict[str, dict[str, None]] = {}
    for method, flags in zip(ours["method"], ours["flags"].fillna(""), strict=True):
        for flag in flags.split("; "):
            # a model's flag begins with its name
            if ": " in flag:
                found.setdefault(flag, {})[method] = None
    listed = [f"{flag} ({', '.join(methods)})" for flag, methods in found.items()]
    return [f"**Flagged.** {'; '.join(listed)}."] if listed else []


def _rows(
    benchmark: Benchmark, measures: list[str], ours: pd.DataFrame | None, published: pd.DataFrame
) -> list[list[str]]:
    """Every cell of a benchmark that was measured or published."""
    mine: dict[tuple, dict] = {}
    for row in [] if ours is None else ours.to_dict("records"):
        key = row["method"], row["ood_set"], row["measure"]
        mine.setdefault(key, {})[row["protocol"]] = row
    theirs: dict[tuple, dict] = {}
    for row in published.dropna(subset="published").to_dict("records"):
        key = row["method"], row["ood_set"], row["metric"]
        checked = row["confidence"] == "verified"
        theirs.setdefault(key, {})[row["protocol"]] = row["published"], checked
    found = []
    for method in benchmark.methods:
        for ood in benchmark.ood:
            for measure in measures:
                key = method, ood, measure
                cells = mine.get(key, {})
                used = {row["ood_dataset"] for row in cells.values()} - {benchmark.ood[ood].dataset}
                label = f"{ood} ({', '.join(used)})" if used else ood
                for line in _lines(cells, dict(theirs.get(key, {}))):
                    line[-1] += ", other images" if used and line[-1] else ""
                    found.append([f"`{method}`", label, measure, *line])
    return found


def _lines(ours: dict[str, dict], published: dict[str, tuple[float, bool]]) -> list[list[str]]:
    """A line for each protocol of ours, and for each published one that meets none of them.

    :param published: by protocol: the number, and whether it was checked against its source
    """
    found = []
    for protocol, row in ours.items():
        theirs, same = published.pop(protocol, None), "yes"
        # what was chosen otherwise is beside the last state
        if theirs is None and protocol == "final" and not set(ours) & set(published):
            other = next(iter(published), "")
            theirs, same = published.pop(other, None), f"no: {other}"
        line = [protocol, _ours(row), _against(row)]
        if theirs is None:
            found.append([*line, NOTHING, NOTHING, ""])
        else:
            difference = f"{100 * (row['mean'] - theirs[0]):+.1f}"
            found.append([*line, _published(*theirs), difference, same])
    for protocol, theirs in published.items():
        found.append([protocol, NOTHING, "", _published(*theirs), NOTHING, ""])
    return found


def _published(value: float, checked: bool) -> str:
    return f"{100 * value:.2f}" + " (unchecked)" * (not checked)


def _against(row: dict) -> str:
    """The paired difference from another method."""
    if pd.isna(row["difference"]):
        return ""
    low, high = (100 * row[f"difference_{end}"] for end in ("low", "high"))
    return f"`{row['reference']}` {100 * row['difference']:+.2f} [{low:+.2f}, {high:+.2f}]"


def _ours(row: dict) -> str:
    if math.isnan(row["mean"]):
        return NOTHING
    text = f"{100 * row['mean']:.2f}"
    if not math.isnan(row["sd"]):
        text += f" ± {100 * row['sd']:.2f}"
    if not math.isnan(row["low"]):
        text += f" {outward(row['low'], row['high'])}"
    return text
