"""Which methods can be told apart: tests of ranks against formulas and SciPy, groups by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ood.evaluation import leaderboard, ranks
from ood.reports.rank_plot import critical_difference

# Conover's example of seven brands (columns) in five shops... a table with ties
TABLE = [
    [5.0, 4, 7, 10, 12],
    [1, 3, 1, 0, 2],
    [16, 12, 22, 22, 35],
    [5, 4, 3, 5, 4],
    [10, 9, 7, 13, 10],
    [19, 18, 28, 37, 58],
    [10, 7, 6, 8, 7],
]
NAMES = ["a", "b", "c", "d", "e"]


def auroc(values=TABLE, names=NAMES):
    return pd.DataFrame(values, columns=list(names))


def metrics_rows(values, names, seeds=1):
    """Rows of metrics.csv: a block is a set, or a set with a seed."""
    return pd.DataFrame(
        [
            {
                "benchmark": "b", "scale": "smoke", "protocol": "final", "seed": block % seeds,
                "ood_set": f"set{block // seeds}", "method": name, "auroc": value,
            }
            for block, line in enumerate(values)
            for name, value in zip(names, line, strict=True)
        ]
    )  # fmt: skip


def test_mean_ranks_begin_with_the_best_and_share_ties():
    found = ranks.mean_ranks(auroc([[0.9, 0.8, 0.8], [0.7, 0.9, 0.1]], "xyz"))
    assert found.to_dict() == {"x": 1.5, "y": 1.75, "z": 2.75}


def test_friedman_s_test_is_scipy_s():
    assert ranks.friedman(auroc()) == stats.friedmanchisquare(*np.array(TABLE).T).pvalue


def test_pairs_agree_with_conover_s_formula_and_holm_s_correction():
    """Conover (1999), equation 5.8.9: |R_i - R_j| beside t sqrt(2 (b A - sum R²) / (b-1)(k-1))."""
    distinct = np.random.default_rng(0).normal(np.linspace(0, 4, 5), 1, (7, 5))
    for values in (TABLE, distinct):
        ranked = stats.rankdata(values, axis=1)
        blocks, count = ranked.shape
        sums, free = ranked.sum(0), (blocks - 1) * (count - 1)
        spread = math.sqrt(2 * (blocks * (ranked**2).sum() - (sums**2).sum()) / free)
        pairs = [(i, j) for i in range(count) for j in range(i)]
        raw = [2 * stats.t.sf(abs(sums[i] - sums[j]) / spread, free) for i, j in pairs]
        held, largest = {}, 0.0
        for place, index in enumerate(np.argsort(raw)):
            largest = max(largest, min(1.0, raw[index] * (len(raw) - place)))
            held[pairs[index]] = largest
        found = ranks.pairwise(auroc(values))
        if ranks.friedman(auroc(values)) < ranks.LEVEL:
            assert all(found.iloc[i, j] == pytest.approx(p) for (i, j), p in held.items())
            assert found.equals(found.T)
    assert (found.to_numpy() < ranks.LEVEL).any()


@pytest.mark.parametrize(
    "values",
    [[[0.5, 0.5, 0.5]] * 4, [[0.9, 0.8, 0.7]], [[0.9, 0.1]] * 30],
    ids=["all equal", "one block", "two methods"],
)
def test_without_a_difference_or_a_test_nobody_is_told_apart(values):
    frame = auroc(values, "xyz"[: len(values[0])])
    assert ranks.friedman(frame) == 1
    assert (ranks.pairwise(frame) == 1).all().all()


def test_where_all_blocks_agree_every_method_is_told_apart():
    frame = auroc([[0.9, 0.8, 0.7, 0.7]] * 9, "wxyz")
    p_values, ordered = ranks.pairwise(frame), ranks.mean_ranks(frame)
    assert ranks.groups(ordered, p_values) == [["w"], ["x"], ["y", "z"]]


def test_groups_are_the_longest_runs_without_a_difference():
    names = list("vwxyz")
    p_values = pd.DataFrame(1.0, index=names, columns=names)
    for one, other in (("v", "y"), ("v", "z"), ("w", "z")):
        p_values.loc[one, other] = p_values.loc[other, one] = 0.01
    ordered = pd.Series(range(1, 6), index=names)
    assert ranks.groups(ordered, p_values) == [list("vwx"), list("wxy"), list("xyz")]


def test_letters_go_on_after_z():
    assert [ranks.letter(number) for number in (0, 25, 26, 51, 52)] == ["a", "z", "aa", "az", "ba"]


def test_the_table_has_the_methods_that_were_judged_on_all(tmp_path):
    values = np.random.default_rng(1).normal([3, 0, 3, 0], 0.1, (6, 4))
    rows = metrics_rows(values, "wxyz", seeds=2)
    some = rows[(rows["method"] != "z") | (rows["seed"] == 0)]
    found = ranks.ranks_table(some).set_index("method")
    assert sorted(found.index) == ["w", "x", "y"]
    assert set(found["n_blocks"]) == {6}
    assert found.loc["x", "mean_rank"] == 3
    assert found.loc["w", "letters"] == found.loc["y", "letters"] == "a"
    assert found.loc["x", "letters"] == "b"
    assert ranks.ranks_table(rows[rows["method"].isin(["w", "x"])]).empty
    ordered = ranks.mean_ranks(ranks.blocks(some))
    picture = tmp_path / "ranks.png"
    critical_difference(picture, "b", ordered, ranks.pairwise(ranks.blocks(some)))
    assert picture.stat().st_size > 5000


def test_the_leaderboard_names_those_that_cannot_be_told_from_the_best():
    values = np.random.default_rng(1).normal([0.9, 0.5, 0.9], 0.01, (6, 3))
    rows = metrics_rows(values, ["first", "second", "third"])
    rest = dict.fromkeys(["id_accuracy", "fpr95", "fpr95_ood_positive", "f1", "cauroc"], 0.5)
    rest |= dict.fromkeys(["aupr_in", "aupr_in_trapezoid", "aupr_out", "aupr_out_trapezoid"], 0.5)
    rest |= dict.fromkeys(["aurc", "augrc", "auroc_low", "auroc_high"], 0.5)
    rows = rows.assign(**rest, group="near", tuned_on="nothing", flags="")
    board = leaderboard.leaderboard_table(rows, {"b": ["near"]}, ranks.ranks_table(rows))
    text = leaderboard.leaderboard_text(board, {})
    assert "Not told from the best: " in text
    best = text.split("Not told from the best: ")[1].splitlines()[0]
    assert sorted(best.split(", ")) == ["first", "third"]
    assert "| 3.0 b" in text
