"""From metrics JSON to CSV tables. Numeric columns stay numeric; every other table is derived from
``metrics.csv``."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from ood.errors import InputError
from ood.files import atomic, load_json
from ood.metrics import BOOTSTRAPPED

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


CONVENTION = (
    "AUROC: chance that an OOD image scores higher than an ID image. FPR95: share of OOD images "
    "accepted\nat the threshold that accepts 95 % of the ID test images. Averages over a group's "
    "OOD sets; ± is the\nsample standard deviation over seeds. Intervals and the single sets: "
    "metrics.csv."
)


def save_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table, whole or not at all."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False)


def metrics_table(paths: Iterable[str | Path]) -> pd.DataFrame:
    """One row per benchmark x method x OOD set x seed x protocol.

    :raises InputError: if there is no file
    """
    rows = [load_json(path) for path in paths]
    if not rows:
        raise InputError("no metrics to gather: nothing has been evaluated yet")
    for row in rows:
        row["flags"] = "; ".join(row["flags"])
    return (
        pd.DataFrame(rows)
        .reindex(columns=METRICS_COLUMNS)
        .astype(dict.fromkeys([*MEASURES, *INTERVALS], "float64"))
        .sort_values(["benchmark", "seed", "method", "ood_set", "protocol"], ignore_index=True)
    )


def _flags(values: pd.Series) -> str:
    found = dict.fromkeys(flag for value in values for flag in value.split("; ") if flag)
    return "; ".join(found)


def summary_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """Mean and sample standard deviation (ddof 1; empty for one seed) over seeds, with n."""
    grouped = metrics.groupby(KEYS, sort=True, dropna=False)
    columns = {"n_seeds": grouped.size(), "flags": grouped["flags"].agg(_flags)}
    columns |= {name: grouped[name].first() for name in ("n_id", "n_ood")}
    for name in MEASURES:
        columns[f"{name}_mean"] = grouped[name].mean()
        columns[f"{name}_sd"] = grouped[name].std(ddof=1)
    return pd.DataFrame(columns).reset_index()


def leaderboard_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """Methods by group of OOD sets: averaged over the group's sets, then over seeds; best first."""
    keys = ["benchmark", "scale", "group", "protocol", "method", "tuned_on"]
    measures = ["id_accuracy", "auroc", "fpr95", "aupr_in", "aupr_out", "f1", "cauroc"]
    per_seed = metrics.groupby([*keys, "seed"], dropna=False)[measures].mean()
    over_seeds = per_seed.groupby(keys, dropna=False)
    table = pd.DataFrame(
        {"n_seeds": over_seeds.size()}
        | {
            f"{name}_{kind}": over_seeds[name].agg(statistic)
            for name in measures
            for kind, statistic in (("mean", "mean"), ("sd", "std"))
        }
    )
    grouped = metrics.groupby(keys, dropna=False)
    table.insert(0, "n_sets", grouped["ood_set"].nunique())
    table["flags"] = grouped["flags"].agg(_flags)
    return table.reset_index().sort_values(
        ["benchmark", "group", "protocol", "auroc_mean"],
        ascending=[True, False, True, False],
        ignore_index=True,
    )


def published_table(summary: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """The papers' numbers beside ours; empty where either is unknown.

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
    table = published.merge(measured, how="left", on=keys)
    table["difference"] = table["ours"] - table["published"]
    order = [*keys, "published", "ours", "difference", "scale", "n_seeds", "ood_dataset"]
    return table[[*order, "confidence", "source"]]


def costs_table(folders: Iterable[str | Path]) -> pd.DataFrame:
    """One row per training, fitting or scoring job, from Snakemake's benchmark files.

    ``seconds`` is wall time with imports; ``images_per_second`` is the training loop's own median.
    """
    rows = []
    for folder in map(Path, folders):
        for path in sorted(folder.rglob("*.jsonl")):
            step, *names = path.relative_to(folder).with_suffix("").parts
            for line in pd.read_json(path, lines=True).to_dict("records"):
                run = Path("results", *folder.parts[-2:], step, names[0])
                rows.append(
                    {
                        "benchmark": folder.parts[-2],
                        "seed": int(folder.name.removeprefix("seed")),
                        "step": step,
                        "name": names[0],
                        "dataset": names[1] if len(names) > 1 else None,
                        "seconds": line["s"],
                        "cpu_seconds": line["cpu_time"],
                        "peak_memory_mib": line["max_rss"],
                        "threads": line.get("threads"),
                        **_run_facts(run),
                    }
                )
    columns = ["benchmark", "seed", "step", "name", "dataset", "seconds", "cpu_seconds"]
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


def leaderboard_text(leaderboard: pd.DataFrame) -> str:
    """The leaderboard as Markdown, percentages with the standard deviation over seeds."""

    def cell(mean: float, deviation: float) -> str:
        if pd.isna(mean):
            return "–"
        text = f"{100 * mean:.2f}"
        return text if pd.isna(deviation) else f"{text} ± {100 * deviation:.2f}"

    parts = []
    for (benchmark, scale), rows in leaderboard.groupby(["benchmark", "scale"], sort=True):
        groups = sorted(rows["group"].unique(), reverse=True)
        header = ["method", "protocol", "tuned on", "ID accuracy"]
        header += [f"{name} {group}" for group in groups for name in ("AUROC", "FPR95")]
        lines = []
        first = rows[rows["group"] == groups[0]]
        for _, lead in first.sort_values("auroc_mean", ascending=False).iterrows():
            line = [lead["method"], lead["protocol"], lead["tuned_on"]]
            line.append(cell(lead["id_accuracy_mean"], lead["id_accuracy_sd"]))
            same = rows[
                (rows["method"] == lead["method"]) & (rows["protocol"] == lead["protocol"])
            ].set_index("group")
            flags = _flags(same["flags"])
            for group in groups:
                for name in ("auroc", "fpr95"):
                    line.append(
                        cell(*same.loc[group, [f"{name}_mean", f"{name}_sd"]].astype(float))
                    )
            lines.append([*line, flags])
        seeds = int(rows["n_seeds"].max())
        parts.append(
            f"## {benchmark} ({scale} scale, {seeds} seed{'s' if seeds > 1 else ''}; percent)\n\n"
            + markdown([*header, "flags"], lines)
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
