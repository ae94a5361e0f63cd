"""Rules generate_noise and generate_sphere: noise images in a benchmark's shape."""

import numpy as np

from ood import decode
from ood.images import ImageSet
from workflow_job import job

with job(snakemake):
    params = snakemake.params
    radius = None
    if "train" in snakemake.input.keys():
        train = ImageSet.load(snakemake.input.train).select(params.classes)
        radius = decode.sphere_radius(train.images)
    images = decode.generate_noise(params.noise, tuple(params.shape), radius)
    image_set = ImageSet(images, np.zeros(len(images), np.int64))
    image_set.save(snakemake.output.images)
    image_set.save_manifest(
        snakemake.output.manifest,
        dataset=params.noise,
        split="test",
        classes=None,
        sources={} if radius is None else {"radius": radius},
    )
