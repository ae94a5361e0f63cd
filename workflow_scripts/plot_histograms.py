"""Rule plot_histograms: one method's scores, ID against each OOD set, first seed."""

from ood import plots
from plot_data import scores
from workflow_job import job

with job(snakemake):
    benchmark, method = snakemake.wildcards.benchmark, snakemake.wildcards.method
    seed = snakemake.params.seed
    by_set = {
        name: scores(benchmark, seed, method, part) for name, part in snakemake.params.parts.items()
    }
    plots.histograms(
        snakemake.output[0],
        f"{method} on {benchmark}, seed {seed}",
        by_set.pop("id"),
        by_set,
    )
