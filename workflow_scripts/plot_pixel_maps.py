"""Rule plot_pixel_maps: log p and the log ratio of every pixel (the paper's figure 3)."""

import numpy as np

from ood import plots
from ood.images import ImageSet, to_tensor, to_unit
from ood.methods import likelihood_ratio
from training_job import machine
from workflow_job import job

SHOWN = 16
CANDIDATES = 1000

with job(snakemake):
    rows = {}
    with machine(snakemake) as chosen:
        detector = likelihood_ratio.load(snakemake.input.detector, chosen)
        for (name, part), path in zip(
            snakemake.params.parts.items(),
            (snakemake.input.known, snakemake.input.unknown),
            strict=True,
        ):
            image_set = ImageSet.load(path).select(part["classes"])
            images = image_set.images[:: max(1, len(image_set) // CANDIDATES)]
            likelihood = likelihood_ratio.image_log_likelihoods(detector.foreground, images, chosen)
            ranks = np.linspace(0, len(images) - 1, SHOWN).astype(int)
            images = images[np.argsort(-likelihood)[ranks]]
            found = detector.pixels(to_unit(to_tensor(images).to(chosen.device)))
            rows[name] = [images, *(one.cpu().numpy() for one in found)]
    known, unknown = rows.values()
    plots.pixel_maps(
        snakemake.output[0],
        f"{snakemake.wildcards.benchmark}: ID above, {snakemake.wildcards.ood} below",
        [known, unknown],
    )
