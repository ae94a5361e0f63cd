"""AUROC on the validation sets for every temperature and input step."""

from pathlib import Path

from support.figure_inputs import due, place
from support.job import job

with job(snakemake, several=True) as work:

    def file(name):
        return Path(snakemake.params.run) / f"{name}.csv"

    for name, path, key in due(snakemake, work, lambda name: [file(name)], lambda _: None):
        import pandas as pd

        from ood.reports import plots

        seed, _, method, _ = name.split("/")
        where = place(snakemake, int(seed.removeprefix("seed")))
        with work.make(path, key) as temporary:
            title = f"{method} on the validation sets\n{where}"
            plots.calibration(temporary, title, pd.read_csv(file(name)))
