"""log p and the log ratio of every pixel (figure 3 of the paper on likelihood ratios)."""

from support.figure_inputs import place
from support.job import job

SHOWN = 16
CANDIDATES = 1000

with job(snakemake):
    import numpy as np

    from ood.data.images import to_tensor, to_unit
    from ood.layout import Seed
    from ood.methods import likelihood_ratio
    from ood.reports import image_plots
    from ood.training.model_files import load_model
    from support import model_inputs

    params, loaded = snakemake.params, model_inputs.test_images(snakemake)
    seed = Seed(f"{params.run}/seed{params.seeds[0]}")
    with model_inputs.compute(snakemake) as chosen:
        detectors, maps = {}, {}

        def load(method: str):
            if method not in detectors:
                content = load_model(seed.detector(method))
                detectors[method] = likelihood_ratio.load(content, chosen)
            return detectors[method]

        def rows(method: str, name: str) -> list[np.ndarray]:
            """Images at equal ranks from the most to the least likely, and their pixels."""
            if (method, name) not in maps:
                detector, part = load(method), params.parts[name]
                image_set = loaded[part["dataset"]].select(part["classes"])
                images = image_set.images[:: max(1, len(image_set) // CANDIDATES)]
                network = detector.foreground.extractor.network
                likelihood = likelihood_ratio.image_log_likelihoods(network, images, chosen)
                ranks = np.linspace(0, len(images) - 1, SHOWN).astype(int)
                images = images[np.argsort(-likelihood)[ranks]]
                found = detector.pixels(to_unit(to_tensor(images).to(chosen.device)))
                maps[method, name] = [images, *(one.cpu().numpy() for one in found)]
            return maps[method, name]

        for name, path in zip(params.names, snakemake.output, strict=True):
            method, ood = name.split("/")
            where = place(snakemake, params.seeds[0])
            title = f"{method} on {where}: ID above, {ood} below"
            image_plots.pixel_maps(path, title, [rows(method, "id"), rows(method, ood)])
