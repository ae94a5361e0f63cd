"""Rule plot_latents: t-SNE of training images, of ID test images, and of these with OOD images."""

import numpy as np
import torch
from sklearn.manifold import TSNE
from training_job import id_images, machine

from ood import plots
from ood.images import ImageSet, to_tensor, to_unit
from ood.methods import vmdls
from workflow_job import job

SHOWN = 800
SHOWN_OF_AN_OOD_SET = 200

with job(snakemake):
    params = snakemake.params
    loaded = dict(zip(params.datasets, map(ImageSet.load, snakemake.input.sets), strict=True))
    sets = {
        name: loaded[part["dataset"]].select(part["classes"]) for name, part in params.parts.items()
    }
    known = sets.pop("id").renumbered(params.classes).spread(SHOWN)
    with machine(snakemake) as chosen:
        detector = vmdls.load(snakemake.input.detector, chosen)

        def latents(image_set: ImageSet) -> np.ndarray:
            with torch.no_grad():
                batch = to_unit(to_tensor(image_set.images).to(chosen.device))
                return detector.encoder(batch)[0].cpu().numpy()

        training = id_images(snakemake).spread(SHOWN)
        unknown = {name: one.spread(SHOWN_OF_AN_OOD_SET) for name, one in sets.items()}
        found = [latents(one) for one in (training, known, *unknown.values())]
    names = np.array([str(k) for k in params.classes])
    groups = [names[training.labels], names[known.labels]]
    groups += [np.repeat(name, len(one)) for name, one in unknown.items()]
    panels = {
        "training images": (found[0], groups[0]),
        "ID test images": (found[1], groups[1]),
        "with OOD images": (np.concatenate(found[1:]), np.concatenate(groups[1:])),
    }
    planes = {
        title: (
            TSNE(perplexity=30, learning_rate=200, random_state=0).fit_transform(points),
            labels,
        )
        for title, (points, labels) in panels.items()
    }
    wildcards = snakemake.wildcards
    title = f"latents of {wildcards.method} on {wildcards.benchmark}, seed {wildcards.seed}"
    plots.planes(snakemake.output[0], title, planes, list(names))
