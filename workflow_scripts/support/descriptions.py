"""What a detector is, for whoever uses it outside of the workflow; and what its metrics follow
from, for the tables: would today's settings and code make them again?"""

from ood.evaluation.metrics import threshold_at
from ood.evaluation.scores import load_scores
from ood.files import save_json
from ood.layout import ABOUT, MADE_FROM, Seed
from support.job import Work

# what of a job's parameters only the descriptions follow from
ABOUT_DETECTORS = ("made_from", "detector", "precision")


def describe(work: Work, snakemake, seed: Seed) -> None:
    """Write what is not up to date of the two."""
    params, method = snakemake.params, snakemake.wildcards.method
    path, made_from = seed.metrics(method, MADE_FROM, params.suffix), params.made_from
    key = work.key([], made_from)
    if not work.is_up_to_date(path, key):
        with work.make(path, key) as temporary:
            save_json(temporary, made_from)
    if params.suffix:
        return
    about = dict(params.detector)
    path, file = seed.detector(method, ABOUT), seed.scores(method, about["dataset"])
    code = {name: value for name, value in params.items() if name.startswith("code_")}
    key = work.key([file], about, params.precision, code)
    if not work.is_up_to_date(path, key):
        accepted = load_scores(file, about["labels"], ["score"])["score"]
        about |= {"threshold": threshold_at(accepted, 0.95), "precision": params.precision}
        about["scoring_batch"] = snakemake.config["scoring_batch"]
        with work.make(path, key) as temporary:
            save_json(temporary, about)
