"""Rule evaluate: the metrics of one method on one (ID, OOD) pair."""

import numpy as np
import pyarrow.parquet as pq

from ood import metrics
from ood.errors import InputError
from ood.files import checksum, load_json, save_json
from ood.lineage import lineage
from workflow_job import job


def load(path: str, classes: list[int] | None) -> dict[str, np.ndarray]:
    """The columns of a score file, for the images of ``classes`` (None: all)."""
    table = pq.read_table(path)
    columns = {name: table[name].to_numpy() for name in table.column_names}
    if classes is None:
        return columns
    keep = np.isin(columns["label"], classes)
    return {name: values[keep] for name, values in columns.items()}


def best_snapshot(known: dict, unknown: dict) -> str:
    """The suffix of the snapshot with the highest AUROC, the first of equals."""
    suffixes = [name.removeprefix("score") for name in known if name.startswith("score")]
    return max(
        suffixes,
        key=lambda s: metrics.evaluate(known[f"score{s}"], unknown[f"score{s}"])["auroc"],
    )


with job(snakemake):
    pair = snakemake.params.pair
    known = load(snakemake.input.id, pair["id_classes"])
    unknown = load(snakemake.input.ood, pair["ood_classes"])
    oracle = snakemake.params.protocol == "oracle"
    suffix = best_snapshot(known, unknown) if oracle else ""
    try:
        result = metrics.evaluate(
            known[f"score{suffix}"], unknown[f"score{suffix}"], snakemake.params.bootstrap
        )
    except InputError as error:
        raise InputError(
            f"{error}: ID {snakemake.input.id} (classes {pair['id_classes']}), "
            f"OOD {snakemake.input.ood} (classes {pair['ood_classes']})"
        ) from error
    predicted = known[f"prediction{suffix}"]
    classifies = bool((predicted >= 0).any())
    if classifies:
        decisions = metrics.Decisions.joined(
            (known[f"score{suffix}"], predicted, known["label"]),
            (unknown[f"score{suffix}"], unknown[f"prediction{suffix}"]),
        )
        result |= metrics.open_set(decisions, pair["id_classes"])
    config = load_json(snakemake.input.config)
    for key, what in (("id_stand_in_for", "ID set"), ("ood_stand_in_for", "OOD set")):
        if pair[key]:
            result["flags"].append(f"{what} is a stand-in for {pair[key]}")
    tuned_on = config["record"]["tuned_on"]
    if tuned_on == pair["validation"] and pair["on_validation_set"]:
        result["flags"].append("tuned on this set")
    save_json(
        snakemake.output[0],
        {
            "benchmark": snakemake.wildcards.benchmark,
            "seed": int(snakemake.wildcards.seed),
            "method": snakemake.wildcards.method,
            "ood_set": snakemake.wildcards.ood,
            "group": pair["group"],
            "protocol": snakemake.params.protocol,
            "scale": pair["scale"],
            "tuned_on": "OOD test set" if oracle else tuned_on,
            "id_dataset": pair["id_dataset"],
            "ood_dataset": pair["ood_dataset"],
            "id_accuracy": float((predicted == known["label"]).mean()) if classifies else None,
            "parameters": config["parameters"],
            "snapshot": suffix[1:] if oracle else None,
            **result,
            "lineage": lineage(
                dict(snakemake.params.items()),
                {str(path): checksum(path) for path in snakemake.input},
                int(snakemake.wildcards.seed),
            ),
        },
    )
