"""Studies: their files plan, their numbers are kept as measured, the book holds nothing else."""

import math
import re
from pathlib import Path

import pandas as pd
import pytest
from scipy.stats import t

from ood.config.benchmarks import Loader
from ood.config.yaml_files import load_yaml
from ood.errors import InputError
from ood.reports import claims, studies
from support.jobs import Jobs
from support.plan import Plan

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "studies").glob("*.yaml"))
RESULTS = {path.stem: pd.read_csv(path) for path in (ROOT / "studies/results").glob("*.csv")}
PUBLISHED = pd.read_csv(ROOT / "benchmarks/published.csv")
RUN = {"scale": "smoke", "precision": "float32", "revision": "abc", "machine": "m, 2 cores"}
ABOUT = {"name": "s", "title": "T's own", "question": "Q?", "finding": "F. G."}
ABOUT |= {"measures": ["auroc"]}
STAND_INS = {"notmnist": "notmnist_sample"}


def make_study(**changes):
    """Of MSP and energy on Fashion-MNIST, with a stand-in for notMNIST."""
    config = load_yaml(ROOT / "config.yaml") | {"benchmarks": ["fashion_mnist"]}
    config |= {"methods": ["msp", "energy"], "stand_ins": {}} | changes
    return studies.Study(ABOUT, Loader(ROOT, config).benchmarks())


def metrics(*rows):
    """Of (method, OOD set, protocol, seed, AUROC)."""
    columns = ["method", "ood_set", "protocol", "seed", "auroc"]
    table = pd.DataFrame(rows, columns=columns).assign(benchmark="fashion_mnist", id_accuracy=0.5)
    table["tuned_on"], table["flags"] = "nothing", None
    return table.assign(auroc_low=table["auroc"] - 0.01, auroc_high=table["auroc"] + 0.02)


NO_COMPARISONS = pd.DataFrame(columns=["benchmark", "method", "ood_set"])
COSTS = pd.DataFrame({"seconds": [60.0, 90.0], "threads": [2, 1]})


def test_numbers_are_kept_in_the_order_of_the_benchmark_with_the_run_beside_them():
    study = make_study(stand_ins=STAND_INS)
    measured = metrics(
        ("energy", "uniform", "final", 0, 0.8),
        ("energy", "notmnist_sample", "final", 0, 0.7),
        ("energy", "notmnist_sample", "final", 1, 0.9),
        ("energy", "notmnist_sample", "oracle", 1, 0.95),
        ("msp", "mnist", "final", 0, 0.6),
        ("knn", "mnist", "final", 0, 0.6),
    )
    found = studies.record(study, measured, NO_COMPARISONS, COSTS, ["final"], RUN)
    assert list(found.columns) == [*studies.COLUMNS, *studies.PAIRED, *studies.RUN]
    cells = found[["method", "ood_set", "ood_dataset", "seeds"]].values.tolist()
    assert cells == [
        ["msp", "mnist", "mnist", 1],
        ["energy", "notmnist", "notmnist_sample", 2],
        ["energy", "uniform", "uniform", 1],
    ]
    both = found.iloc[1]
    assert both["mean"] == pytest.approx(0.8)
    assert both["sd"] == pytest.approx(0.2 / 2**0.5)
    assert (both["low"], both["high"]) == (pytest.approx(0.79), pytest.approx(0.82))
    # 60 s on two threads and 90 s on one
    assert set(found["core_minutes"]) == {4}
    assert set(found["machine"]) == {"m, 2 cores"}


def lines(text):
    """The cells of the rows about a method, without code marks."""
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip(" `") for cell in row.strip("|").split("|")] for row in rows]


def test_the_book_puts_each_number_beside_the_published_one():
    measured = metrics(
        ("msp", "mnist", "final", 0, 0.6),
        ("msp", "notmnist_sample", "final", 0, 0.7),
        ("energy", "mnist", "final", 0, 0.7),
        ("energy", "mnist", "final", 1, 0.9),
        ("energy", "mnist", "oracle", 0, 0.91),
        ("energy", "uniform", "final", 0, 0.5),
    )
    ours = studies.record(
        make_study(stand_ins=STAND_INS),
        measured,
        NO_COMPARISONS,
        COSTS,
        ["final", "oracle"],
        RUN,
    )
    published = [
        ("msp", "mnist", "oracle", 0.75),
        ("msp", "notmnist", "final", 0.6),
        ("energy", "mnist", "oracle", 0.9),
        ("energy", "omniglot", "final", 0.99),
    ]
    published = pd.DataFrame(published, columns=["method", "ood_set", "protocol", "published"])
    published = published.assign(benchmark="fashion_mnist", metric="auroc", confidence="verified")
    text = studies.book([make_study()], {"s": ours}, published)
    assert lines(text) == [
        [
            "msp",
            "mnist",
            "auroc",
            "final",
            "60.00 [59.0, 62.0]",
            "",
            "75.00",
            "-15.0",
            "no: oracle",
        ],
        # what was published of other images is no match
        [
            "msp",
            "notmnist (notmnist_sample)",
            "auroc",
            "final",
            "70.00 [69.0, 72.0]",
            "",
            "60.00",
            "+10.0",
            "yes, other images",
        ],
        ["energy", "mnist", "auroc", "final", "80.00 ± 14.14 [79.0, 82.0]", "", "–", "–", ""],
        ["energy", "mnist", "auroc", "oracle", "91.00 [90.0, 93.0]", "", "90.00", "+1.0", "yes"],
        ["energy", "omniglot", "auroc", "final", "–", "", "99.00", "–", ""],
        ["energy", "uniform", "auroc", "final", "50.00 [49.0, 52.0]", "", "–", "–", ""],
    ]
    assert "4 core minutes on m, 2 cores; revision abc" in text
    assert "ID accuracy: `msp` 50.0, `energy` 50.0" in text
    assert "**Finding.** F. G." in text
    assert re.search(r"\| \[T's own\]\(#ts-own\) +\| Q\? +\| 4 +\| F +\|\n", text)


