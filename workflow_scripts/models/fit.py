"""Fit one detector: the function ``fit`` of its pipeline's module."""

from support.job import job

with job(snakemake) as work:
    import importlib
    from dataclasses import asdict
    from pathlib import Path

    from ood.config.kinds import settings_of
    from ood.files import checksum, save_json, save_rows
    from ood.training.model_files import save_model
    from support import model_inputs

    output, folder = snakemake.output, Path(snakemake.output.detector).parent
    plain = dict(snakemake.params.settings)
    method = importlib.import_module(snakemake.params.module)
    # the validation protocol takes every model as it was in its best epoch
    best = bool(snakemake.wildcards.get("chosen"))
    # before a GPU is taken
    settings, inputs = settings_of("methods", plain), model_inputs.inputs(snakemake, best)
    with model_inputs.compute(snakemake) as chosen:
        run = model_inputs.run(snakemake, work, chosen, snakemake.wildcards.method, folder)
        fitted = method.fit(settings, inputs, run)
    save_model(output.detector, fitted.content)
    save_model(output.snapshots, fitted.snapshots)
    record = work.provenance() | model_inputs.device(chosen, snakemake.threads)
    known = {"record": asdict(fitted.record), "parameters": fitted.parameters}
    known |= {"flags": [*fitted.flags, *inputs.flags()], **fitted.facts}
    # that it is this method's, and this detector's
    known |= {"settings": plain, "detector": checksum(output.detector)}
    save_json(output.config, known | {"provenance": record})
    if fitted.history is not None:
        save_rows(fitted.history, output.history)
    for name, rows in fitted.tables.items():
        save_rows(rows, output[name])
    run.checkpoint.unlink(missing_ok=True)
