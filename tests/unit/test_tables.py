"""Tables: means and deviations by hand, numeric columns, no silence about flags."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ood.config.benchmarks import Loader
from ood.config.yaml_files import load_yaml
from ood.errors import InputError
from ood.evaluation import leaderboard, metrics, ranks, tables
from ood.evaluation.made_from import made_from, up_to_date
from ood.files import save_csv
from ood.layout import AGAINST_REFERENCE, MADE_FROM, Seed
from ood.reports.overview import overview_page, overview_table

ROOT = Path(__file__).parents[2]
AUROC = {("near", "a"): (0.9, 0.8), ("far", "b"): (0.7, 0.5), ("far", "c"): (0.5, 0.5)}


@pytest.fixture
def paths(tmp_path):
    """Metrics of one method on three OOD sets with two seeds."""
    found = []
    point = metrics.evaluate(np.arange(5.0), np.arange(2.0, 7.0), resamples=10)
    for (group, ood), values in AUROC.items():
        for seed, auroc in enumerate(values):
            row = point | {
                "benchmark": "b",
                "scale": "smoke",
                "seed": seed,
                "method": "m",
                "ood_set": ood,
                "group": group,
                "protocol": "final",
                "tuned_on": "nothing",
                "id_dataset": "i",
                "ood_dataset": ood,
                "id_accuracy": None,
                "parameters": 3,
                "snapshot": None,
                "auroc": auroc,
                "flags": ["degenerate"] if ood == "c" and seed else [],
            }
            path = tmp_path / f"{ood}{seed}.json"
            path.write_text(json.dumps(row))
            found.append(path)
    return found


def test_metrics_are_one_numeric_row_per_cell(paths, tmp_path):
    save_csv(tables.metrics_table(paths), tmp_path / "metrics.csv")
    table = pd.read_csv(tmp_path / "metrics.csv")
    assert len(table) == 6
    texts = set(table.select_dtypes(exclude="number").columns)
    assert texts == {*tables.KEYS, "flags"}
    required = "benchmark seed method ood_set group protocol tuned_on n_id n_ood id_accuracy auroc"
    required += " auroc_low auroc_high fpr95 fpr80 fpr95_ood_positive aupr_in aupr_out"
    assert set(f"{required} detection_error flags".split()) <= set(table.columns)


@pytest.mark.parametrize("reference", ["energy", "msp"])
def test_a_variant_is_compared_with_its_reference(tmp_path, reference):
    """``references`` may name variants, which other methods' settings do not know."""
    shorter = {"shorter": {"epochs": 1}}
    config = load_yaml(ROOT / "config.yaml") | {
        "benchmarks": ["digits"],
        "scale": "smoke",
        "methods": ["cmg_softmax", "energy", "msp"],
        "variants": {"cmg_softmax": shorter},
        "reference": "energy",
        "references": {"cmg_softmax_shorter": reference},
    }
    loader = Loader(ROOT, config)
    one = loader.benchmarks()["digits"]
    seed, method = Seed.of("smoke", "digits", 0), "cmg_softmax_shorter"
    digests = []
    for name in (method, reference):
        recorded = made_from(loader.config, ROOT / "workflow_scripts", one, name)
        path = tmp_path / seed.metrics(name, MADE_FROM)
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(recorded))
        digests.append(recorded["digest"])
    comparison = tmp_path / seed.metrics(method, AGAINST_REFERENCE)
    comparison.write_text(json.dumps({"reference": reference, "made_from": digests}))
    found = up_to_date(tmp_path / "results", [], ROOT, config)
    assert found.comparisons == [comparison]


def test_a_column_that_no_file_has_is_an_error(paths, monkeypatch):
    monkeypatch.setattr(tables, "METRICS_COLUMNS", [*tables.METRICS_COLUMNS, "fpr96"])
    with pytest.raises(KeyError, match="fpr96"):
        tables.metrics_table(paths)


def test_the_summary_has_the_sample_deviation_over_seeds(paths):
    summary = tables.summary_table(tables.metrics_table(paths)).set_index("ood_set")
    assert summary.loc["a", "auroc_mean"] == pytest.approx(0.85)
    assert summary.loc["a", "auroc_sd"] == pytest.approx(0.1 / 2**0.5)
    assert summary.loc["a", "n_seeds"] == 2
    assert summary.loc["c", "flags"] == "degenerate"


def test_one_seed_has_no_deviation(paths):
    summary = tables.summary_table(tables.metrics_table(paths[:1]))
    assert summary["auroc_sd"].isna().all()


