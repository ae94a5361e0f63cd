"""Mean ranks of a benchmark's methods, and which of them cannot be told apart."""

from support.figure_inputs import place
from support.job import job

with job(snakemake):
    import pandas as pd

    from ood.evaluation import ranks
    from ood.reports.rank_plot import critical_difference

    metrics = pd.read_csv(snakemake.input[0])
    chosen = metrics["benchmark"].eq(snakemake.wildcards.benchmark)
    chosen &= metrics["scale"].eq(snakemake.params.scale) & metrics["protocol"].eq("final")
    auroc = ranks.blocks(metrics[chosen])
    title = f"{place(snakemake)}: mean ranks over {len(auroc)} OOD sets and seeds"
    critical_difference(snakemake.output[0], title, ranks.mean_ranks(auroc), ranks.pairwise(auroc))
