"""From metrics JSON to CSV tables. Numeric columns stay numeric; every other table is derived from
``metrics.csv``."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ood.config import Loader
from ood.errors import InputError
from ood.files import atomic, load_json
from ood.metrics import BOOTSTRAPPED
from ood.provenance import made_from

KEYS = ["benchmark", "scale", "id_dataset", "method", "ood_set", "ood_dataset", "group"]
KEYS += ["protocol", "tuned_on"]
MEASURES = [
    "id_accuracy",
    "auroc",
    "fpr95",
    "fpr80",
    "fpr95_ood_positive",
    "aupr_in",
    "aupr_out",
    "aupr_in_trapezoid",
    "aupr_out_trapezoid",
    "detection_error",
    "detection_error_tpr95",
    "f1",
    "f1_original",
    "f1_best",
    "cauroc",
]
INTERVALS = [f"{measure}_{end}" for measure in ("auroc", *BOOTSTRAPPED) for end in ("low", "high")]
COUNTS = ["n_id", "n_ood", "infinite", "parameters", "snapshot"]
METRICS_COLUMNS = ["seed", *KEYS, *COUNTS, *MEASURES, *INTERVALS, "flags"]
COMPARISON_COLUMNS = ["benchmark", "scale", "seed", "ood_set", "method", "reference"]
COMPARISON_COLUMNS += ["auroc_difference", "auroc_difference_low", "auroc_difference_high"]
COMPARISON_COLUMNS += ["p_value"]
# the same in the files of a comparison
DIFFERENCE = ["difference", "low", "high", "p_value"]


CONVENTION = (
    "Percent. AUROC: chance that an OOD image scores higher than an ID image. FPR95: share of OOD "
    "images\naccepted at the threshold that accepts 95 % of the ID test images. Averages over a "
    "group's OOD sets; ±\nis the sample standard deviation over seeds. In brackets the mean of the "
    "sets' 95 % intervals over test\nimages; ranks, in the first group, are as many as these "
    "intervals leave open. The single sets: metrics.csv."
)


def save_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table, whole or not at all."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False)


@dataclass
class Standing:
    """What a results folder holds that today's settings and code would not make otherwise.

    :param metrics: files, by path
    :param comparisons: files, by path
    :param left_out: how many pairs are not among the metrics, by scale, benchmark and method
    """

    metrics: list[Path] = field(default_factory=list)
    comparisons: list[Path] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)


def standing(results: Path, asked: Iterable[Path], root: Path, config: dict) -> Standing:
    """Compare what each method's metrics were made from with what they would be made from today.

    :param asked: metrics of the config's own pairs, which are up to date
    :param root: the workflow's folder
    """
    found, digests, asked = Standing(), {}, set(asked)
    for path in sorted(results.glob("*/*/seed*/metrics/*/made_from*.json")):
        folder, suffix = path.parent, path.stem.removeprefix("made_from")
        scale, benchmark, method = folder.parts[-5], folder.parts[-4], folder.name
        recorded = load_json(path)
        if (at := (scale, benchmark, method)) not in digests:
            digests[at] = _digest_today(root, config, *at, recorded["variant"])
        mine = [
            file
            for file in sorted(folder.glob(f"*{suffix}.json"))
            if file != path and _suffix(file) == suffix and file.stem != "against_reference"
        ]
        stands = recorded["digest"] == digests[at]
        # of a method that is asked for now, other OOD sets of before may be there
        found.metrics += [file for file in mine if stands or file in asked]
        if not stands and (old := [file for file in mine if file not in asked]):
            name = f"{scale} {benchmark} {method}"
            found.left_out[name] = found.left_out.get(name, 0) + len(old)
        comparison = folder / "against_reference.json"
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
    changes |= {"reference": known, "variants": variants or {}}
    try:
        loader = Loader(root, copy.deepcopy(config) | changes)
        one = loader.benchmarks()[benchmark]
        return made_from(loader, root / "workflow_scripts", one, method)["digest"]
    except (InputError, KeyError):
        return None


def comparisons_table(found: Standing) -> pd.DataFrame:
    """Every method's AUROC minus that of the reference method on the same images."""
    rows = []
    for path in found.comparisons:
        one = load_json(path)
        for ood, values in one["ood_sets"].items():
            known = [one["benchmark"], path.parts[-6], one["seed"], ood, one["method"]]
            rows.append([*known, one["reference"], *(values[name] for name in DIFFERENCE)])
    table = pd.DataFrame(rows, columns=COMPARISON_COLUMNS)
    return table.sort_values(COMPARISON_COLUMNS[:5], ignore_index=True)


