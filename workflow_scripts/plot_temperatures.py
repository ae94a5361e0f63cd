"""Rule plot_temperatures: score histograms on a test set for every temperature and input step."""

from ood import metrics, plots
from score_files import snapshot_scores
from workflow_job import job

with job(snakemake):
    params, wildcards = snakemake.params, snakemake.wildcards
    known, unknown = (
        snapshot_scores(wildcards.benchmark, params.seed, wildcards.method, part)
        for part in params.parts.values()
    )
    panels = {
        name.replace("temperature_", "T = ").replace("_epsilon_", ", ε = "): (
            known[name],
            unknown[name],
            metrics.evaluate(known[name], unknown[name])["auroc"],
        )
        for name in known
    }
    title = f"{wildcards.method} on {wildcards.benchmark} against {wildcards.ood}"
    plots.histograms(snakemake.output[0], title, panels, params.columns)
