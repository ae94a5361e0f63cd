"""The book of results, from the studies' committed numbers."""

from support.job import job

with job(snakemake):
    from pathlib import Path

    import pandas as pd

    from ood.files import atomic
    from ood.reports.studies import book, load

    given = snakemake.input
    root = Path(snakemake.params.root)
    studies = [load(root, path) for path in given.studies]
    results = {Path(path).stem: pd.read_csv(path) for path in given.results}
    with atomic(snakemake.output[0]) as temporary:
        temporary.write_text(book(studies, results, pd.read_csv(given.published)))
