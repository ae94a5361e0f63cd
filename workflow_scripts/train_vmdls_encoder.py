"""Rule train_vmdls_encoder: the metric-learned latent space, from scratch or fine-tuned."""

from ood.methods import vmdls
from training_job import train_model
from workflow_job import job

with job(snakemake):
    start = snakemake.input.get("backbone") or snakemake.input.get("weights") or None
    train_model(snakemake, lambda settings, images, run: vmdls.fit(settings, images, run, start))
