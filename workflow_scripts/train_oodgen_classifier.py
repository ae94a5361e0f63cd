"""Rule train_oodgen_classifier: the classifier with a reject class."""

from ood.methods import oodgen
from training_job import train_model
from workflow_job import job

with job(snakemake):
    keep = "snapshots" in snakemake.output.keys()

    def fit(settings, image_set, run):
        cvae = oodgen.load_cvae(snakemake.input.vae, run.machine)
        return oodgen.fit_classifier(settings, cvae, image_set, run, snapshots=keep)

    train_model(snakemake, fit)
