"""Test images of every set above what an auto-encoder makes of them."""

from support.figure_inputs import place
from support.job import job

COLUMNS = 10

with job(snakemake):
    import torch

    from ood.data.images import to_array, to_tensor, to_unit
    from ood.layout import Seed
    from ood.methods import vmdls
    from ood.reports import image_plots
    from ood.training.model_files import TrainedModel
    from support import model_inputs

    params, loaded = snakemake.params, model_inputs.test_images(snakemake)
    with model_inputs.compute(snakemake) as chosen:
        for name, path in zip(params.names, snakemake.output, strict=True):
            saved = TrainedModel(Seed(f"{params.run}/seed{params.seeds[0]}").model_folder(name))
            autoencoder = vmdls.restore_autoencoder(saved.content, chosen)
            rows = []
            for title, part in params.parts.items():
                shown = loaded[part["dataset"]].select(part["classes"]).spread(COLUMNS).images
                with torch.no_grad():
                    found = autoencoder(to_unit(to_tensor(shown).to(chosen.device)))
                rows += [(title, shown), ("reconstructed", to_array(found))]
            image_plots.grid(path, f"{name} on {place(snakemake, params.seeds[0])}", rows)