ORDERS = {"b": ["near", "far"]}


def board_of(rows):
    return leaderboard.leaderboard_table(rows, ORDERS, ranks.ranks_table(rows))


def test_the_leaderboard_averages_sets_within_a_seed_first(paths):
    board = board_of(tables.metrics_table(paths)).set_index("group")
    assert board.index.tolist() == ["near", "far"]
    # far: seed 0 (.7 + .5) / 2, seed 1 (.5 + .5) / 2
    assert board.loc["far", "auroc_mean"] == pytest.approx(0.55)
    assert board.loc["far", "auroc_sd"] == pytest.approx(0.1 / 2**0.5)
    assert board.loc["far", "n_sets"] == 2
    assert board.loc["far", "flags"] == "degenerate (c)"
    text = leaderboard.leaderboard_text(board.reset_index(), {"quick digits msp": 3})
    assert "Left out, 3 pairs" in text
    assert "55.0 ± 7.1 [" in text
    assert "* degenerate (c): all methods" in text
    assert "| –" in text
    # nothing was tuned, and there is one protocol
    assert "tuned on" not in text
    assert "protocol" not in text


def test_ranks_span_the_methods_whose_intervals_overlap(paths):
    metrics = tables.metrics_table(paths).query("ood_set == 'a' and seed == 0")
    ends = {"first": (0.90, 0.95), "second": (0.89, 0.91), "third": (0.80, 0.895), "last": (0, 0.1)}
    rows = [
        metrics.assign(method=name, auroc=(low + high) / 2, auroc_low=low, auroc_high=high)
        for name, (low, high) in ends.items()
    ]
    board = board_of(pd.concat(rows)).set_index("method")
    assert board[["rank_best", "rank_worst"]].to_numpy().tolist() == [
        [1, 2],
        [1, 3],
        [2, 3],
        [4, 4],
    ]
    text = leaderboard.leaderboard_text(board.reset_index(), {})
    assert "* one seed: the ranks do not know how much seeds differ" in text
    assert [line.split("|")[1].strip() for line in text.splitlines() if "[" in line[:60]] == [
        "1–2",
        "1–3",
        "2–3",
        "4",
    ]


def cells(*rows):
    """Metrics of (method, OOD set, seed, AUROC), all of one group."""
    table = pd.DataFrame(rows, columns=["method", "ood_set", "seed", "auroc"])
    fixed = dict.fromkeys([*tables.MEASURES, *tables.INTERVALS], 0.5)
    fixed |= {"benchmark": "b", "scale": "smoke", "group": "far", "protocol": "final"}
    fixed |= {"tuned_on": "nothing", "flags": "", "auroc_low": 0.0, "auroc_high": 1.0}
    return table.assign(**{name: one for name, one in fixed.items() if name not in table})


def test_what_is_ranked_is_averaged_over_the_same_sets_and_seeds():
    whole = [(m, ood, 0, v) for m in ("one", "two", "three") for ood, v in (("a", 0.9), ("b", 0.5))]
    # a set and a seed that one method alone has, and a method that lacks a set
    more = [("one", "own", 0, 1.0), ("one", "a", 1, 1.0), ("partial", "a", 0, 0.9)]
    board = board_of(cells(*whole, *more)).set_index("method")
    assert board.loc[["one", "two", "three"], "auroc_mean"].tolist() == pytest.approx([0.7] * 3)
    assert board.loc[["one", "two", "three"], "n_sets"].tolist() == [2] * 3
    assert board.loc[["one", "two", "three"], "rank_worst"].tolist() == [3] * 3
    # behind the others although its average is higher
    assert board.index[-1] == "partial"
    assert board.loc["partial", ["auroc_mean", "n_sets"]].tolist() == [0.9, 1]
    assert board.loc["partial", ["rank_best", "rank_worst"]].isna().all()
    text = leaderboard.leaderboard_text(board.reset_index(), {})
    assert "in no average of far: own (1 of 4 methods), seed 1 (1 of 4 methods)" in text
    row = next(line for line in text.splitlines() if "partial" in line)
    assert [cell.strip() for cell in row.split("|")[1:6]] == ["–", "–", "partial", "1", "1"]


def test_a_method_without_the_first_group_is_in_the_leaderboard():
    near = cells(("one", "a", 0, 0.9), ("two", "a", 0, 0.8)).assign(group="near")
    far = cells(("one", "b", 0, 0.9), ("far_only", "b", 0, 0.9))
    board = board_of(pd.concat([near, far]))
    rows = leaderboard.leaderboard_text(board, {}).splitlines()
    (row,) = [line for line in rows if line.startswith("| – ") and "far_only" in line]
    assert [cell.strip() for cell in row.split("|")[2:5]] == ["far_only", "1", "0 + 1"]


