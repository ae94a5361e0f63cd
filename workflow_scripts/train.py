"""Train one model: the function that its module offers for its type under ``MODELS``."""

from workflow_job import job

with job(snakemake) as work:
    import importlib
    from pathlib import Path

    import fitting
    from ood.files import save_json, save_rows
    from ood.training import save_trained

    folder = Path(snakemake.output.model).parent
    settings = dict(snakemake.params.settings)
    fit = importlib.import_module(snakemake.params.module).MODELS[settings["type"]]
    with fitting.machine(snakemake) as chosen:
        run = fitting.run(snakemake, work, chosen, snakemake.wildcards.model, folder)
        network, trained = fit(settings, fitting.inputs(snakemake), run)
    parameters = save_trained(folder, settings, network, trained)
    record = work.lineage() | fitting.device(chosen, snakemake.threads)
    kept = {"parameters": parameters, "kept_epoch": trained.kept_epoch}
    kept["best_epoch"] = trained.best_epoch
    save_json(snakemake.output.config, kept | {"lineage": record})
    save_rows(trained.history, snakemake.output.history)
    for checkpoint in folder.glob("checkpoint*.pt"):
        checkpoint.unlink()
