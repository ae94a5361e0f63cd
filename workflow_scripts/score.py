"""Rules score and score_snapshots: a detector on every test image of a dataset."""

import importlib

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ood import detector as detectors
from ood import training
from ood.files import atomic
from ood.images import ImageSet
from training_job import machine
from workflow_job import job

with job(snakemake):
    # named by a parameter, so that a rule's code hash holds one method's file, not all
    method = importlib.import_module(f"ood.methods.{snakemake.params.pipeline}")
    image_set = ImageSet.load(snakemake.input.images)
    classes = torch.tensor([*snakemake.params.classes, -1])
    columns = {
        "index": pa.array(range(len(image_set)), pa.int64()),
        "label": image_set.labels,
    }
    with machine(snakemake) as chosen:
        detector = method.load(snakemake.input.detector, chosen)
        by_suffix = {"": detector}
        if "snapshots" in snakemake.input.keys():
            snapshots = training.load_model(snakemake.input.snapshots)
            by_suffix = {
                f"_{step}": method.at_snapshot(detector, state) for step, state in snapshots.items()
            }
        scored = detectors.run(by_suffix, image_set, chosen, snakemake.config["scoring_batch"])
    for suffix, (scores, predicted) in scored.items():
        columns[f"prediction{suffix}"] = classes[predicted].numpy()
        columns[f"score{suffix}"] = scores
    with atomic(snakemake.output[0]) as temporary:
        pq.write_table(pa.table(columns), temporary)
