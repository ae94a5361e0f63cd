"""Rule fit_gaussians: a detector from the encoder and one pass over the training images."""

from ood import training
from ood.methods import vmdls
from training_job import id_images, machine, save_detector
from workflow_job import job

with job(snakemake):
    settings = dict(snakemake.params.settings)
    content = {"encoder": training.load_model(snakemake.input.encoder), "autoencoder": None}
    if "autoencoder" in settings:
        content["autoencoder"] = training.load_model(snakemake.input.autoencoder)
    with machine(snakemake) as chosen:
        encoder = vmdls.restore(**content["encoder"], machine=chosen)
        autoencoder = None
        if "autoencoder" in settings:
            autoencoder = vmdls.restore_autoencoder(**content["autoencoder"], machine=chosen)
        statistics = vmdls.fit_detector(
            settings, encoder, autoencoder, id_images(snakemake), chosen
        )
    networks = [one for one in (encoder, autoencoder) if one is not None]
    save_detector(
        snakemake,
        content | {"statistics": statistics},
        [content["encoder"]["state"], {name: statistics[name] for name in ("means", "factors")}],
        sum(value.numel() for one in networks for value in one.parameters()),
        vmdls.record(settings),
        chosen,
        dimensions=statistics["means"].shape[1],
        kept_parts=statistics["kept"],
        added_to_variances=statistics["added"],
        shrinkage=settings["shrinkage"],
    )
