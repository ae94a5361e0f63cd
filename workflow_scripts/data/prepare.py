"""Rule prepare: one split of a dataset in a benchmark's shape, and its manifest."""

from pathlib import Path

from ood.data import decode
from support.job import job

with job(snakemake):
    params = snakemake.params
    image_set, sources = decode.prepare(
        params.decoder,
        params.files,
        params.argument,
        tuple(map(int, snakemake.wildcards.shape.split("x"))),
        params.invert,
        Path(params.folder),
        params.first,
        params.classes and len(params.classes),
    )
    image_set.save(snakemake.output.images)
    image_set.save_manifest(
        snakemake.output.manifest,
        dataset=snakemake.wildcards.dataset,
        split=snakemake.wildcards.split,
        classes=params.classes,
        sources=sources,
    )
