"""Rule plot_image_sets: the first images of the ID classes and of every OOD set."""

from ood.images import ImageSet
from ood.plots import grid
from workflow_job import job

COLUMNS = 12

with job(snakemake):
    layout = snakemake.params.layout
    paths = dict(zip(snakemake.params.datasets, snakemake.input.images, strict=True))
    rows = []
    for name, part in [("ID", layout["id"]), *layout["ood"].items()]:
        chosen = ImageSet.load(paths[part["dataset"]]).select(part["classes"])
        rows.append((name, chosen.images[:COLUMNS]))
    grid(snakemake.output[0], rows)
