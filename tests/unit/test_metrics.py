"""Metric definitions against hand-computed examples, scikit-learn and pytorch-ood."""

import itertools
import math
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from ood.errors import InputError
from ood.evaluation import metrics, open_set

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
    "detection_error_original",
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


@pytest.mark.parametrize("count", [2, 3, 20, 360])
def test_perfect_separation_is_no_certainty(count):
    found = metrics.evaluate(np.arange(count) - 1e6, np.arange(float(count)))
    assert (found["auroc"], found["fpr95"]) == (1, 0)
    assert found["auroc_high"] == 1
    # with as many images out of place as the rule of three allows, the area would be lower
    assert 1 - 6 / count < found["auroc_low"] < 1 - 0.3 / count
    assert found["fpr95_low"] == 0
    assert found["fpr95_high"] > 1 / count
    worst = metrics.evaluate(np.arange(float(count)), np.arange(count) - 1e6)
    assert worst["auroc_low"] == 0
    assert worst["auroc_high"] == pytest.approx(1 - found["auroc_low"])


def test_newcombes_interval_solves_its_equation():
    """|A - t| = z sqrt(V(t)) at both ends, of an example with other numbers on both sides."""
    z = NormalDist().inv_cdf(0.975)
    ends = metrics._newcombe(0.9, 30, 50, 0.95)
    for t in ends:
        many = (30 + 50) / 2 - 1
        variance = t * (1 - t) * (1 + many * ((1 - t) / (2 - t) + t / (1 + t))) / (30 * 50)
        assert abs(0.9 - t) == pytest.approx(z * math.sqrt(variance), rel=1e-9)
    assert ends[0] < 0.9 < ends[1]


@pytest.mark.parametrize(("share", "count"), [(0.95, 20), (0.95, 360), (0.8, 50), (0.95, 60_000)])
def test_the_threshold_s_ranks_are_the_binomial_s(share, count):
    low, high = metrics._ranks(share, count, 0.95)
    law = binom(count, share)
    assert law.cdf(low - 1) < 0.025 <= law.cdf(low)
    if high is None:
        assert law.cdf(count - 1) < 0.975
    else:
        assert law.cdf(high - 2) < 0.975 <= law.cdf(high - 1)


@pytest.mark.parametrize(("true", "count"), [(0.9, 360), (0.999, 360), (0.99, 20)])
def test_intervals_cover_at_the_edge(true, count):
    generator = np.random.default_rng(0)
    shift = math.sqrt(2) * NormalDist().inv_cdf(true)
    accepted = NormalDist().cdf(NormalDist().inv_cdf(0.95) - shift)
    covered = np.zeros(2)
    for _ in range(200):
        pair = generator.normal(size=count), generator.normal(shift, 1, count)
        found = metrics.evaluate(*pair)
        covered += [
            found["auroc_low"] <= true <= found["auroc_high"],
            found["fpr95_low"] <= accepted <= found["fpr95_high"],
        ]
    # 95 % less three standard errors of 200 draws
    assert (covered / 200 > 0.90).all()


def test_many_equal_scores_are_flagged():
    ind, ood = np.repeat([0.0, *np.arange(1, 16)], [7, *[1] * 15]), np.arange(5.0, 13.0)
    assert metrics.evaluate(ind, ood)["flags"] == ["tied"]


def test_roc_curve_has_the_aurocs_area():
    ind, ood = random_scores(6, decimals=1)
    false, true = metrics.roc_curve(ind, ood)
    assert np.trapezoid(true, false) == pytest.approx(metrics.evaluate(ind, ood)["auroc"])


def decisions(known, unknown):
    """From (score, prediction, label) of ID and (score, prediction) of OOD images."""
    scores, predictions, labels = map(np.array, zip(*known, strict=True))
    others = map(np.array, zip(*unknown, strict=True))
    return open_set.Decisions.joined((scores.astype(float), predictions, labels), tuple(others))


# the third ID image is called 1 and is a 0
KNOWN = [(1.0, 0, 0), (2.0, 1, 1), (3.0, 1, 0), (5.0, 1, 1)]
UNKNOWN = [(2.5, 0), (4.0, 1), (6.0, 0)]


