"""Rule fit_oodgen: a detector, one of the two scores of a classifier with a reject class."""

from ood import classifier as classifiers
from ood import training
from ood.methods import oodgen
from training_job import save_detector
from workflow_job import job

with job(snakemake):
    settings = dict(snakemake.params.settings)
    classifier, classifier_settings = classifiers.load(snakemake.input.classifier)
    state = training.cpu_state(classifier)
    content = {"score": settings["score"], "classifier": classifier_settings, "state": state}
    if "snapshots" in snakemake.input.keys():
        snapshots = training.load_model(snakemake.input.snapshots)
        training.save_model(snakemake.output.snapshots, snapshots)
    size = sum(value.numel() for value in classifier.parameters())
    save_detector(snakemake, content, [state], size, oodgen.record(settings))
