"""Which of a user's own images are unknown: every file of a folder set, the most OOD first."""

from ood.layout import Seed
from support.job import job

with job(snakemake, several=True) as work:
    params = snakemake.params
    code = {name: one for name, one in params.items() if name.startswith("code_")}
    seed = Seed.containing(snakemake.output[0])
    for path, (method, ood) in zip(snakemake.output, params.ranked, strict=True):
        known, mine = (seed.scores(method, params.parts[part]["dataset"]) for part in ("id", ood))
        key = work.key([known, mine], params.parts["id"], params.parts[ood], params.classes, code)
        if work.is_up_to_date(path, key):
            continue
        import pandas as pd

        from ood.evaluation.metrics import threshold_at
        from ood.evaluation.scores import load_scores
        from ood.files import save_csv

        accepted = threshold_at(load_scores(known, params.parts["id"]["classes"])["score"], 0.95)
        found = load_scores(mine, params.parts[ood]["classes"])
        names = {-1: ""} | dict(enumerate(params.classes))
        table = pd.DataFrame(
            {
                "file": found["file"],
                "score": found["score"],
                "nearest_class": [names[label] for label in found["prediction"]],
                "unknown": found["score"] > accepted,
            }
        ).sort_values(["score", "file"], ascending=[False, True])
        with work.make(path, key) as temporary:
            save_csv(table, temporary)
