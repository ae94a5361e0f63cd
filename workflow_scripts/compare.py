"""Rule compare: every method's AUROC against the reference method's on the same images."""

import pandas as pd

from ood import metrics
from ood.tables import save_csv
from score_files import scores
from workflow_job import job

COLUMNS = ["benchmark", "seed", "ood_set", "method", "reference", "auroc_difference"]
COLUMNS += ["auroc_difference_low", "auroc_difference_high", "p_value"]

with job(snakemake):
    params = snakemake.params
    rows = []
    for benchmark, one in params.benchmarks.items():
        for seed in params.seeds:
            for ood, parts in one["parts"].items():
                rankings = {
                    method: metrics.Ranking(*(scores(benchmark, seed, method, p) for p in parts))
                    for method in one["methods"]
                }
                reference = rankings.pop(params.reference)
                for method, ranking in rankings.items():
                    found = metrics.auroc_difference(ranking, reference)
                    values = [benchmark, seed, ood, method, params.reference, *found.values()]
                    rows.append(dict(zip(COLUMNS, values, strict=True)))
    save_csv(pd.DataFrame(rows, columns=COLUMNS), snakemake.output[0])
