"""Rule fit_gaussians: a detector from the encoder and one pass over the training images."""

from dataclasses import asdict

from ood import training
from ood.methods import vmdls
from training_job import id_images, machine, save_config
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
        training.save_model(snakemake.output.detector, content | {"statistics": statistics})
        networks = [one for one in (encoder, autoencoder) if one is not None]
        save_config(
            snakemake,
            snakemake.output.config,
            sum(value.numel() for one in networks for value in one.parameters()),
            chosen,
            sha256=training.state_digest(
                {"means": statistics["means"], "factors": statistics["factors"]}
            ),
            record=asdict(vmdls.record(settings)),
            dimensions=statistics["means"].shape[1],
            kept_parts=statistics["kept"],
            added_to_variances=statistics["added"],
            shrinkage=settings["shrinkage"],
        )
