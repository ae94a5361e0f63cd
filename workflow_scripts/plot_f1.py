"""Rule plot_f1: classifying and rejecting at once, over thresholds, for every method that can."""

import numpy as np
import pandas as pd

from ood import metrics, plots
from ood.tables import save_csv
from score_files import decisions
from workflow_job import job

POINTS = np.linspace(0, 1, 101)

with job(snakemake):
    params, wildcards = snakemake.params, snakemake.wildcards
    tables = []
    for method in params.methods:
        for seed in params.seeds:
            found = decisions(wildcards.benchmark, seed, method, params.parts, wildcards.ood)
            curve = pd.DataFrame(metrics.f1_curve(found, params.classes))
            # thresholds are many, and mean nothing beside another method's
            rows = np.searchsorted(curve["id_accepted"], POINTS).clip(max=len(curve) - 1)
            curve = curve.iloc[np.unique(rows)]
            curve.insert(0, "seed", seed)
            curve.insert(0, "method", method)
            tables.append(curve)
    table = pd.concat(tables)
    save_csv(table, snakemake.output.table)
    plots.f1(snakemake.output.plot, f"{wildcards.benchmark} against {wildcards.ood}", table)
