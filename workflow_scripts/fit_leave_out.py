"""Rule fit_leave_out: a detector from the members and the best temperature and input step."""

from dataclasses import replace

import pandas as pd

from ood import training
from ood.methods import leave_out
from training_job import manifests, save_detector
from workflow_job import job

with job(snakemake):
    settings = dict(snakemake.params.settings)
    members = [training.load_model(path) for path in snakemake.input.members]
    best = pd.read_csv(snakemake.input.calibration).iloc[0]
    choice = {name: float(best[name]) for name in ("temperature", "epsilon")}
    content = {"members": members, "perturbation": settings["perturbation"], **choice}
    training.save_model(snakemake.output.snapshots, leave_out.choices(settings))
    save_detector(
        snakemake,
        content,
        [member["state"] for member in members],
        sum(one["parameters"] for one in manifests(snakemake).values()),
        replace(leave_out.record(settings), tuned_on=snakemake.params.validation),
        **choice,
    )
