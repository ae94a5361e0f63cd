"""Rule plot_histograms: one method's scores, ID against each OOD set, first seed."""

from ood import metrics, plots
from score_files import scores
from workflow_job import job

with job(snakemake):
    benchmark, method = snakemake.wildcards.benchmark, snakemake.wildcards.method
    seed = snakemake.params.seed
    by_set = {
        name: scores(benchmark, seed, method, part) for name, part in snakemake.params.parts.items()
    }
    known = by_set.pop("id")
    plots.histograms(
        snakemake.output[0],
        f"{method} on {benchmark}, seed {seed}",
        {name: (known, s, metrics.evaluate(known, s)["auroc"]) for name, s in by_set.items()},
    )
