"""AUROC of every method on every OOD set of a benchmark."""

from support.figure_inputs import place
from support.job import job

with job(snakemake):
    import pandas as pd

    from ood.reports import plots

    benchmark, params = snakemake.wildcards.benchmark, snakemake.params
    summary = pd.read_csv(snakemake.input[0])
    rows = summary[(summary["benchmark"] == benchmark) & (summary["scale"] == params.scale)]
    rows = rows[rows["protocol"] == "final"]
    rows = pd.concat([rows[rows["ood_set"] == name] for name in params.parts if name != "id"])
    plots.heatmap(snakemake.output[0], f"{place(snakemake)}: AUROC in percent", rows)
