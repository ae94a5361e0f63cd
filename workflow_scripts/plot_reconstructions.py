"""Rule plot_reconstructions: test images of every set above what an auto-encoder makes of them."""

import torch

from ood import plots, training
from ood.images import ImageSet, to_array, to_tensor, to_unit
from ood.methods import vmdls
from training_job import machine
from workflow_job import job

COLUMNS = 10

with job(snakemake):
    params = snakemake.params
    loaded = dict(zip(params.datasets, map(ImageSet.load, snakemake.input.sets), strict=True))
    content = training.load_model(snakemake.input.model)
    rows = []
    with machine(snakemake) as chosen:
        autoencoder = vmdls.restore_autoencoder(**content, machine=chosen)
        for name, part in params.parts.items():
            shown = loaded[part["dataset"]].select(part["classes"]).spread(COLUMNS).images
            with torch.no_grad():
                found = autoencoder(to_unit(to_tensor(shown).to(chosen.device)))
            rows += [(name, shown), ("reconstructed", to_array(found))]
    plots.grid(snakemake.output[0], rows)
