"""Rules generate_noise and generate_id_noise: noise images in a benchmark's shape."""

import numpy as np

from ood.data import noise
from ood.data.images import ImageSet
from ood.files import load_json
from support.job import job

with job(snakemake):
    params, dataset = snakemake.params, snakemake.wildcards.dataset
    known, sources = None, {}
    if "images" in snakemake.input.keys():
        known = ImageSet.load(snakemake.input.images).select(params.classes).images
        sources = {"images": load_json(snakemake.input.images_manifest)["sha256"]}
    shape = tuple(map(int, snakemake.wildcards.shape.split("x")))
    images = noise.generate_noise(dataset, shape, known)
    image_set = ImageSet(images, np.zeros(len(images), np.int64))
    image_set.save(snakemake.output.images)
    image_set.save_manifest(
        snakemake.output.manifest, dataset=dataset, split="test", classes=None, sources=sources
    )
