"""Every table, from the metrics of all pairs that the results folder holds.

What today's settings and code would make otherwise is left out and counted.
"""

from workflow_job import job

with job(snakemake):
    from pathlib import Path

    import pandas as pd
    from itables import options, to_html_datatable
    from itables.javascript import generate_init_offline_itables_html

    from ood import tables
    from ood.config import Loader
    from ood.files import atomic

    def sortable(table: pd.DataFrame) -> str:
        # with the library in the page: it is read where there is no network
        library = generate_init_offline_itables_html(options.dt_bundle)
        shown = to_html_datatable(
            table.dropna(axis=1, how="all"),
            connected=False,
            maxBytes=0,
            showIndex=False,
            # also where there are few rows
            layout={"topStart": "pageLength", "topEnd": "search", "bottomEnd": "paging"},
            lengthMenu=[25, 100, 1000],
        )
        # what is shown, not what is sorted by
        return library + shown.replace('[\\"NaN\\",', '[\\"–\\",')

    outputs = {Path(path).name: path for path in snakemake.output}
    asked = [Path(path) for path in snakemake.params.metrics]
    root = Path(snakemake.params.root)
    found = tables.standing(Path("results"), asked, root, snakemake.config)
    metrics = tables.metrics_table(found.metrics)
    summary = tables.summary_table(metrics)
    orders = tables.group_orders(Loader(root, snakemake.config), metrics)
    leaderboard = tables.leaderboard_table(metrics, orders)
    published = pd.read_csv(snakemake.input.published)
    for name, table in (
        ("metrics.csv", metrics),
        ("summary.csv", summary),
        ("leaderboard.csv", leaderboard),
        ("comparisons.csv", tables.comparisons_table(found)),
        ("published.csv", tables.published_table(summary, published)),
        ("costs.csv", tables.costs_table(Path("results"))),
    ):
        tables.save_csv(table, outputs[name])
    with atomic(outputs["overview.html"]) as temporary:
        overview = tables.overview_table(metrics, published)
        temporary.write_text(tables.overview_page(overview, sortable))
    with atomic(outputs["leaderboard.md"]) as temporary:
        temporary.write_text(tables.leaderboard_text(leaderboard, found.left_out))
