"""Rule train_vmdls_autoencoder: the net whose reconstruction error weighs the scores."""

from ood.methods import vmdls
from training_job import train_model
from workflow_job import job

with job(snakemake):
    train_model(snakemake, vmdls.fit_autoencoder)
