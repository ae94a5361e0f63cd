"""Rule fit_likelihood_ratio: a detector from the foreground and the chosen background model."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from ood import training
from ood.methods import likelihood_ratio
from training_job import save_detector
from workflow_job import job

with job(snakemake):
    settings = dict(snakemake.params.settings)
    paths = {"foreground": Path(snakemake.input.foreground)}
    record = likelihood_ratio.record(settings)
    if "backgrounds" in settings:
        best = pd.read_csv(snakemake.input.selection)["background"].iloc[0]
        paths["background"] = next(
            path for path in map(Path, snakemake.input.backgrounds) if path.parent.name == best
        )
        record = replace(record, tuned_on=snakemake.params.validation)
    content = {part: training.load_model(path) for part, path in paths.items()}
    snapshots = {
        part: training.load_model(path.with_name("snapshots.pt")) for part, path in paths.items()
    }
    shared = set.intersection(*(set(one) for one in snapshots.values()))
    training.save_model(
        snakemake.output.snapshots,
        {step: {part: one[step] for part, one in snapshots.items()} for step in sorted(shared)},
    )
    states = [one["state"] for one in content.values()]
    size = sum(value.numel() for state in states for value in state.values())
    save_detector(snakemake, content, states, size, record)
