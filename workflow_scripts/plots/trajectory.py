"""AUROC on one OOD set at every snapshot of training."""

from support.figure_inputs import Scores, due_comparisons, place
from support.job import job

with job(snakemake, several=True) as work:
    params = snakemake.params
    scores = Scores(snakemake)

    for ood, path, key in due_comparisons(snakemake, work, scores, ".oracle"):
        from ood.evaluation import metrics
        from ood.evaluation.scores import snapshot_scores
        from ood.reports import plots

        lines = {method: [] for method in params.methods}
        for method, found in lines.items():
            for seed in params.seeds:
                known, unknown = (
                    snapshot_scores(
                        scores.file(seed, method, name, ".oracle"), scores.parts[name]["classes"]
                    )
                    for name in ("id", ood)
                )
                aurocs = [metrics.evaluate(known[step], unknown[step])["auroc"] for step in known]
                found.append((list(map(int, known)), aurocs))
        with work.make(path, key) as temporary:
            title = f"{place(snakemake)} against {ood}"
            plots.trajectory(temporary, title, lines, plots.styles(params.styled))