def test_a_paired_difference_knows_seeds_and_images():
    comparisons = pd.DataFrame(
        {
            "benchmark": "fashion_mnist",
            "method": "energy",
            "ood_set": "mnist",
            "reference": "msp",
            "seed": [0, 1],
            "auroc_difference": [0.02, 0.04],
            "auroc_difference_low": [0.0, 0.02],
            "auroc_difference_high": [0.04, 0.06],
        }
    )
    measured = metrics(
        ("energy", "mnist", "final", 0, 0.8),
        ("energy", "mnist", "final", 1, 0.9),
        ("energy", "mnist", "oracle", 0, 0.9),
    )
    found = studies.record(make_study(), measured, comparisons, COSTS, ["final", "oracle"], RUN)
    final, oracle = found.to_dict("records")
    assert final["seed_values"] == "0: 0.800000, 1: 0.900000"
    assert (final["reference"], final["tuned_on"]) == ("msp", "nothing")
    assert final["difference"] == pytest.approx(0.03)
    # of seeds sqrt(.02^2 / 2 / 2) = .01; of images .02 / 1.96; by Welch and Satterthwaite
    seeds, images = 0.01**2, (0.02 / 1.959964) ** 2
    freedom = (seeds + images) ** 2 / seeds**2
    reach = t.ppf(0.975, freedom) * (seeds + images) ** 0.5
    assert final["difference_high"] - final["difference"] == pytest.approx(reach, rel=1e-5)
    assert 0 < final["p_value"] < 1
    assert pd.isna(oracle["difference"])
    text = studies.book([make_study()], {"s": found}, PUBLISHED.iloc[:0])
    assert "`msp` +3.00 [-" in text


def test_the_book_says_which_models_training_left_in_a_bad_state():
    measured = metrics(
        ("msp", "mnist", "final", 0, 0.6),
        ("energy", "mnist", "final", 0, 0.7),
        ("energy", "mnist", "final", 1, 0.9),
    )
    measured["flags"] = [None, "reversed?; net: all outputs are the same", "reversed?"]
    found = studies.record(make_study(), measured, NO_COMPARISONS, COSTS, ["final"], RUN)
    assert found["flags"].tolist() == ["", "reversed?; net: all outputs are the same"]
    text = studies.book([make_study()], {"s": found}, PUBLISHED.iloc[:0])
    assert "**Flagged.** net: all outputs are the same (energy)." in text
    before = studies.book([make_study()], {"s": found.drop(columns="flags")}, PUBLISHED.iloc[:0])
    assert "**Flagged.**" not in before


def test_one_seed_s_interval_knows_the_test_images_alone():
    found = studies.over_seeds([0.03], [0.01])
    assert found == pytest.approx((0.03, 0.03 - 0.0195996, 0.03 + 0.0195996, 0.0026998), rel=1e-4)
    assert studies.over_seeds([0.0, 0.0], [0.0, 0.0]) == (0, 0, 0, 1)


def test_a_published_number_that_was_not_checked_is_marked():
    published = pd.DataFrame(
        [("fashion_mnist", "msp", "mnist", "auroc", "final", 0.75, "recalled from memory")],
        columns=["benchmark", "method", "ood_set", "metric", "protocol", "published", "confidence"],
    )
    assert lines(studies.book([make_study()], {}, published))[0][-3] == "75.00 (unchecked)"


