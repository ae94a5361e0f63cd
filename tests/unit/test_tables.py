"""Tables: means and deviations by hand, numeric columns, no silence about flags."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ood import metrics, tables
from ood.config import Loader, load_yaml
from ood.errors import InputError
from ood.overview import overview_page, overview_table

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
    tables.save_csv(tables.metrics_table(paths), tmp_path / "metrics.csv")
    table = pd.read_csv(tmp_path / "metrics.csv")
    assert len(table) == 6
    texts = set(table.select_dtypes(exclude="number").columns)
    assert texts == {*tables.KEYS, "flags"}
    required = "benchmark seed method ood_set group protocol tuned_on n_id n_ood id_accuracy auroc"
    required += " auroc_low auroc_high fpr95 fpr80 fpr95_ood_positive aupr_in aupr_out"
    assert set(f"{required} detection_error flags".split()) <= set(table.columns)


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


def test_the_leaderboard_averages_sets_within_a_seed_first(paths):
    board = tables.leaderboard_table(tables.metrics_table(paths), ORDERS).set_index("group")
    assert board.index.tolist() == ["near", "far"]
    # far: seed 0 (.7 + .5) / 2, seed 1 (.5 + .5) / 2
    assert board.loc["far", "auroc_mean"] == pytest.approx(0.55)
    assert board.loc["far", "auroc_sd"] == pytest.approx(0.1 / 2**0.5)
    assert board.loc["far", "n_sets"] == 2
    assert board.loc["far", "flags"] == "degenerate (c)"
    text = tables.leaderboard_text(board.reset_index(), {"quick digits msp": 3})
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
    board = tables.leaderboard_table(pd.concat(rows), ORDERS).set_index("method")
    assert board[["rank_best", "rank_worst"]].to_numpy().tolist() == [
        [1, 2],
        [1, 3],
        [2, 3],
        [4, 4],
    ]
    text = tables.leaderboard_text(board.reset_index(), {})
    assert [line.split("|")[1].strip() for line in text.splitlines() if "[" in line[:60]] == [
        "1–2",
        "1–3",
        "2–3",
        "4",
    ]


def test_groups_stand_in_the_order_of_the_benchmarks_file(paths):
    loader = Loader(ROOT, load_yaml(ROOT / "config.yaml"))
    metrics = tables.metrics_table(paths)
    assert tables.group_orders(loader, metrics)["b"] == ["near", "far"]
    named = metrics.assign(benchmark="mnist_0to4", group=["single", "far"] * 3)
    assert tables.group_orders(loader, named)["mnist_0to4"] == ["far", "single"]


def test_the_overview_has_the_published_number_of_the_same_protocol_if_there_is_one(paths):
    published = pd.DataFrame(
        {
            "benchmark": "b",
            "method": "m",
            "ood_set": ["a", "a", "b", "b"],
            "metric": ["auroc", "auroc", "auroc", "fpr95"],
            "protocol": ["oracle", "final", "oracle", "final"],
            "published": [0.9, 0.8, 0.7, 0.1],
        }
    )
    table = overview_table(tables.metrics_table(paths), published).set_index("ood_set")
    assert table.loc["a", ["auroc", "published", "difference"]].tolist() == [85, 80, 5]
    assert table.loc["a", "auroc_sd"] == pytest.approx(7.07)
    assert table["published_protocol"].fillna("").tolist() == ["final", "oracle", ""]
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