def test_the_f1_curve_by_hand():
    curve = open_set.f1_curve(decisions(KNOWN, UNKNOWN), [0, 1])
    assert curve["threshold"].tolist() == [1, 2, 2.5, 3, 4, 5, 6]
    # up to 2.5 accepted: 0 right, 1 right, an OOD image called 0; rejected: 2 ID and 2 OOD images
    f1 = [2 * 1 / (2 + 2), 2 * 1 / (1 + 2), 2 * 2 / (4 + 3)]
    assert curve["f1"][2] == pytest.approx(np.mean(f1))
    assert curve["id_accepted"][2] == curve["known_accuracy"][2] == 0.5
    assert curve["unknown_accuracy"][2] == pytest.approx(2 / 3)
    assert curve["rejected_errors"][2] == 1
    # everything accepted: one error, and no rejection
    assert curve["known_accuracy"][-1] == 0.75
    assert curve["rejected_errors"][-1] == 0
    assert curve["ood_accepted"][-1] == 1


@pytest.mark.parametrize("decimals", [1, 6])
def test_the_f1_curve_agrees_with_scikit_learn(decimals):
    generator = np.random.default_rng(0)
    labels = np.append(generator.integers(0, 4, 60), np.full(40, -1))
    predictions = np.where(generator.random(100) < 0.7, labels, generator.integers(-1, 4, 100))
    predictions[labels < 0] = generator.integers(-1, 4, 40)
    scores = np.round(generator.normal(labels < 0, 1), decimals)
    curve = open_set.f1_curve(open_set.Decisions(scores, predictions, labels), [0, 1, 2, 3])
    for index in range(0, len(curve["threshold"]), 3):
        decided = np.where(scores <= curve["threshold"][index], predictions, -1)
        expected = f1_score(labels, decided, labels=[0, 1, 2, 3, -1], average="macro")
        assert curve["f1"][index] == pytest.approx(expected)


def test_an_unpredicted_class_counts_as_nothing():
    one = decisions([(1, 0, 0), (1, 0, 2)], [(3, 0)])
    found = open_set.f1_curve(one, [0, 1, 2])["f1"]
    # classes 1 and 2 give 0 each; class 0: 2 / (2 + 1); unknown: 1
    assert found[0] == pytest.approx((2 / 3 + 0 + 0 + 1) / 4)


def test_a_method_that_rejects_by_itself_has_an_area_up_to_the_last_ood_image():
    """The curve is level from the share of OOD images that it can accept."""
    known = [(0, 0, 0), (1, 1, 1), (2, -1, 0)]
    every = open_set.open_set(decisions(known, [(3, -1), (4, -1)]), [0, 1])
    assert every["cauroc"] == 1
    # half of the OOD images are taken for class 0 before any known one is accepted
    half = open_set.open_set(decisions(known, [(-1, 0), (4, -1)]), [0, 1])
    assert half["cauroc"] == pytest.approx(0.5)


@pytest.mark.parametrize("auroc", [0.9, 0.99, 0.999])
def test_the_interval_of_the_detection_error_covers_the_best_threshold_s(auroc):
    """Two normal distributions: the best threshold lies in the middle. The smallest error of a
    sample is too low, and lay in its bootstrap interval in 84, 78 and 66 % of samples."""
    normal, generator = NormalDist(), np.random.default_rng(1)
    distance = normal.inv_cdf(auroc) * 2**0.5
    expected, covered, values, smallest = normal.cdf(-distance / 2), [], [], []
    for _ in range(200):
        pair = generator.normal(size=1000), generator.normal(distance, size=1000)
        found = metrics.evaluate(*pair)
        low, high = found["detection_error_low"], found["detection_error_high"]
        covered.append(low <= expected <= high)
        values.append(found["detection_error"])
        smallest.append(found["detection_error_original"])
        assert low <= found["detection_error"] <= high
    assert np.mean(covered) >= 0.88
    assert np.mean(smallest) < expected < np.mean(values) < 1.15 * expected


def test_the_detection_error_of_sets_that_do_not_overlap_is_nothing():
    found = metrics.evaluate(np.arange(50.0) % 5, 100 + np.arange(80.0) % 5)
    assert found["detection_error"] == 0
    assert 0 < found["detection_error_high"] < 0.05


