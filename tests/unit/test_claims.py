"""What holds of the papers' claims follows from the studies' numbers by a rule."""

import math
from pathlib import Path

import pandas as pd
import pytest

from ood.config.contents import PublishedClaim
from ood.errors import InputError
from ood.reports.claims import evidence, in_short, load_claims, matrix

ROOT = Path(__file__).parents[2]
CLAIMS = load_claims(ROOT / "docs" / "claims.yaml")
RESULTS = {path.stem: pd.read_csv(path) for path in (ROOT / "studies/results").glob("*.csv")}
PUBLISHED = pd.DataFrame(
    [
        ("b", "ours", "x", "auroc", 0.5, "verified"),
        ("b", "ours", "y", "auroc", 0.75, "verified"),
        ("b", "ours", "z", "auroc", 0.9, "verified"),
        ("b", "ours", "x", "auroc", 0.99, "recalled from memory"),
        ("b", "theirs", "x", "auroc", 0.1, "verified"),
    ],
    columns=["benchmark", "method", "ood_set", "metric", "published", "confidence"],
)


def study(**intervals):
    """A study of one seed: by OOD set, the ends of the paired interval."""
    rows = []
    for name, (low, high) in intervals.items():
        of_reference = {"reference": None, "difference_low": math.nan, "difference_high": math.nan}
        of_ours = {"reference": "theirs", "difference_low": low, "difference_high": high}
        middle = (low + high) / 2
        rows += [
            {"method": "theirs", "ood_set": name, "mean": 0.5} | of_reference,
            {"method": "ours", "ood_set": name, "mean": 0.5 + middle} | of_ours,
        ]
    found = pd.DataFrame(rows).assign(benchmark="b", protocol="final", measure="auroc", seeds=1)
    return found.assign(sd=math.nan, low=0.4, high=0.6, flags=None)


def claim(**changes):
    plain = {"paper": "P", "says": "ours is better", "method": "ours", "than": "theirs"}
    return PublishedClaim.model_validate(plain | {"studies": {"quick": ["s"]}} | changes)


BETTER, WORSE, LEVEL = (0.01, 0.03), (-0.03, -0.01), (-0.01, 0.01)


@pytest.mark.parametrize(
    ("sets", "verdict"),
    [
        ({"x": BETTER, "y": BETTER}, "holds"),
        ({"x": BETTER, "y": LEVEL}, "in part"),
        ({"x": BETTER, "y": WORSE}, "in part"),
        ({"x": LEVEL, "y": WORSE}, "does not hold"),
        ({"x": WORSE}, "does not hold"),
        ({"x": LEVEL, "y": LEVEL}, "cannot be said"),
    ],
)
def test_the_verdict_follows_from_the_intervals(sets, verdict):
    assert evidence(claim(), "quick", {"s": study(**sets)}).verdict() == verdict


def test_only_the_claim_s_sets_count():
    results = {"s": study(x=BETTER, y=WORSE)}
    assert evidence(claim(sets=["b/x"]), "quick", results).verdict() == "holds"
    with pytest.raises(InputError, match=r"P, 'ours is better': s has no numbers .* on b/z"):
        evidence(claim(sets=["b/x", "b/z"]), "quick", results)
    with pytest.raises(InputError, match="on the same set"):
        evidence(claim(method="none"), "quick", results)


def row(claims, results):
    (line,) = [
        line
        for line in matrix(claims, results, PUBLISHED, {"s": "#s", "t": "#t"}).splitlines()
        if line.startswith("| P ")
    ]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_of_one_set_has_its_interval_and_a_row_of_several_their_span():
    assert row([claim()], {"s": study(x=BETTER)})[2:] == [
        "holds, one seed", "+2.0 [+1.0, +3.0]; 1 seed", "not run", "50.0", "`ours` – `theirs`",
        "[s](#s)",
    ]  # fmt: skip
    several = row([claim()], {"s": study(x=BETTER, y=WORSE).assign(seeds=3)})
    assert several[2:6] == [
        "in part", "-2.0 to +2.0; better on 1 of 2 sets, worse on 1; 3 seeds", "not run",
        "50.0 to 75.0",
    ]  # fmt: skip


def test_the_largest_healthy_scale_decides_and_what_weakens_it_is_said():
    both = claim(studies={"quick": ["s"], "paper": ["t"]})
    assert row([both], {"s": study(x=BETTER), "t": study(x=WORSE)})[2] == "does not hold, one seed"
    dead = study(x=WORSE).assign(flags="cvae: 100% of a layer's units are dead")
    found = row([both], {"s": study(x=BETTER), "t": dead})
    assert found[2] == "holds, one seed"
    assert found[3] == "+2.0 [+1.0, +3.0]; 1 seed"
    assert found[4] == "-2.0 [-3.0, -1.0]; 1 seed; flagged"
    assert row([both], {"t": dead})[2] == "does not hold, one seed, flagged"
    assert row([both], {"s": study(x=BETTER)})[2] == "holds, one seed"
    assert row([both], {})[2] == "not run"


def test_readme_says_what_the_table_says():
    assert in_short(CLAIMS, RESULTS) in (ROOT / "README.md").read_text()


def test_every_claim_has_studies_that_are_there():
    studies = {path.stem for path in (ROOT / "studies").glob("*.yaml")}
    for one in CLAIMS:
        assert {name for names in one.studies.values() for name in names} <= studies
