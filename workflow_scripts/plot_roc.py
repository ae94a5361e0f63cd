"""Rule plot_roc: every method's ROC curve on one OOD set."""

from ood import metrics, plots
from score_files import scores
from workflow_job import job

with job(snakemake):
    params = snakemake.params
    benchmark, ood = snakemake.wildcards.benchmark, snakemake.wildcards.ood
    runs = {method: [] for method in params.methods}
    for method, lines in runs.items():
        for seed in params.seeds:
            pair = [scores(benchmark, seed, method, params.parts[name]) for name in ("id", ood)]
            lines.append((*metrics.roc_curve(*pair), metrics.evaluate(*pair)["auroc"]))
    plots.roc(snakemake.output[0], f"{benchmark} against {ood}", runs)
