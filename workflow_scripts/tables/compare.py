"""Every method's AUROC against its reference method's on the same images (paired DeLong)."""

from ood.evaluation.scores import load_scores
from ood.layout import AGAINST_REFERENCE, Seed
from support.job import job

with job(snakemake, several=True) as work:
    params, wildcards = snakemake.params, snakemake.wildcards
    seed = Seed.containing(snakemake.output[0])
    known = params.parts["id"]
    code = {name: one for name, one in params.items() if name.startswith("code_")}
    found = {}

    def ranking(method: str, part: dict):
        from ood.evaluation import metrics

        if (at := (method, str(part))) not in found:
            pair = (
                load_scores(seed.scores(method, one["dataset"]), one["classes"], ["score"])["score"]
                for one in (known, part)
            )
            found[at] = metrics.Ranking(*pair)
        return found[at]

    for method, reference in params.references.items():
        path = seed.metrics(method, AGAINST_REFERENCE)
        files = [
            seed.scores(one, part["dataset"])
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
