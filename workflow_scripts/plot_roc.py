"""Rule plot_roc: every method's ROC curve on one OOD set."""

from ood import plots
from plot_data import scores
from workflow_job import job

with job(snakemake):
    layout = snakemake.params.layout
    benchmark, ood = snakemake.wildcards.benchmark, snakemake.wildcards.ood
    by_method = {
        method: [
            tuple(scores(benchmark, seed, method, p) for p in (layout["id"], layout["ood"][ood]))
            for seed in layout["seeds"]
        ]
        for method in layout["methods"]
    }
    plots.roc(snakemake.output[0], f"{benchmark} against {ood}", by_method)
