"""Rule select_background: every background model's AUROC on the validation sets."""

from pathlib import Path

import numpy as np
import pandas as pd

from ood.images import to_grey
from ood.methods import likelihood_ratio
from ood.tables import save_csv
from training_job import id_images, machine, validation_images
from workflow_job import job

with job(snakemake):
    params = snakemake.params
    count = params.settings["selection_images"]
    with machine(snakemake) as chosen:
        names = [Path(path).parent.name for path in snakemake.input.backgrounds]
        paths = dict(zip(names, snakemake.input.backgrounds, strict=True))
        foreground, settings = likelihood_ratio.load_pixelcnn(snakemake.input.foreground, chosen)
        held_out = likelihood_ratio.split(settings, id_images(snakemake))[1]
        known = held_out.spread(count).images
        if params.settings["validate_on"] == "grey_id":
            unknown = to_grey(known)
        else:
            unknown = validation_images(snakemake).spread(count).images
        images = np.concatenate([known, unknown])

        def log_p(network):
            return likelihood_ratio.image_log_likelihoods(network, images, chosen)

        reference = log_p(foreground)
        rows = []
        for name, path in paths.items():
            network, settings = likelihood_ratio.load_pixelcnn(path, chosen)
            auroc = likelihood_ratio.ratio_auroc(reference, log_p(network), len(known))
            chosen_settings = {key: settings[key] for key in ("mutation_rate", "l2")}
            rows.append({"background": name, **chosen_settings, "auroc": auroc})
    table = pd.DataFrame(rows).sort_values("auroc", ascending=False, kind="stable")
    table["n_id"], table["n_ood"] = len(known), len(images) - len(known)
    save_csv(table, snakemake.output[0])
