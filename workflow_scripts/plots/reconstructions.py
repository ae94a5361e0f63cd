"""Test images of every set above what an auto-encoder makes of them."""

from pictures import place
from workflow_job import job

COLUMNS = 10

with job(snakemake):
    from pathlib import Path

    import torch

    import fitting
    from ood import plots
    from ood.images import to_array, to_tensor, to_unit
    from ood.methods import vmdls
    from ood.training.model_files import TrainedModel

    params, loaded = snakemake.params, fitting.test_images(snakemake)
    with fitting.machine(snakemake) as chosen:
        for name, path in zip(params.names, snakemake.output, strict=True):
            saved = TrainedModel(Path(params.run) / f"seed{params.seeds[0]}" / "models" / name)
            autoencoder = vmdls.restore_autoencoder(**saved.content, compute=chosen)
            rows = []
            for title, part in params.parts.items():
                shown = loaded[part["dataset"]].select(part["classes"]).spread(COLUMNS).images
                with torch.no_grad():
                    found = autoencoder(to_unit(to_tensor(shown).to(chosen.device)))
                rows += [(title, shown), ("reconstructed", to_array(found))]
            plots.grid(path, f"{name} on {place(snakemake, params.seeds[0])}", rows)
