"""Rule train_cmg_cvae: CMG's conditional VAE."""

from ood.methods import cmg
from training_job import train_model
from workflow_job import job

with job(snakemake):
    train_model(snakemake, cmg.fit_cvae)
