"""The most and the least OOD images of a user's own set, for one method, first seed."""

from support.figure_inputs import Scores, due, place
from support.job import job

COUNT, COLUMNS = 24, 12

with job(snakemake, several=True) as work:
    params = snakemake.params
    scores, seed = Scores(snakemake), params.seeds[0]
    images = dict(zip(params.datasets, snakemake.input.sets, strict=True))
    manifests = dict(zip(params.datasets, snakemake.input.manifests, strict=True))

    def files(name):
        ood, method = name.split("/")
        return [scores.file(seed, method, ood), manifests[scores.parts[ood]["dataset"]]]

    def about(name):
        return [seed, scores.parts[name.split("/")[0]]]

    for name, path, key in due(snakemake, work, files, about):
        import numpy as np

        from ood.data.images import ImageSet
        from ood.reports.image_plots import grid

        ood, method = name.split("/")
        part = scores.parts[ood]
        mine = ImageSet.load(images[part["dataset"]]).select(part["classes"]).images
        order = np.argsort(-scores(seed, method, ood), kind="stable")
        rows = []
        for title, chosen in (("most OOD", order[:COUNT]), ("least OOD", order[::-1][:COUNT])):
            for start in range(0, len(chosen), COLUMNS):
                rows.append((title * (not start), mine[chosen[start : start + COLUMNS]]))
        with work.make(path, key) as temporary:
            grid(temporary, f"{ood} by {method} on {place(snakemake, seed)}", rows)
