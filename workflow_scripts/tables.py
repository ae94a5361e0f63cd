"""Rules tables and available: every table from the metrics of all pairs."""

from pathlib import Path

import pandas as pd

from ood import tables
from ood.files import atomic
from workflow_job import job

with job(snakemake):
    outputs = {Path(path).name: path for path in snakemake.output}
    metrics = tables.metrics_table(snakemake.params.metrics)
    summary = tables.summary_table(metrics)
    leaderboard = tables.leaderboard_table(metrics)
    published = pd.read_csv(snakemake.input.published)
    for name, table in (
        ("metrics.csv", metrics),
        ("summary.csv", summary),
        ("leaderboard.csv", leaderboard),
        ("published.csv", tables.published_table(summary, published)),
        ("costs.csv", tables.costs_table(snakemake.params.costs)),
    ):
        tables.save_csv(table, outputs[name])
    with atomic(outputs["leaderboard.md"]) as temporary:
        temporary.write_text(tables.leaderboard_text(leaderboard))
