"""Rule train_oodgen_cvae: OODGen's conditional VAE."""

from ood.methods import oodgen
from training_job import train_model
from workflow_job import job

with job(snakemake):
    train_model(snakemake, oodgen.fit_cvae)
