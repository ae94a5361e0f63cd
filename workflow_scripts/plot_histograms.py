"""Rule plot_histograms: one method's scores, ID against each OOD set, first seed."""

from ood import plots
from plot_data import scores
from workflow_job import job

with job(snakemake):
    layout = snakemake.params.layout
    benchmark, method = snakemake.wildcards.benchmark, snakemake.wildcards.method
    seed = layout["seeds"][0]
    plots.histograms(
        snakemake.output[0],
        f"{method} on {benchmark}, seed {seed}",
        scores(benchmark, seed, method, layout["id"]),
        {name: scores(benchmark, seed, method, part) for name, part in layout["ood"].items()},
    )
