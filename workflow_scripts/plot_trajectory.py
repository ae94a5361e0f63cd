"""Rule plot_trajectory: AUROC on one OOD set at every snapshot of training."""

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ood import metrics, plots
from score_files import path_of
from workflow_job import job


def snapshots(benchmark: str, seed: int, method: str, part: dict) -> dict[int, np.ndarray]:
    """Scores of an image set by step of training."""
    table = pq.read_table(path_of(benchmark, seed, method, part, ".oracle"))
    if part["classes"] is not None:
        table = table.filter(pc.field("label").isin(part["classes"]))
    names = [name for name in table.column_names if name.startswith("score_")]
    return {int(name.removeprefix("score_")): table[name].to_numpy() for name in names}


with job(snakemake):
    params = snakemake.params
    benchmark, ood = snakemake.wildcards.benchmark, snakemake.wildcards.ood
    lines = {}
    for method in params.methods:
        lines[method] = []
        for seed in params.seeds:
            known, unknown = (
                snapshots(benchmark, seed, method, params.parts[name]) for name in ("id", ood)
            )
            aurocs = [metrics.evaluate(known[step], unknown[step])["auroc"] for step in known]
            lines[method].append((list(known), aurocs))
    plots.trajectory(snakemake.output[0], f"{benchmark} against {ood}", lines)
