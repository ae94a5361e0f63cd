"""Images spread over the ID classes and of every OOD set."""

from support.job import job

COLUMNS = 12

with job(snakemake):
    import numpy as np

    from ood.data.images import ImageSet
    from ood.reports.image_plots import grid

    paths = dict(zip(snakemake.params.datasets, snakemake.input.sets, strict=True))
    rows = []
    for name, part in snakemake.params.parts.items():
        chosen = ImageSet.load(paths[part["dataset"]]).select(part["classes"])
        spread = np.linspace(0, len(chosen) - 1, COLUMNS).astype(int)
        rows.append(("ID" if name == "id" else name, chosen.images[spread]))
    grid(snakemake.output[0], f"test images of {snakemake.wildcards.benchmark}", rows)
