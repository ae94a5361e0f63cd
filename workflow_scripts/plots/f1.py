"""Classifying and rejecting at once, over thresholds, for every method that can."""

from support.figure_inputs import Scores, due_comparisons, place
from support.job import job

POINTS = 101
COLUMNS = ["score", "prediction", "label"]

with job(snakemake, several=True) as work:
    params = snakemake.params
    scores = Scores(snakemake)
    tables = dict(zip(params.names, snakemake.output.tables, strict=True))

    for ood, path, key in due_comparisons(snakemake, work, scores):
        import numpy as np
        import pandas as pd

        from ood.evaluation import open_set
        from ood.reports import plots

        found = []
        for method in params.methods:
            for seed in params.seeds:
                known, unknown = (
                    list(scores.columns(seed, method, name, COLUMNS).values())
                    for name in ("id", ood)
                )
                decisions = open_set.Decisions.joined(known, unknown)
                curve = pd.DataFrame(open_set.f1_curve(decisions, params.classes))
                # thresholds are many, and mean nothing beside another method's
                shares = np.linspace(0, 1, POINTS)
                rows = np.searchsorted(curve["id_accepted"], shares).clip(max=len(curve) - 1)
                curve = curve.iloc[np.unique(rows)]
                curve.insert(0, "seed", seed)
                curve.insert(0, "method", method)
                found.append(curve)
        table = pd.concat(found)
        with work.make(tables[ood], key) as temporary:
            table.to_csv(temporary, index=False)
        with work.make(path, key) as temporary:
            title = f"{place(snakemake)} against {ood}"
            plots.f1(temporary, title, table, plots.styles(params.styled), params.reference)
