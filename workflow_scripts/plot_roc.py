"""Rule plot_roc: every method's ROC curve on one OOD set."""

from ood import plots
from plot_data import scores
from workflow_job import job

with job(snakemake):
    params = snakemake.params
    benchmark, ood = snakemake.wildcards.benchmark, snakemake.wildcards.ood
    by_method = {
        method: [
            tuple(scores(benchmark, seed, method, params.parts[name]) for name in ("id", ood))
            for seed in params.seeds
        ]
        for method in params.methods
    }
    plots.roc(snakemake.output[0], f"{benchmark} against {ood}", by_method)