def test_seeds_that_most_methods_have_count_for_all():
    rows = [(m, "a", seed, 0.5 + 0.1 * seed) for m in ("one", "two") for seed in (0, 1)]
    board = board_of(cells(*rows, ("three", "a", 0, 0.9)))
    found = board.set_index("method")[["n_seeds", "auroc_mean"]]
    assert found.loc["one"].tolist() == pytest.approx([2, 0.55])
    assert found.loc["three"].tolist() == pytest.approx([1, 0.9])
    assert "one seed" not in leaderboard.leaderboard_text(board, {})


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(0.99991, 0.99996, "[99.9, 100.0]"), (0.957, 0.9571, "[95.7, 95.8]"), (0, 1, "[0.0, 100.0]")],
)
def test_intervals_are_rounded_outward(low, high, text):
    assert tables.outward(low, high) == text


def test_the_leaderboard_can_take_ood_images_as_positive():
    """As OpenOOD does: of a score that is 0 for half of the ID images and for no OOD image."""
    point = metrics.evaluate(np.array([0.0, 0, 1, 1]), np.array([1.0, 1, 1, 2]))
    rows = cells(("one", "a", 0, 0.9)).assign(**{k: v for k, v in point.items() if k != "flags"})
    board = board_of(rows)
    texts = [leaderboard.leaderboard_text(board, {}, positive) for positive in ("id", "ood")]
    assert [text.splitlines()[4].split("|")[-2].strip() for text in texts] == ["75.0", "50.0"]
    assert "share of OOD images\naccepted at the threshold" in texts[0]
    assert "share of ID images\nrejected at the threshold" in texts[1]


def test_groups_stand_in_the_order_of_the_benchmarks_file(paths):
    loader = Loader(ROOT, load_yaml(ROOT / "config.yaml"))
    metrics = tables.metrics_table(paths)
    assert leaderboard.group_orders(loader, metrics)["b"] == ["near", "far"]
    named = metrics.assign(benchmark="mnist_0to4", group=["single", "far"] * 3)
    assert leaderboard.group_orders(loader, named)["mnist_0to4"] == ["far", "single"]


def test_the_overview_has_the_published_number_of_the_same_protocol_if_there_is_one(paths):
    published = pd.DataFrame(
        {
            "benchmark": "b",
            "method": "m",
            "ood_set": ["a", "a", "b", "b"],
            "metric": ["auroc", "auroc", "auroc", "fpr95"],
            "protocol": ["oracle", "final", "oracle", "final"],
            "published": [0.9, 0.8, 0.7, 0.1],
            "confidence": ["verified", "verified", "recalled from memory", "verified"],
        }
    )
    table = overview_table(tables.metrics_table(paths), published, ORDERS).set_index("ood_set")
    assert table.loc["a", ["auroc", "published", "difference"]].tolist() == [85, 80, 5]
    assert table.loc["a", "auroc_sd"] == pytest.approx(7.07)
    assert table["published_protocol"].fillna("").tolist() == ["final", "oracle, unchecked", ""]
    assert np.isnan(table.loc["c", "published"])
    page = overview_page(table.reset_index())
    assert "<li>degenerate: 1 pairs</li>" in page
    assert "3 pairs of method and OOD set" in page


def test_published_numbers_beside_ours(paths):
    summary = tables.summary_table(tables.metrics_table(paths))
    published = pd.DataFrame(
        {
            "benchmark": ["b", "b", "b", "not run"],
            "method": ["m", "m", "other", "m"],
            "ood_set": ["a", "b", "a", "a"],
            "metric": "auroc",
            "protocol": "final",
            "published": [0.8, np.nan, 0.7, 0.8],
            "confidence": ["verified", "not established", "verified", "verified"],
            "source": "paper",
        }
    )
    table = tables.published_table(summary, published)
    assert len(table) == 3
    assert table["ours"].tolist()[:2] == pytest.approx([0.85, 0.6])
    assert table["difference"][0] == pytest.approx(0.05)
    assert table["difference"][1:].isna().all()
    assert np.isnan(table["ours"][2])


def test_nothing_to_gather_is_an_error():
    with pytest.raises(InputError, match="nothing has been evaluated"):
        tables.metrics_table([])
