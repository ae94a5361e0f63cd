"""The metrics of one method on every OOD set of a benchmark, under one protocol."""

from ood.errors import InputError
from ood.evaluation import metrics, open_set
from ood.evaluation.scores import load_about, load_scores
from ood.files import save_json
from ood.layout import Seed
from support.descriptions import ABOUT_DETECTORS, describe
from support.job import job


def best_snapshot(known: dict, unknown: dict) -> str:
    """The suffix of the snapshot with the highest AUROC, the first of equals."""
    suffixes = [name.removeprefix("score") for name in known if name.startswith("score")]
    return max(
        suffixes,
        key=lambda s: metrics.evaluate(known[f"score{s}"], unknown[f"score{s}"])["auroc"],
    )


def seen(tuned_on: str, settings: list[str]) -> str:
    """``tuned_on``, and which settings were chosen when test scores were known."""
    if not settings:
        return tuned_on
    marked = f"{', '.join(settings)} with test scores known"
    return marked if tuned_on == "nothing" else f"{tuned_on}; {marked}"


def evaluate(known: dict, unknown: dict, pair: dict, suffix: str, resamples: int) -> dict:
    """Every metric of one pair.

    :param known: columns of the ID score file; ``unknown`` of the OOD score file
    """
    result = metrics.evaluate(known[f"score{suffix}"], unknown[f"score{suffix}"], resamples)
    predicted = known[f"prediction{suffix}"]
    classifies = bool((predicted >= 0).any())
    if classifies:
        decisions = open_set.Decisions.joined(
            (known[f"score{suffix}"], predicted, known["label"]),
            (unknown[f"score{suffix}"], unknown[f"prediction{suffix}"]),
        )
        result |= open_set.open_set(decisions, pair["id_classes"])
    accuracy = float((predicted == known["label"]).mean()) if classifies else None
    return result | {"id_accuracy": accuracy}


with job(snakemake, several=True) as work:
    params, wildcards = snakemake.params, snakemake.wildcards
    suffix, oracle = params.suffix, params.suffix == ".oracle"
    seed = Seed.of(params.scale, wildcards.benchmark, wildcards.seed)
    aside = ("pairs", *ABOUT_DETECTORS)
    shared = {name: value for name, value in params.items() if name not in aside}
    known, about = None, None
    for ood, pair in params.pairs.items():
        path = seed.metrics(wildcards.method, ood, suffix)
        files = [
            seed.scores(wildcards.method, pair[name], suffix)
            for name in ("id_dataset", "ood_dataset")
        ]
        key = work.key(files, pair, shared)
        if work.is_up_to_date(path, key):
            continue
        if known is None:
            known, about = load_scores(files[0], pair["id_classes"]), load_about(files[0])
        unknown = load_scores(files[1], pair["ood_classes"])
        best = best_snapshot(known, unknown) if oracle else ""
        try:
            result = evaluate(known, unknown, pair, best, params.bootstrap)
        except InputError as error:
            raise InputError(
                f"{error}: ID {files[0]} (classes {pair['id_classes']}), "
                f"OOD {files[1]} (classes {pair['ood_classes']})"
            ) from error
        for side, file in zip(("id", "ood"), files, strict=True):
            what = f"{side.upper()} set"
            if replaced := pair[f"{side}_stand_in_for"]:
                result["flags"].append(f"{what} is a stand-in for {replaced}")
            if bad := load_about(file)["unreadable"]:
                result["flags"].append(f"{what} lacks {bad} unreadable picture{'s' * (bad > 1)}")
        if pair["group"] == "near" and result["auroc"] == 1:
            result["flags"].append("perfect on a near set?")
        result["flags"] += [f"images of {one}" for one in pair["lists"]]
        result["flags"] += about["flags"]
        tuned_on = about["record"]["tuned_on"]
        if tuned_on == pair["validation"] and pair["on_validation_set"]:
            result["flags"].append("tuned on this set")
        row = {
            "benchmark": wildcards.benchmark,
            "seed": int(wildcards.seed),
            "method": wildcards.method,
            "ood_set": ood,
            "group": pair["group"],
            "protocol": suffix.removeprefix(".") or "final",
            "scale": params.scale,
            "tuned_on": "OOD test set" if oracle else seen(tuned_on, params.test_scores_seen),
            "id_dataset": pair["id_dataset"],
            "ood_dataset": pair["ood_dataset"],
            "parameters": about["parameters"],
            "snapshot": best[1:] if oracle else None,
            **result,
        }
        with work.make(path, key) as temporary:
            save_json(temporary, row | {"provenance": work.provenance()})
    describe(work, snakemake, seed)
