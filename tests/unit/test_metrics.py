"""Metric definitions against hand-computed examples, scikit-learn and pytorch-ood."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from ood import metrics
from ood.errors import InputError

# ID-ness of ID and OOD images; the score is its negative
HAND_CHECKED = {
    "separable": ([3, 4, 5, 6], [0, 1, 2]),
    "one swap": ([0.9, 0.8, 0.7, 0.35], [0.6, 0.4, 0.3, 0.2]),
    "ties": ([2, 2, 1, 1], [2, 1, 1, 0]),
    "constant": ([1, 1, 1], [1, 1]),
    "long": (list(range(1, 21)), [0.5, 1.5, 2.5, 3.5, 10.5, -1, -2, -3, -4, -5]),
}
COLUMNS = (
    "auroc",
    "aupr_in",
    "aupr_out",
    "fpr95",
    "fpr80",
    "fpr95_ood_positive",
    "detection_error",
    "aupr_in_trapezoid",
    "aupr_out_trapezoid",
)
EXPECTED = {
    "separable": (1, 1, 1, 0, 0, 0, 0, 1, 1),
    "one swap": (0.875, 0.91667, 0.8875, 0.5, 0.5, 0.25, 0.125, 0.90833, 0.87083),
    "ties": (0.6875, 0.61905, 0.675, 0.75, 0.75, 1, 0.375, 0.72619, 0.7875),
    "constant": (0.5, 0.6, 0.4, 1, 1, 1, 0.5, 0.8, 0.7),
    "long": (0.92, 0.956087, 0.8925, 0.3, 0.1, 0.5, 0.125, 0.954728, 0.888044),
}


def scores(name):
    return tuple(-np.asarray(values, float) for values in HAND_CHECKED[name])


def random_scores(seed, decimals=None, n_id=200, n_ood=130):
    generator = np.random.default_rng(seed)
    pair = generator.normal(0, 1, n_id), generator.normal(0.8, 1.3, n_ood)
    return tuple(np.round(s, decimals) if decimals is not None else s for s in pair)


@pytest.mark.parametrize("name", HAND_CHECKED)
@pytest.mark.parametrize("column", COLUMNS)
def test_hand_checked(name, column):
    value = metrics.evaluate(*scores(name))[column]
    assert value == pytest.approx(EXPECTED[name][COLUMNS.index(column)], abs=6e-6)


def test_detection_error_at_tpr_95():
    assert metrics.evaluate(*scores("long"))["detection_error_tpr95"] == pytest.approx(0.175)


def test_delong_standard_error_by_hand():
    assert metrics.auroc_standard_error(metrics.Ranking(*scores("one swap"))) == pytest.approx(
        0.1443376, abs=1e-7
    )


def test_paired_delong_agrees_with_its_definition():
    first, second = random_scores(1), random_scores(2)
    result = metrics.auroc_difference(metrics.Ranking(*first), metrics.Ranking(*second))

    def components(pair):
        wins = (pair[1][None, :] > pair[0][:, None]) + 0.5 * (pair[1][None, :] == pair[0][:, None])
        return wins.mean(1), wins.mean(0)

    (id_1, ood_1), (id_2, ood_2) = components(first), components(second)
    variance = np.cov(id_1, id_2) / len(id_1) + np.cov(ood_1, ood_2) / len(ood_1)
    error = math.sqrt(variance[0, 0] + variance[1, 1] - 2 * variance[0, 1])
    assert result["difference"] == pytest.approx(id_1.mean() - id_2.mean())
    assert result["high"] - result["low"] == pytest.approx(2 * 1.959964 * error, rel=1e-6)


@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_against_scikit_learn(decimals):
    for seed in range(5):
        ind, ood = random_scores(seed, decimals)
        ours = metrics.evaluate(ind, ood)
        truth = np.r_[np.zeros(len(ind)), np.ones(len(ood))]
        joined = np.r_[ind, ood]
        assert ours["auroc"] == pytest.approx(roc_auc_score(truth, joined))
        assert ours["aupr_out"] == pytest.approx(average_precision_score(truth, joined))
        assert ours["aupr_in"] == pytest.approx(average_precision_score(1 - truth, -joined))


def test_against_pytorch_ood():
    import torch
    from pytorch_ood.metrics import OODMetrics

    ind, ood = random_scores(3)
    theirs = OODMetrics()
    theirs.update(torch.tensor(np.r_[ind, ood]), torch.tensor([1] * len(ind) + [-1] * len(ood)))
    theirs = {name.lower(): float(value) for name, value in theirs.compute().items()}
    ours = metrics.evaluate(ind, ood)
    assert ours["auroc"] == pytest.approx(theirs["auroc"], abs=1e-6)
    assert ours["fpr95_ood_positive"] == pytest.approx(theirs["fpr95tpr"], abs=1e-6)


def test_scores_near_minus_2000_keep_their_order():
    ind, ood = random_scores(4)
    assert metrics.evaluate(ind * 1e-9 - 2000, ood * 1e-9 - 2000)["auroc"] == pytest.approx(
        metrics.evaluate(ind, ood)["auroc"], abs=1e-3
    )


@pytest.mark.parametrize(
    ("ind", "ood", "message"),
    [
        ([], [1.0], "0 ID scores"),
        ([1.0], [], "0 OOD scores"),
        ([1.0, np.nan], [1.0], "1 of 2 ID scores are NaN"),
    ],
)
def test_bad_scores_are_errors_with_counts(ind, ood, message):
    with pytest.raises(InputError, match=message):
        metrics.evaluate(np.array(ind), np.array(ood))


def test_infinite_scores_rank_and_are_counted():
    result = metrics.evaluate(np.array([-np.inf, 0.0]), np.array([1.0, np.inf]))
    assert result["auroc"] == 1
    assert result["infinite"] == 2


def test_flags():
    assert metrics.evaluate(*scores("constant"))["flags"] == ["degenerate"]
    assert metrics.evaluate(np.arange(9.0), np.arange(9.0) - 3)["flags"] == ["reversed?"]
    assert metrics.evaluate(*scores("one swap"))["flags"] == []


@pytest.mark.parametrize(
    ("share", "count", "needed"), [(0.95, 20, 19), (0.95, 100, 95), (0.8, 4, 4)]
)
def test_at_least_is_exact(share, count, needed):
    assert metrics.at_least(share, count) == needed


def test_bootstrap_intervals_contain_the_point_and_cover():
    ind, ood = random_scores(5)
    result = metrics.evaluate(ind, ood, resamples=300)
    for name in metrics.BOOTSTRAPPED:
        assert result[f"{name}_low"] <= result[name] <= result[f"{name}_high"]
    covered = 0
    for seed in range(60):
        pair = random_scores(100 + seed)
        found = metrics.evaluate(*pair)
        # P(OOD > ID) of N(.8, 1.3) against N(0, 1)
        covered += found["auroc_low"] <= 0.68712 <= found["auroc_high"]
    assert covered >= 52


def test_roc_curve_has_the_aurocs_area():
    ind, ood = random_scores(6, decimals=1)
    false, true = metrics.roc_curve(ind, ood)
    assert np.trapezoid(true, false) == pytest.approx(metrics.evaluate(ind, ood)["auroc"])
