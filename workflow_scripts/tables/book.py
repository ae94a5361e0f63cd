"""The book of results, from the studies' committed numbers."""

from support.job import job

with job(snakemake):
    from pathlib import Path

    import pandas as pd

    from ood.files import atomic
    from ood.reports.claims import load_claims, matrix
    from ood.reports.studies import anchor, book, load

    given = snakemake.input
    root = Path(snakemake.params.root)
    studies = [load(root, path) for path in given.studies]
    results = {Path(path).stem: pd.read_csv(path) for path in given.results}
    anchors = {study.about["name"]: anchor(study.about) for study in studies}
    published = pd.read_csv(given.published)
    claims = matrix(load_claims(Path(given.claims)), results, published, anchors)
    with atomic(snakemake.output[0]) as temporary:
        temporary.write_text(book(studies, results, published, claims))
