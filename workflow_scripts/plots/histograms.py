"""One method's scores, ID against each OOD set, first seed."""

from support.figure_inputs import Scores, due, place
from support.job import job

with job(snakemake, several=True) as work:
    params = snakemake.params
    scores, seed = Scores(snakemake), params.seeds[0]

    def files(method):
        return scores.files([seed], [method], *scores.parts)

    for method, path, key in due(snakemake, work, files, lambda _: [seed, scores.parts]):
        from ood.evaluation import metrics
        from ood.reports import plots

        by_set = {name: scores(seed, method, name) for name in scores.parts}
        known = by_set.pop("id")
        panels = {n: (known, s, metrics.evaluate(known, s)["auroc"]) for n, s in by_set.items()}
        with work.make(path, key) as temporary:
            plots.histograms(temporary, f"{method} on {place(snakemake, seed)}", panels)
