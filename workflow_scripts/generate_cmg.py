"""Rule generate_cmg: pseudo-OOD images to keep and to look at."""

import numpy as np
import torch

from ood.images import ImageSet, to_array, to_bytes
from ood.methods import cmg
from ood.plots import grid
from ood.training import derive_seed
from workflow_job import job

COUNT = 512

with job(snakemake):
    sigma = snakemake.params.sigma
    cvae = cmg.load_cvae(snakemake.input.cvae)
    torch.manual_seed(derive_seed(snakemake.wildcards.seed, snakemake.wildcards.method, "samples"))
    images, pairs = cmg.generate(cvae, COUNT, sigma)
    # the label is the pair of mixed classes: first * K + second
    labels = (pairs[:, 0] * cvae.n_classes + pairs[:, 1]).numpy().astype(np.int64)
    ImageSet(to_array(to_bytes(images)), labels).save(snakemake.output.samples)
    rows = cmg.sample_gallery(cvae, sigma)
    grid(snakemake.output.grid, [(title, to_array(to_bytes(row))) for title, row in rows])
