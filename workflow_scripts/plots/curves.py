"""What a training run recorded, over its epochs."""

from pathlib import Path

from pictures import due
from workflow_job import job

with job(snakemake, several=True) as work:

    def history(name):
        return Path(snakemake.params.run) / name / "history.csv"

    for name, path, key in due(snakemake, work, lambda name: [history(name)], lambda _: None):
        import pandas as pd

        from ood.plots import curves

        with work.make(path, key) as temporary:
            curves(temporary, pd.read_csv(history(name)))
