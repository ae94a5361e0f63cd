"""Generate pseudo-OOD images to keep, to look at and, as the ``test`` set, to test with."""

from support.job import job

with job(snakemake) as work:
    import importlib
    from pathlib import Path

    from ood.reports import image_plots
    from support import model_inputs

    output, folder = snakemake.output, Path(snakemake.output.grid).parent
    method = importlib.import_module(snakemake.params.module)
    settings = method.GENERATED_FROM.read(dict(snakemake.params.settings))
    # before a GPU is taken
    inputs = model_inputs.inputs(snakemake)
    with model_inputs.compute(snakemake) as chosen:
        run = model_inputs.run(snakemake, work, chosen, folder.name, folder)
        made = method.generate(settings, inputs, run)
    for name, image_set in made.sets.items():
        image_set.save(output[name])
    if "manifest" in output.keys():
        made.sets["test"].save_manifest(
            output.manifest, dataset=folder.name, split="test", classes=made.kinds, sources={}
        )
    wildcards, scale = snakemake.wildcards, snakemake.config["scale"]
    title = f"{folder.name} on {wildcards.benchmark} ({scale}, seed {wildcards.seed})"
    image_plots.grid(output.grid, title, made.rows, made.heads)
    if made.latents:
        image_plots.latents(output.latents, **made.latents)
