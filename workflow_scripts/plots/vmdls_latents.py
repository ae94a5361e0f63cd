"""t-SNE of the latents of training images, of ID test images, and of these with OOD images."""

from support.figure_inputs import place
from support.job import job

SHOWN = 800
SHOWN_OF_AN_OOD_SET = 200

with job(snakemake):
    import numpy as np
    import torch
    from sklearn.manifold import TSNE

    from ood.data.images import ImageSet, to_tensor, to_unit
    from ood.layout import Seed
    from ood.methods import vmdls
    from ood.reports import image_plots
    from ood.training.model_files import load_model
    from support import model_inputs

    params, seed = snakemake.params, snakemake.params.seeds[0]
    loaded = model_inputs.test_images(snakemake)
    sets = {
        name: loaded[part["dataset"]].select(part["classes"]) for name, part in params.parts.items()
    }
    known = sets.pop("id").renumbered(params.classes).spread(SHOWN)
    training = model_inputs.training_images(snakemake).spread(SHOWN)
    unknown = {name: one.spread(SHOWN_OF_AN_OOD_SET) for name, one in sets.items()}
    names = np.array([str(k) for k in params.classes])
    groups = [names[training.labels], names[known.labels]]
    groups += [np.repeat(name, len(one)) for name, one in unknown.items()]

    def plane(points: np.ndarray) -> np.ndarray:
        return TSNE(perplexity=30, learning_rate=200, random_state=0).fit_transform(points)

    with model_inputs.compute(snakemake) as chosen:
        for method, path in zip(params.names, snakemake.output, strict=True):
            detector = vmdls.load(
                load_model(Seed(f"{params.run}/seed{seed}").detector(method)), chosen
            )

            def latents(image_set: ImageSet, detector=detector) -> np.ndarray:
                with torch.no_grad():
                    batch = to_unit(to_tensor(image_set.images).to(chosen.device))
                    return detector.representation.extractor.encoder(batch)[0].cpu().numpy()

            found = [latents(one) for one in (training, known, *unknown.values())]
            planes = {
                "training images": (plane(found[0]), groups[0]),
                "ID test images": (plane(found[1]), groups[1]),
                "with OOD images": (plane(np.concatenate(found[1:])), np.concatenate(groups[1:])),
            }
            title = f"latents of {method} on {place(snakemake, seed)}"
            image_plots.planes(path, title, planes, list(names))
