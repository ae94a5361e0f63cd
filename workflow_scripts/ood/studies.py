"""The book of results: what studies measured, beside what papers published.

A study is a config file with a key ``study``. ``record`` keeps its numbers in a small table that
can be committed; ``book`` writes all of them as Markdown.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ood.config import Benchmark, Loader, OODSet, load_yaml
from ood.errors import InputError
from ood.tables import markdown

CELL = ["benchmark", "method", "ood_set", "protocol"]
COLUMNS = [*CELL, "measure", "seeds", "mean", "sd", "low", "high", "id_accuracy"]
COLUMNS += ["id_dataset", "ood_dataset"]
RUN = ["scale", "precision", "revision", "machine", "core_minutes"]
NOTHING = "–"

HEAD = """# Results

Written by `snakemake book` from `studies/results/`. By hand come only each study's question and
finding.

* Numbers are percent: mean ± sample standard deviation over seeds [mean of the seeds' 95 %
  intervals over test images].
* `final` is the last state of training. `validation` chooses on the validation OOD set. `oracle` is
  the best state or setting on the OOD test set itself, as many papers report.
* "Same protocol" says whether the published number was chosen as ours; if not, how it was.
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
    study: Study, metrics: pd.DataFrame, costs: pd.DataFrame, protocols: list[str], run: dict
) -> pd.DataFrame:
    """A study's numbers, one row per benchmark, method, OOD set, protocol and measure. Where a
    stand-in was used, the row has the name of the OOD set, and the stand-in under ``ood_dataset``.

    :param metrics: one row per cell and seed, of the study's scale and seeds; others of its
        benchmarks are not asked for
    :param costs: of the study's jobs
    :param run: ``scale``, ``precision``, ``revision`` and ``machine``, for every row
    :return: ``COLUMNS`` and ``RUN``; ``core_minutes`` are those of all jobs
    """
    cells, rows = dict(list(metrics.groupby(CELL))), []
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
                row = [benchmark, key[1], original, key[3], measure, len(cell), *values]
                accuracy, ood = cell["id_accuracy"].mean(), one.ood[key[2]].dataset
                rows.append([*row, accuracy, one.dataset, ood])
    minutes = round((costs["seconds"] * costs["threads"]).sum() / 60)
    facts = run | {"core_minutes": minutes}
    return pd.DataFrame(rows, columns=COLUMNS).assign(**facts)[[*COLUMNS, *RUN]]


def _original(name: str, ood: OODSet) -> str:
    """What a benchmark calls an OOD set where no stand-in takes its place."""
    return ood.stand_in_for if ood.stand_in_for and name == ood.dataset else name


def book(studies: list[Study], results: dict[str, pd.DataFrame], published: pd.DataFrame) -> str:
    """All studies as Markdown.

    :param results: what ``record`` gave, by study; missing for one that was not run
    :param published: ``benchmark, method, ood_set, metric, protocol, published``
    """
    parts = [HEAD.rstrip(), _overview(studies, results)]
    for study in studies:
        about, ours = study.about, results.get(study.about["name"])
        parts += [f"## {about['title']}", f"`studies/{about['name']}.yaml`. {about['question']}"]
        parts.append("Not run yet." if ours is None else _facts(ours))
        for name, benchmark in study.benchmarks.items():
            known = published[published["benchmark"] == name]
            mine = None if ours is None else ours[ours["benchmark"] == name]
            if rows := _rows(benchmark, about["measures"], mine, known):
                parts += [f"**{name}**: {benchmark.title}.", *_about_id(benchmark, mine)]
                header = ["method", "OOD set", "measure", "protocol", "ours", "published"]
                parts.append(markdown([*header, "difference", "same protocol"], rows))
        if about["finding"]:
            parts.append(f"**Finding.** {about['finding']}")
    return "\n\n".join(parts) + "\n"


def _overview(studies: list[Study], results: dict[str, pd.DataFrame]) -> str:
    """A line per study: what it asks, what it cost, and the first sentence of what it found."""
    rows = []
    for about in (study.about for study in studies):
        # as both GitHub and mkdocs name a heading
        anchor = re.sub(r"[^\w -]", "", about["title"].lower()).replace(" ", "-")
        ours = results.get(about["name"])
        cost = NOTHING if ours is None else f"{ours['core_minutes'].iloc[0]}"
        answer = "not run yet" if ours is None else about["finding"].partition(". ")[0]
        answer = answer.removesuffix(".")
        rows.append([f"[{about['title']}](#{anchor})", about["question"], cost, answer])
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
        theirs.setdefault(key, {})[row["protocol"]] = row["published"]
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


def _lines(ours: dict[str, dict], published: dict[str, float]) -> list[list[str]]:
    """A line for each protocol of ours, and for each published one that meets none of them."""
    found = []
    for protocol, row in ours.items():
        value, same = published.pop(protocol, math.nan), "yes"
        # what was chosen otherwise stands beside the last state
        if math.isnan(value) and protocol == "final" and not set(ours) & set(published):
            other = next(iter(published), "")
            value, same = published.pop(other, math.nan), f"no: {other}"
        if math.isnan(value):
            found.append([protocol, _ours(row), NOTHING, NOTHING, ""])
        else:
            difference = f"{100 * (row['mean'] - value):+.1f}"
            found.append([protocol, _ours(row), f"{100 * value:.2f}", difference, same])
    found += [[one, NOTHING, f"{100 * v:.2f}", NOTHING, ""] for one, v in published.items()]
    return found


def _ours(row: dict) -> str:
    if math.isnan(row["mean"]):
        return NOTHING
    text = f"{100 * row['mean']:.2f}"
    if not math.isnan(row["sd"]):
        text += f" ± {100 * row['sd']:.2f}"
    if not math.isnan(row["low"]):
        text += f" [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
    return text
