"""Rule plot_curves: what a training run recorded, over its epochs."""

import pandas as pd

from ood.plots import curves
from workflow_job import job

with job(snakemake):
    curves(snakemake.output[0], pd.read_csv(snakemake.input[0]))