def test_what_was_not_run_is_visibly_empty():
    published = pd.DataFrame(
        [("fashion_mnist", "msp", "mnist", "auroc", "final", 0.75, "verified")],
        columns=["benchmark", "method", "ood_set", "metric", "protocol", "published", "confidence"],
    )
    text = studies.book([make_study()], {}, published)
    assert "Not run yet." in text
    assert re.search(r"\| Q\? +\| – +\| not run yet \|\n", text)
    assert lines(text) == [["msp", "mnist", "auroc", "final", "–", "", "75.00", "–", ""]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_study_plans(path):
    study = studies.load(ROOT, path)
    assert study.about["name"] == path.stem
    config = load_yaml(ROOT / "config.yaml") | load_yaml(path)
    jobs = Jobs(Plan(Loader(ROOT, config)))
    assert jobs.compared() == config["benchmarks"]
    assert len(jobs.metrics()) >= len(config["benchmarks"]) * len(config["seeds"])
    for name, one in study.benchmarks.items():
        planned = {row for row in jobs.metrics() if f"/{name}/" in row}
        assert all(any(f"/metrics/{method}/" in row for row in planned) for method in one.methods)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_study_says_what_it_cost(path):
    (cost,) = re.findall(r"^# Cost: (.*)\.$", path.read_text(), re.M)
    if path.stem in RESULTS:
        assert cost == f"{RESULTS[path.stem]['core_minutes'].iloc[0]} core minutes"
    else:
        assert cost == "not measured yet"


def test_the_book_is_what_the_committed_numbers_give():
    every = [studies.load(ROOT, path) for path in FILES]
    anchors = {one.about["name"]: studies.anchor(one.about) for one in every}
    published = claims.load_claims(ROOT / "docs" / "claims.yaml")
    first = claims.matrix(published, RESULTS, PUBLISHED, anchors)
    text = studies.book(every, RESULTS, PUBLISHED, first)
    assert (ROOT / "docs/results.md").read_text() == text


def test_a_study_is_called_as_its_file(tmp_path):
    path = tmp_path / "other.yaml"
    path.write_text(FILES[0].read_text())
    with pytest.raises(InputError, match=r"other\.yaml: study\.name: call it other"):
        studies.load(ROOT, path)


CLAIMS = [
    pytest.param(path.stem, claim, id=f"{path.stem}: {claim['says']}: {claim['method']}")
    for path in FILES
    for claim in load_yaml(path)["study"].get("claims", [])
    if "method" in claim and path.stem in RESULTS
]
DIRECTION = r"\b(beats?|better|worse|ahead|behind|level|loses|below|above|tell them apart)\b"


@pytest.mark.parametrize(("name", "claim"), CLAIMS)
def test_a_sentence_that_names_a_direction_is_what_the_numbers_say(name, claim):
    found = studies.direction(RESULTS[name], claim["method"], claim["than"])
    cells = claim.get("sets", [f"{benchmark}/{ood}" for benchmark, ood in found])
    assert cells
    said = {cell: found[tuple(cell.split("/"))] for cell in cells}
    assert set(said.values()) == {claim["is"]}, said


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_sentence_that_names_a_direction_is_checked(path):
    about = load_yaml(path)["study"]
    claims = [claim["says"] for claim in about.get("claims", [])]
    text = f"{about.get('short', '')} {about['finding']}".strip()
    assert all(says in text for says in claims)
    for sentence in re.split(r"(?<=[.:;]) ", text):
        if re.search(DIRECTION, sentence):
            assert any(says in sentence or sentence.strip(" .:;") in says for says in claims), (
                sentence
            )


def test_the_readme_says_what_the_studies_say():
    """Its list of findings is the studies' own sentences, which are checked against the numbers."""
    section = (ROOT / "README.md").read_text().partition("## What it finds")[2]
    found = re.findall(r"^\* (.*)", section.partition("\n## ")[0], re.M)
    short = {load_yaml(path)["study"].get("short") for path in FILES} - {None}
    assert set(found) == short
    assert len(found) == len(short)


def test_the_direction_is_that_of_the_paired_interval_where_there_is_one():
    """Else of both methods' intervals and seeds, as if these were independent."""
    columns = ["method", "mean", "low", "high", "sd", "seeds", "reference"]
    columns += ["difference_low", "difference_high"]
    rows = pd.DataFrame(
        [
            ("one", 0.90, 0.88, 0.92, 0.01, 4, "two", 0.001, 0.02),
            ("two", 0.89, 0.87, 0.91, math.nan, 1, None, math.nan, math.nan),
            ("three", 0.95, 0.94, 0.96, math.nan, 1, None, math.nan, math.nan),
        ],
        columns=columns,
    ).assign(benchmark="b", ood_set="o", protocol="final", measure="auroc")
    cell = ("b", "o")
    assert studies.direction(rows, "one", "two") == {cell: "better"}
    assert studies.direction(rows, "two", "one") == {cell: "worse"}
    # .06 against sqrt(.01^2 + .02^2) = .022; .05 against sqrt(.01^2 + .02^2 + (1.96 * .005)^2)
    assert studies.direction(rows, "three", "two") == {cell: "better"}
    assert studies.direction(rows, "three", "one") == {cell: "better"}
    wide = rows.assign(sd=[0.1, math.nan, math.nan])
    assert studies.direction(wide, "three", "one") == {cell: "level"}
