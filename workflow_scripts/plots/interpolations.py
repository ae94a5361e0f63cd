"""For each class two ID images, what OODGen's VAE makes of them, and of the latents between."""

from support.figure_inputs import place
from support.job import job

STEPS = 6

with job(snakemake):
    import torch

    from ood.data.images import to_array, to_unit
    from ood.layout import Seed
    from ood.methods import oodgen
    from ood.reports import image_plots
    from ood.training.batches import tensors
    from ood.training.model_files import TrainedModel, restore
    from support import model_inputs

    params = snakemake.params
    images, labels = tensors(model_inputs.training_images(snakemake))
    shares = torch.linspace(0, 1, STEPS)[:, None]
    heads = ["image", *(f"{share:.0%}" for share in shares.flatten().tolist()), "image"]
    with model_inputs.compute(snakemake) as chosen:
        for name, path in zip(params.names, snakemake.output, strict=True):
            saved = TrainedModel(Seed(f"{params.run}/seed{params.seeds[0]}").model_folder(name))
            cvae = restore(oodgen.build_cvae, saved.content, chosen)
            rows = []
            for k, label in enumerate(params.classes):
                pair = to_unit(images[labels == k][[0, -1]].to(chosen.device))
                one_hot = torch.full((2,), k, device=chosen.device)
                with torch.no_grad():
                    first, last = cvae.encode(pair, one_hot)[0]
                    between = torch.lerp(first, last, shares.to(chosen.device))
                    drawn = cvae.decode(between, cvae.one_hot(one_hot[:1]).expand(STEPS, -1))
                strip = torch.cat([pair[:1], drawn, pair[1:]])
                rows.append((f"class {label}", to_array(strip)))
            title = f"{name} on {place(snakemake, params.seeds[0])}"
            image_plots.grid(path, title, rows, heads)
