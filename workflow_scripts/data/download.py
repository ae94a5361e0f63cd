"""Rule download: one raw file."""

from pathlib import Path

from ood.data.download import download
from support.job import job

with job(snakemake):
    download(
        snakemake.wildcards.dataset,
        snakemake.wildcards.file,
        Path(snakemake.output[0]),
        snakemake.config["mirrors"],
    )
