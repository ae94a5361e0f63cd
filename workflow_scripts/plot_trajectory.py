"""Rule plot_trajectory: AUROC on one OOD set at every snapshot of training."""

from ood import metrics, plots
from score_files import snapshot_scores
from workflow_job import job

with job(snakemake):
    params = snakemake.params
    benchmark, ood = snakemake.wildcards.benchmark, snakemake.wildcards.ood
    lines = {}
    for method in params.methods:
        lines[method] = []
        for seed in params.seeds:
            known, unknown = (
                snapshot_scores(benchmark, seed, method, params.parts[name]) for name in ("id", ood)
            )
            aurocs = [metrics.evaluate(known[step], unknown[step])["auroc"] for step in known]
            lines[method].append((list(map(int, known)), aurocs))
    plots.trajectory(snakemake.output[0], f"{benchmark} against {ood}", lines)
