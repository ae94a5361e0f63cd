"""What a training run recorded, over its epochs."""

from pathlib import Path

from support.figure_inputs import due, place
from support.job import job

with job(snakemake, several=True) as work:

    def history(name):
        return Path(snakemake.params.run) / name / "history.csv"

    for name, path, key in due(snakemake, work, lambda name: [history(name)], lambda _: None):
        import pandas as pd

        from ood.reports.plots import curves

        with work.make(path, key) as temporary:
            seed, _, model = name.split("/")
            where = place(snakemake, int(seed.removeprefix("seed")))
            curves(temporary, f"{model} on {where}", pd.read_csv(history(name)))
