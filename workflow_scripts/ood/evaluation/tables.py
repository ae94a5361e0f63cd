"""From metrics JSON to CSV tables. Numeric columns stay numeric; every other table is derived from
``metrics.csv``."""

import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from ood.errors import InputError
from ood.evaluation.made_from import UpToDate
from ood.evaluation.metrics import BOOTSTRAPPED, RATES
from ood.files import load_json
from ood.layout import Seed, find_costs, find_models

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
    "detection_error_original",
    "detection_error_tpr95",
    "f1",
    "f1_original",
    "f1_best",
    "cauroc",
    "aurc",
    "augrc",
]
INTERVALS = [
    f"{measure}_{end}"
    for measure in ("auroc", "detection_error", *RATES, *BOOTSTRAPPED)
    for end in ("low", "high")
]
# missing for a method that does not classify, or without bootstrap; any other is in every file
OPTIONAL = {"f1", "f1_original", "f1_best", "cauroc", "aurc", "augrc", *INTERVALS}
COUNTS = ["n_id", "n_ood", "infinite", "parameters", "snapshot"]
METRICS_COLUMNS = ["seed", *KEYS, *COUNTS, *MEASURES, *INTERVALS, "flags"]
COMPARISON_COLUMNS = ["benchmark", "scale", "seed", "ood_set", "method", "reference"]
COMPARISON_COLUMNS += ["auroc_difference", "auroc_difference_low", "auroc_difference_high"]
COMPARISON_COLUMNS += ["p_value"]
# the same in the files of a comparison
DIFFERENCE = ["difference", "low", "high", "p_value"]


def comparisons_table(found: UpToDate) -> pd.DataFrame:
    """Every method's AUROC minus that of the reference method on the same images."""
    rows = []
    for path in found.comparisons:
        one, scale = load_json(path), Seed.containing(path).place[0]
        for ood, values in one["ood_sets"].items():
            if ood not in found.ood_sets[scale, one["benchmark"]]:
                continue
            known = [one["benchmark"], scale, one["seed"], ood, one["method"]]
            rows.append([*known, one["reference"], *(values[name] for name in DIFFERENCE)])
    table = pd.DataFrame(rows, columns=COMPARISON_COLUMNS)
    return table.sort_values(COMPARISON_COLUMNS[:5], ignore_index=True)


def metrics_table(paths: Iterable[str | Path]) -> pd.DataFrame:
    """One row per benchmark x method x OOD set x seed x protocol.

    :raises InputError: if there is no file
    """
    rows = []
    for path in paths:
        # without its provenance, most of a file: 30,000 of them fit into memory
        found = load_json(path)
        rows.append(
            {name: found.get(name) if name in OPTIONAL else found[name] for name in METRICS_COLUMNS}
        )
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
    for path, run, step in find_costs(results):
        (scale, benchmark, seed), name = run.place, path.stem
        for line in pd.read_json(path, lines=True).to_dict("records"):
            rows.append(
                {
                    "benchmark": benchmark,
                    "scale": scale,
                    "seed": seed,
                    "step": step,
                    "name": name,
                    "seconds": line["s"],
                    "cpu_seconds": line["cpu_time"],
                    "peak_memory_mib": line["max_rss"],
                    "threads": line.get("threads"),
                    **_run_facts(Path(run.folder) / step / name),
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


def health_table(results: Path) -> pd.DataFrame:
    """A row for each fact of a model's health after its ``first`` epoch and at its end (``last``);
    ``flags`` say what is bad, see ``ood.training.health``."""
    rows = []
    for path in find_models(results):
        known, (scale, benchmark, seed) = load_json(path), Seed.containing(path).place
        own = [flag for flag in known.get("flags", []) if flag.startswith(f"{path.parent.name}: ")]
        flags = "; ".join(flag.partition(": ")[2] for flag in own)
        for when, facts in known.get("health", {}).items():
            values = {k: v for k, v in facts.items() if k != "layers"}
            values |= {f"dead units of {k}": v for k, v in facts.get("layers", {}).items()}
            for fact, value in values.items():
                rows.append([benchmark, scale, seed, path.parent.name, when, fact, value, flags])
    columns = ["benchmark", "scale", "seed", "model", "epoch", "fact", "value", "flags"]
    return pd.DataFrame(rows, columns=columns)


def outward(low: float, high: float) -> str:
    """An interval of shares in percent with one digit that the interval lies within."""
    # without the rounding .957 would be 95.69999 and lose a tenth
    ends = math.floor(round(1000 * low, 6)), math.ceil(round(1000 * high, 6))
    return "[{:.1f}, {:.1f}]".format(*(end / 10 for end in ends))


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with aligned columns."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    )