def metrics_table(paths: Iterable[str | Path]) -> pd.DataFrame:
    """One row per benchmark x method x OOD set x seed x protocol.

    :raises InputError: if there is no file
    """
    rows = []
    for path in paths:
        # at once without the lineage, which is most of a file
        found = load_json(path)
        rows.append({name: found.get(name) for name in METRICS_COLUMNS})
        rows[-1]["flags"] = "; ".join(found["flags"])
    if not rows:
        raise InputError("no metrics to gather: nothing has been evaluated yet")
    return (
        pd.DataFrame(rows, columns=METRICS_COLUMNS)
        .astype(dict.fromkeys([*MEASURES, *INTERVALS], "float64"))
        .sort_values(["benchmark", "seed", "method", "ood_set", "protocol"], ignore_index=True)
    )


def joined_flags(values: pd.Series) -> str:
    """Each flag of several rows once."""
    found = dict.fromkeys(flag for value in values for flag in value.split("; ") if flag)
    return "; ".join(found)


def summary_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """Mean and sample standard deviation (ddof 1; empty for one seed) over seeds, with n."""
    grouped = metrics.groupby(KEYS, sort=True, dropna=False)
    columns = {"n_seeds": grouped.size(), "flags": grouped["flags"].agg(joined_flags)}
    columns |= {name: grouped[name].first() for name in ("n_id", "n_ood")}
    for name in MEASURES:
        columns[f"{name}_mean"] = grouped[name].mean()
        columns[f"{name}_sd"] = grouped[name].std(ddof=1)
    return pd.DataFrame(columns).reset_index()


def group_orders(loader: Loader, metrics: pd.DataFrame) -> dict[str, list[str]]:
    """The groups of OOD sets of each benchmark, in its file's order."""
    found = {}
    for name, rows in metrics.groupby("benchmark"):
        groups = list(dict.fromkeys(rows["group"]))
        try:
            order = loader.groups(name)
        except InputError:
            # measured when there still was such a benchmark
            order = []
        found[name] = sorted(groups, key=lambda one: (*order, one).index(one))
    return found


def leaderboard_table(metrics: pd.DataFrame, orders: dict[str, list[str]]) -> pd.DataFrame:
    """Methods by group of OOD sets: averaged over the group's sets, then over seeds; best first.

    ``auroc_low`` and ``auroc_high`` average the ends of the single intervals, as if all sets and
    seeds erred together: no narrower than the average's own. ``rank_best`` and ``rank_worst``
    count the methods whose intervals lie wholly above, or not wholly below.

    :param orders: the groups of each benchmark
    """
    keys = ["benchmark", "scale", "group", "protocol", "method", "tuned_on"]
    measures = ["id_accuracy", "auroc", "fpr95", "aupr_in", "aupr_out", "f1", "cauroc"]
    ends = ["auroc_low", "auroc_high"]
    per_seed = metrics.groupby([*keys, "seed"], dropna=False)[[*measures, *ends]].mean()
    over_seeds = per_seed.groupby(keys, dropna=False)
    table = pd.DataFrame(
        {"n_seeds": over_seeds.size()}
        | {
            f"{name}_{kind}": over_seeds[name].agg(statistic)
            for name in measures
            for kind, statistic in (("mean", "mean"), ("sd", "std"))
        }
        | {name: over_seeds[name].mean() for name in ends}
    )
    grouped = metrics.groupby(keys, dropna=False)
    table.insert(0, "n_sets", grouped["ood_set"].nunique())
    table["flags"] = pd.Series({key: _flags_by_set(rows) for key, rows in grouped})
    table = table.reset_index()
    for _, rows in table.groupby(["benchmark", "scale", "group", "protocol"]):
        low, high = (rows[name].to_numpy() for name in ends)
        table.loc[rows.index, "rank_best"] = [1 + (low > one).sum() for one in high]
        table.loc[rows.index, "rank_worst"] = [len(rows) - (high < one).sum() for one in low]
    table = table.astype({"rank_best": int, "rank_worst": int})
    table["order"] = [
        orders[one.benchmark].index(one.group) for one in table.itertuples(index=False)
    ]
    return table.sort_values(
        ["benchmark", "order", "protocol", "auroc_mean"],
        ascending=[True, True, True, False],
        ignore_index=True,
    ).drop(columns="order")


def _flags_by_set(rows: pd.DataFrame) -> str:
    """Each flag once, with the OOD sets that it is about unless these are all."""
    found = {}
    for one in rows.itertuples():
        for flag in filter(None, one.flags.split("; ")):
            found.setdefault(flag, {})[one.ood_set] = None
    every = rows["ood_set"].nunique()
    return "; ".join(
        flag if len(sets) == every else f"{flag} ({', '.join(sets)})"
        for flag, sets in found.items()
    )


