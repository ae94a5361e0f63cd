"""Every table, from the metrics of all pairs that the results folder holds.

What today's settings and code would make otherwise is left out and counted.
"""

from support.job import job

with job(snakemake):
    from pathlib import Path

    import pandas as pd

    from ood.config.benchmarks import Loader
    from ood.evaluation import leaderboard as leaderboards
    from ood.evaluation import ranks, tables
    from ood.evaluation.made_from import up_to_date
    from ood.files import atomic, save_csv
    from ood.reports.overview import overview_page, overview_table

    outputs = {Path(path).name: path for path in snakemake.output}
    asked = [Path(path) for path in snakemake.params.metrics]
    root = Path(snakemake.params.root)
    found = up_to_date(Path("results"), asked, root, snakemake.config)
    metrics = tables.metrics_table(found.metrics)
    summary = tables.summary_table(metrics)
    orders = leaderboards.group_orders(Loader(root, snakemake.config), metrics)
    ranked = ranks.ranks_table(metrics)
    leaderboard = leaderboards.leaderboard_table(metrics, orders, ranked)
    published = pd.read_csv(snakemake.input.published)
    for name, table in (
        ("metrics.csv", metrics),
        ("summary.csv", summary),
        ("leaderboard.csv", leaderboard),
        ("ranks.csv", ranked),
        ("comparisons.csv", tables.comparisons_table(found)),
        ("published.csv", tables.published_table(summary, published)),
        ("costs.csv", tables.costs_table(Path("results"))),
        ("health.csv", tables.health_table(Path("results"))),
    ):
        save_csv(table, outputs[name])
    with atomic(outputs["overview.html"]) as temporary:
        overview = overview_table(metrics, published, orders)
        temporary.write_text(overview_page(overview))
    with atomic(outputs["leaderboard.md"]) as temporary:
        temporary.write_text(
            leaderboards.leaderboard_text(leaderboard, found.left_out, snakemake.params.positive)
        )
