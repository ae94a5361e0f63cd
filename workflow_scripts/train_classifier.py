"""Rule train_classifier: the classifier that several methods share."""

from ood import classifier
from training_job import train_model
from workflow_job import job

with job(snakemake):
    train_model(snakemake, classifier.fit)