def published_table(summary: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """The papers' numbers beside ours, of the benchmarks that were run; empty where either is
    unknown.

    :param published: ``benchmark, method, ood_set, metric, protocol, published, confidence,
        source``; a number in [0, 1]
    """
    measured = summary.melt(
        ["benchmark", "method", "ood_set", "protocol", "scale", "n_seeds", "ood_dataset"],
        [f"{name}_mean" for name in MEASURES],
        "metric",
        "ours",
    )
    measured["metric"] = measured["metric"].str.removesuffix("_mean")
    keys = ["benchmark", "method", "ood_set", "metric", "protocol"]
    run = published[published["benchmark"].isin(summary["benchmark"])]
    table = run.merge(measured, how="left", on=keys)
    table["difference"] = table["ours"] - table["published"]
    order = [*keys, "published", "ours", "difference", "scale", "n_seeds", "ood_dataset"]
    return table[[*order, "confidence", "source"]]


def costs_table(results: Path) -> pd.DataFrame:
    """One row per training, fitting, generating or scoring job, from Snakemake's benchmark files.

    ``seconds`` is wall time with imports; ``images_per_second`` is the training loop's own median.
    A job that scores several methods is called after the network that they share.
    """
    rows = []
    for path in sorted(results.glob("costs/*/*/seed*/*/*.jsonl")):
        scale, benchmark, seed, step = path.parts[-5:-1]
        name = path.stem
        for line in pd.read_json(path, lines=True).to_dict("records"):
            rows.append(
                {
                    "benchmark": benchmark,
                    "scale": scale,
                    "seed": int(seed.removeprefix("seed")),
                    "step": step,
                    "name": name,
                    "seconds": line["s"],
                    "cpu_seconds": line["cpu_time"],
                    "peak_memory_mib": line["max_rss"],
                    "threads": line.get("threads"),
                    **_run_facts(results / scale / benchmark / seed / step / name),
                }
            )
    columns = ["benchmark", "scale", "seed", "step", "name", "seconds", "cpu_seconds"]
    columns += ["peak_memory_mib", "threads", "epochs", "images_per_second", "parameters"]
    return pd.DataFrame(rows).reindex(columns=columns)


def _run_facts(run: Path) -> dict:
    facts = {}
    if (history := run / "history.csv").exists():
        epochs = pd.read_csv(history)
        facts["epochs"] = len(epochs)
        facts["images_per_second"] = epochs["images_per_second"].median()
    for config in (run / "config.json", run / "detector.json"):
        if config.exists():
            facts["parameters"] = load_json(config)["parameters"]
    return facts


def leaderboard_text(leaderboard: pd.DataFrame, left_out: dict[str, int]) -> str:
    """The leaderboard as Markdown, in percent; best in the benchmark's first group on top.

    :param left_out: see ``Standing``
    """

    def percent(*values: float) -> list[str]:
        return [f"{100 * value:.1f}" for value in values]

    def cell(one: pd.Series, name: str) -> str:
        if pd.isna(one[f"{name}_mean"]):
            return "–"
        text, deviation = percent(one[f"{name}_mean"], one[f"{name}_sd"])
        if pd.notna(one[f"{name}_sd"]):
            text += f" ± {deviation}"
        if name == "auroc":
            text += " [{}, {}]".format(*percent(one["auroc_low"], one["auroc_high"]))
        return text

    def ranks(one: pd.Series) -> str:
        best, worst = one["rank_best"], one["rank_worst"]
        return f"{best}" if best == worst else f"{best}–{worst}"

    parts = []
    for (benchmark, scale), rows in leaderboard.groupby(["benchmark", "scale"], sort=True):
        groups = list(dict.fromkeys(rows["group"]))
        protocols = rows["protocol"].nunique() > 1
        header = ["rank", "method", *["protocol"] * protocols, "ID accuracy"]
        header += [f"{name} {group}" for group in groups for name in ("AUROC", "FPR95")]
        lines, flags = [], {}
        first = rows[rows["group"] == groups[0]]
        for _, lead in first.sort_values("auroc_mean", ascending=False).iterrows():
            line = [ranks(lead), lead["method"], *[lead["protocol"]] * protocols]
            line.append(cell(lead, "id_accuracy"))
            if lead["tuned_on"] != "nothing":
                flags.setdefault(f"tuned on {lead['tuned_on']}", {})[lead["method"]] = None
            same = rows[
                (rows["method"] == lead["method"]) & (rows["protocol"] == lead["protocol"])
            ].set_index("group")
            for group in groups:
                line += [cell(same.loc[group], name) for name in ("auroc", "fpr95")]
            lines.append(line)
            for flag in filter(None, "; ".join(same["flags"]).split("; ")):
                flags.setdefault(flag, {})[lead["method"]] = None
        seeds = int(rows["n_seeds"].max())
        parts.append(f"## {benchmark} ({scale} scale, {seeds} seed{'s' if seeds > 1 else ''})")
        parts.append(markdown(header, lines))
        every = first["method"].nunique()
        noted = [
            f"* {flag}: {'all methods' if len(whom) == every else ', '.join(whom)}"
            for flag, whom in flags.items()
        ]
        parts += ["\n".join(noted)] if noted else []
    if left_out:
        listed = "\n".join(f"* {name}: {count}" for name, count in left_out.items())
        parts.append(
            f"Left out, {sum(left_out.values())} pairs in the results folder that today's settings "
            f"and code would compute again:\n\n{listed}"
        )
    return "\n\n".join([*parts, CONVENTION]) + "\n"


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with aligned columns."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    )
