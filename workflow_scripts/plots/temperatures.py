"""Score histograms on a test set for every temperature and input step, first seed."""

from support.figure_inputs import Scores, due, place
from support.job import job

with job(snakemake, several=True) as work:
    params = snakemake.params
    scores, seed = Scores(snakemake), params.seeds[0]

    def files(name):
        method, ood = name.split("/")
        return scores.files([seed], [method], "id", ood, suffix=".oracle")

    def about(name):
        return [scores.parts["id"], scores.parts[name.split("/")[1]]]

    for name, path, key in due(snakemake, work, files, about):
        from ood.evaluation import metrics
        from ood.evaluation.scores import snapshot_scores
        from ood.reports import plots

        method, ood = name.split("/")
        known, unknown = (
            snapshot_scores(scores.file(seed, method, n, ".oracle"), scores.parts[n]["classes"])
            for n in ("id", ood)
        )
        panels = {
            choice.replace("temperature_", "T = ").replace("_epsilon_", ", ε = "): (
                known[choice],
                unknown[choice],
                metrics.evaluate(known[choice], unknown[choice])["auroc"],
            )
            for choice in known
        }
        steps = {choice.rpartition("_")[2] for choice in known}
        title = f"{method} on {place(snakemake, seed)} against {ood}"
        with work.make(path, key) as temporary:
            plots.histograms(temporary, title, panels, len(steps))
