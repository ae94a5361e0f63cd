"""Train one model: the function that its module offers for its type under ``MODELS``; or take the
released weights that its settings name."""

import logging

from support.job import job

# images that a trained model is looked at with
SHOWN = 500
log = logging.getLogger(__name__)

with job(snakemake) as work:
    import importlib
    from pathlib import Path

    from ood.config.kinds import settings_of
    from ood.files import save_json, save_rows
    from ood.training.health import flags_of
    from ood.training.model_files import load_weights, save_trained
    from support import model_inputs

    folder = Path(snakemake.output.model).parent
    plain = dict(snakemake.params.settings)
    settings = settings_of("models", plain)
    module = importlib.import_module(snakemake.params.module)
    # before a GPU is taken
    inputs = model_inputs.inputs(snakemake)
    with model_inputs.compute(snakemake) as chosen:
        run = model_inputs.run(snakemake, work, chosen, snakemake.wildcards.model, folder)
        if released := settings.weights:
            network = module.NETWORKS[settings.type](settings)
            trained = load_weights(network, released.file, released.names)
        else:
            train = module.MODELS[settings.type]
            network, trained = train(settings, inputs, run)
        health = trained.health
        last = health.setdefault("last", {})
        if measure := getattr(module, "HEALTH", {}).get(settings.type):
            shown = inputs.images.spread(SHOWN)
            last |= measure(network, settings, shown, chosen)
    name = snakemake.wildcards.model
    mine = [f"{name}: {flag}" for flag in flags_of(last)]
    for flag in mine:
        log.warning(flag)
    flags = [*mine, *inputs.flags()]
    parameters = save_trained(folder, plain, network, trained, flags)
    record = work.provenance() | model_inputs.device(chosen, snakemake.threads)
    kept = {"parameters": parameters, "kept_epoch": trained.kept_epoch}
    kept["best_epoch"] = trained.best_epoch
    kept |= {"health": health, "flags": flags}
    save_json(snakemake.output.config, kept | {"provenance": record})
    save_rows(trained.history, snakemake.output.history)
    for checkpoint in folder.glob("checkpoint*.pt"):
        checkpoint.unlink()
