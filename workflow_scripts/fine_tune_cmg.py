"""Rule fine_tune_cmg: CMG's second stage, from classifier and CVAE to a detector."""

from ood import classifier as classifiers
from ood import training
from ood.methods import cmg
from training_job import (
    id_images,
    machine,
    save_detector,
    save_history,
    training_run,
)
from workflow_job import job

with job(snakemake):
    settings = dict(snakemake.params.settings)
    classifier, classifier_settings = classifiers.load(snakemake.input.classifier)
    cvae = cmg.load_cvae(snakemake.input.cvae)
    keep = "snapshots" in snakemake.output.keys()
    with machine(snakemake) as chosen:
        run = training_run(snakemake, chosen, snakemake.wildcards.method)
        images = id_images(snakemake)
        trained = cmg.fine_tune(settings, classifier, cvae, images, run, snapshots=keep)
    content = cmg.detector_content(settings, classifier_settings, classifier)
    if keep:
        training.save_model(snakemake.output.snapshots, trained.snapshots)
    size = sum(value.numel() for value in classifier.parameters())
    save_detector(snakemake, content, [content["state"]], size, cmg.record(settings), chosen)
    save_history(snakemake.output.history, trained.history)
    run.checkpoint.unlink()
