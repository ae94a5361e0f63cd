"""Every method's ROC curve on one OOD set."""

from support.figure_inputs import Scores, due_comparisons, place
from support.job import job

with job(snakemake, several=True) as work:
    params = snakemake.params
    scores = Scores(snakemake)

    for ood, path, key in due_comparisons(snakemake, work, scores):
        from ood.evaluation import metrics
        from ood.reports import plots

        runs = {method: [] for method in params.methods}
        for method, lines in runs.items():
            for seed in params.seeds:
                pair = [scores(seed, method, name) for name in ("id", ood)]
                lines.append((*metrics.roc_curve(*pair), metrics.evaluate(*pair)["auroc"]))
        with work.make(path, key) as temporary:
            title = f"{place(snakemake)} against {ood}"
            plots.roc(temporary, title, runs, plots.styles(params.styled), params.reference)
