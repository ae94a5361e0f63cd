"""Rule fit_leave_out: a detector from the members and the best temperature and input step."""

from dataclasses import asdict

import pandas as pd

from ood import training
from ood.methods import leave_out
from training_job import machine, save_config
from workflow_job import job

with job(snakemake):
    settings = dict(snakemake.params.settings)
    members = [training.load_model(path) for path in snakemake.input.members]
    best = pd.read_csv(snakemake.input.calibration).iloc[0]
    choice = {name: float(best[name]) for name in ("temperature", "epsilon")}
    content = {"members": members, "perturbation": settings["perturbation"], **choice}
    training.save_model(snakemake.output.detector, content)
    training.save_model(snakemake.output.snapshots, leave_out.choices(settings))
    states = {
        f"{number}.{name}": value
        for number, member in enumerate(members)
        for name, value in member["state"].items()
    }
    with machine(snakemake) as chosen:
        save_config(
            snakemake,
            snakemake.output.config,
            sum(value.numel() for value in states.values()),
            chosen,
            sha256=training.state_digest(states),
            record=asdict(leave_out.record(settings)) | {"tuned_on": snakemake.params.validation},
            **choice,
        )
