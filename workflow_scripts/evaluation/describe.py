"""What each detector is, for whoever uses it outside of the workflow, and what its metrics follow
from, for the tables: would today's settings and code make them again?"""

from ood.evaluation.metrics import threshold_at
from ood.evaluation.scores import load_scores
from ood.files import save_json
from ood.layout import ABOUT, MADE_FROM, Seed
from support.job import job

with job(snakemake, several=True) as work:
    params, wildcards = snakemake.params, snakemake.wildcards
    seed = Seed.of(params.scale, wildcards.benchmark, wildcards.seed)
    code = {name: value for name, value in params.items() if name.startswith("code_")}
    for method, detector in params.detectors.items():
        for suffix in params.suffixes[method]:
            path, made_from = seed.metrics(method, MADE_FROM, suffix), params.made_from[method]
            key = work.key([], made_from)
            if not work.is_up_to_date(path, key):
                with work.make(path, key) as temporary:
                    save_json(temporary, made_from)
        about = detector | params.known
        path = seed.detector(method, ABOUT)
        file = seed.scores(method, about["dataset"])
        key = work.key([file], about, params.precision, code)
        if not work.is_up_to_date(path, key):
            accepted = load_scores(file, about["labels"], ["score"])["score"]
            about |= {"threshold": threshold_at(accepted, 0.95), "precision": params.precision}
            about["scoring_batch"] = snakemake.config["scoring_batch"]
            with work.make(path, key) as temporary:
                save_json(temporary, about)
