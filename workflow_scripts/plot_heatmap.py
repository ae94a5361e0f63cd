"""Rule plot_heatmap: AUROC of every method on every OOD set of a benchmark."""

import pandas as pd

from ood import plots
from workflow_job import job

with job(snakemake):
    benchmark = snakemake.wildcards.benchmark
    summary = pd.read_csv(snakemake.input[0])
    rows = summary[(summary["benchmark"] == benchmark) & (summary["protocol"] == "final")]
    rows = pd.concat([rows[rows["ood_set"] == name] for name in snakemake.params.ood_sets])
    plots.heatmap(snakemake.output[0], f"{benchmark}: AUROC in percent", rows)
