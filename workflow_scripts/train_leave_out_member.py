"""Rule train_leave_out_member: a classifier that leaves out one group of classes."""

from ood.methods import leave_out
from training_job import train_model, validation_images
from workflow_job import job

with job(snakemake):
    validation = validation_images(snakemake)
    train_model(
        snakemake,
        lambda settings, images, run: leave_out.fit_member(settings, images, validation, run),
    )
