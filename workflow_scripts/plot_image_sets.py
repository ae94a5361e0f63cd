"""Rule plot_image_sets: the first images of the ID classes and of every OOD set."""

from ood.images import ImageSet
from ood.plots import grid
from workflow_job import job

COLUMNS = 12

with job(snakemake):
    paths = dict(zip(snakemake.params.datasets, snakemake.input.images, strict=True))
    rows = []
    for name, part in snakemake.params.parts.items():
        chosen = ImageSet.load(paths[part["dataset"]]).select(part["classes"])
        rows.append(("ID" if name == "id" else name, chosen.images[:COLUMNS]))
    grid(snakemake.output[0], rows)