def test_the_detection_error_does_not_depend_on_the_scale_of_the_scores():
    pair = random_scores(3)
    found = [metrics.detection_error(metrics.Ranking(*one)) for one in (pair, map(np.exp, pair))]
    assert found[0] == found[1]


def test_open_set_metrics_by_hand():
    found = open_set.open_set(decisions(KNOWN, UNKNOWN), [0, 1])
    # 95 % of four images are all of them
    curve = open_set.f1_curve(decisions(KNOWN, UNKNOWN), [0, 1])
    assert found["f1_original"] == pytest.approx(curve["f1"][5])
    assert found["f1_best"] == curve["f1"].max()
    # right and accepted rises 1/4, 2/4, .., 3/4 over the OOD images at 2.5, 4 and 6
    points = [(0, 0.5), (1 / 3, 0.5), (2 / 3, 0.5), (2 / 3, 0.75), (1, 0.75)]
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(points))
    # of the ID images, three of four are classified rightly: the others do not count
    assert found["cauroc"] == pytest.approx(area / 0.75)
    wrong = [(score, 1 - label, label) for score, _, label in KNOWN]
    assert open_set.open_set(decisions(wrong[:1], UNKNOWN), [0, 1])["cauroc"] == 0


def test_selective_risk_by_hand():
    # right, wrong, OOD, right: failures among the first 1, 2, 3, 4 images are 0, 1, 2, 2
    found = open_set.selective_risk(decisions([(1, 0, 0), (2, 1, 0), (4, 1, 1)], [(3, 0)]))
    assert found["aurc"] == pytest.approx((0 + 1 / 2 + 2 / 3 + 2 / 4) / 4)
    # trapezoids under 0, 0, 1/4, 2/4, 2/4 over coverage in steps of 1/4
    assert found["augrc"] == pytest.approx((0 + 1 / 8 + 3 / 8 + 1 / 2) / 4)


@pytest.mark.parametrize("decimals", [8, 0])
def test_selective_risk_agrees_with_other_ways_to_compute_it(decimals):
    """AUGRC by its relation to the AUROC of failures (Traub et al. 2024), AUROC by scikit-learn;
    AURC threshold by threshold."""
    generator = np.random.default_rng(4)
    labels = np.append(generator.integers(0, 4, 300), np.full(200, -1))
    predictions = np.where(generator.random(500) < 0.8, labels, 0)
    predictions[labels < 0] = generator.integers(0, 4, 200)
    scores = np.round(generator.normal(labels < 0, 1), decimals)
    found = open_set.selective_risk(open_set.Decisions(scores, predictions, labels))
    failed = predictions != labels
    right, auroc = 1 - failed.mean(), roc_auc_score(failed, scores)
    assert found["augrc"] == pytest.approx((1 - auroc) * right * (1 - right) + (1 - right) ** 2 / 2)
    risks = [failed[scores <= one].mean() for one in scores]
    assert found["aurc"] == pytest.approx(np.mean(risks))


def test_what_a_method_rejects_by_itself_is_accepted_last():
    known, unknown = [(5, 0, 0), (1, -1, 0)], [(0, -1)]
    found = open_set.selective_risk(decisions(known, unknown))
    assert found["aurc"] == pytest.approx((0 + 2 / 3 + 2 / 3) / 3)


def test_a_perfect_method_has_perfect_open_set_metrics():
    known = [(float(i % 7), i % 3, i % 3) for i in range(300)]
    unknown = [(100.0 + i, 0) for i in range(100)]
    found = open_set.open_set(decisions(known, unknown), [0, 1, 2])
    assert found["cauroc"] == pytest.approx(1)
    assert found["f1_best"] == 1
    assert found["f1"] == pytest.approx(found["f1_original"], abs=0.05)


def test_the_threshold_of_f1_comes_from_other_images():
    """With ID scores that no other image shares, each half has a threshold of its own."""
    generator = np.random.default_rng(1)
    known = [(score, 0, 0) for score in generator.normal(size=4000)]
    unknown = [(score, 0) for score in generator.normal(3, 1, size=1000)]
    found = open_set.open_set(decisions(known, unknown), [0])
    assert found["f1"] != found["f1_original"]
    assert found["f1"] == pytest.approx(found["f1_original"], abs=0.01)
