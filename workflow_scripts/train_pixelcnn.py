"""Rule train_pixelcnn: a foreground or a background model."""

from ood.methods import likelihood_ratio
from training_job import train_model
from workflow_job import job

with job(snakemake):
    train_model(snakemake, likelihood_ratio.fit)
