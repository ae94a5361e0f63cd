"""Rule prepare_user_images: a user's own images in a benchmark's shape."""

import logging

from ood.data import decode, user_images
from support.job import job

log = logging.getLogger(__name__)

with job(snakemake):
    wildcards, about = snakemake.wildcards, dict(snakemake.params.about)
    found = user_images.read(about)
    shape = tuple(map(int, wildcards.shape.split("x")))
    files = found.splits[wildcards.split]
    image_set, bad = decode.user_pictures(found.roots[wildcards.split], files, shape)
    if bad:
        listed = "\n".join(f"  {one}" for one in bad)
        log.warning("%d of %d pictures cannot be read, left out:\n%s", len(bad), len(files), listed)
    image_set.save(snakemake.output.images)
    image_set.save_manifest(
        snakemake.output.manifest,
        dataset=wildcards.dataset,
        split=wildcards.split,
        classes=found.classes,
        sources=about | {"unreadable": bad},
    )
