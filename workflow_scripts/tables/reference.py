"""The pages of docs/ that follow from the types of settings, recipes and the registry."""

from support.job import job

with job(snakemake):
    from pathlib import Path

    from ood.files import atomic
    from ood.reports import reference

    for path, text in (
        (snakemake.output.configuration, reference.configuration(Path(snakemake.params.root))),
        (snakemake.output.data, reference.data()),
    ):
        with atomic(path) as temporary:
            temporary.write_text(text)
