"""Every method's AUROC against its reference method's on the same images (paired DeLong)."""

from pathlib import Path

from ood.evaluation.scores import load_scores, score_file
from support.job import job

with job(snakemake, several=True) as work:
    params, wildcards = snakemake.params, snakemake.wildcards
    folder = Path(snakemake.output[0]).parents[2]
    known = params.parts["id"]
    code = {name: one for name, one in params.items() if name.startswith("code_")}
    found = {}

    def ranking(method: str, part: dict):
        from ood.evaluation import metrics

        if (at := (method, str(part))) not in found:
            pair = (
                load_scores(score_file(folder, method, one), one["classes"], ["score"])["score"]
                for one in (known, part)
            )
            found[at] = metrics.Ranking(*pair)
        return found[at]

    for method, reference in params.references.items():
        path = folder / "metrics" / method / "against_reference.json"
        files = [
            score_file(folder, one, part)
            for one in (method, reference)
            for part in params.parts.values()
        ]
        about = {
            "benchmark": wildcards.benchmark,
            "seed": int(wildcards.seed),
            "method": method,
            "reference": reference,
            "made_from": [params.methods[one] for one in (method, reference)],
        }
        key = work.key(files, about, params.parts, code)
        if work.is_up_to_date(path, key):
            continue
        from ood.evaluation import metrics
        from ood.files import save_json

        rows = {
            ood: metrics.auroc_difference(ranking(method, part), ranking(reference, part))
            for ood, part in params.parts.items()
            if ood != "id"
        }
        with work.make(path, key) as temporary:
            save_json(temporary, about | {"ood_sets": rows})
