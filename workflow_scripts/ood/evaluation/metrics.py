"""From scores to metrics. NumPy only.

A score is float64, larger = more out-of-distribution (OOD). One sort of the joined scores gives
every curve; counts are exact integers.
"""

import math
from fractions import Fraction
from functools import cache
from statistics import NormalDist

import numpy as np

from ood.errors import InputError

BOOTSTRAPPED = ("aupr_in", "aupr_out")
# rates at a threshold, with the share of the other images that it accepts
RATES = {"fpr95": 0.95, "fpr80": 0.80, "fpr95_ood_positive": 0.95}
# with fewer images out of place than this, DeLong's variance is too small to be relied on
FEW = 12


class Ranking:
    """The joined scores of ID and OOD images as counts per distinct value, ascending.

    :param scores_id: float64 ``[n_id]``; -inf and inf are legal ranks
    :param scores_ood: float64 ``[n_ood]``
    :raises InputError: if a set is empty or holds NaN; the message gives the count
    """

    def __init__(self, scores_id: np.ndarray, scores_ood: np.ndarray):
        for name, scores in (("ID", scores_id), ("OOD", scores_ood)):
            if len(scores) == 0:
                raise InputError(f"0 {name} scores: there is nothing to compare")
            if missing := int(np.isnan(scores).sum()):
                raise InputError(f"{missing} of {len(scores)} {name} scores are NaN")
        values, self.positions = np.unique(
            np.concatenate([scores_id, scores_ood]), return_inverse=True
        )
        self.n_id, self.n_ood = len(scores_id), len(scores_ood)
        self.n_values = len(values)
        self.count_id = np.bincount(self.positions[: self.n_id], minlength=self.n_values)
        self.count_ood = np.bincount(self.positions[self.n_id :], minlength=self.n_values)


@cache
def at_least(share: float, count: int) -> int:
    """The smallest integer that is at least ``share`` of ``count``, free of rounding."""
    return -int(-Fraction(str(share)) * count // 1)


def _auroc(count_id: np.ndarray, count_ood: np.ndarray) -> float:
    below = np.cumsum(count_id) - count_id
    twice = int(np.dot(count_ood, 2 * below + count_id))
    return twice / (2 * int(count_id.sum()) * int(count_ood.sum()))


def _fpr(accepted_id: np.ndarray, accepted_ood: np.ndarray, share: float) -> float:
    """Share of OOD accepted where ``share`` of ID is; ties at the threshold are accepted."""
    rank = at_least(share, int(accepted_id[-1]))
    return _accepted(accepted_id, accepted_ood, rank) / int(accepted_ood[-1])


def _accepted(accepted_id: np.ndarray, accepted_ood: np.ndarray, rank: int) -> int:
    """How many OOD images are accepted where so many ID images are."""
    return int(accepted_ood[np.searchsorted(accepted_id, rank)])


@cache
def _ranks(share: float, count: int, confidence: float) -> tuple[int, int | None]:
    """Ranks of the order statistics that the ``share`` quantile lies between, from the binomial
    distribution; 0, or None, where no image is so far out."""
    below = np.arange(count, 0, -1)
    logs = np.append(0.0, np.cumsum(np.log(below / (count - below + 1) * (1 - share) / share)))
    cumulated = np.cumsum(np.exp(logs + count * math.log(share))[::-1])
    tail = (1 - confidence) / 2
    high = int(np.searchsorted(cumulated, 1 - tail)) + 1
    return int(np.searchsorted(cumulated, tail)), high if high <= count else None


def _fpr_interval(
    accepted_id: np.ndarray, accepted_ood: np.ndarray, share: float, confidence: float
) -> tuple[float, float]:
    """Of ``_fpr``: Wilson's interval of the share of OOD images, joined with the rates at the ends
    of the threshold's own interval (MOVER, Zou and Donner 2008). Too few ID images to know the
    threshold's upper end leave the rate's at 1."""
    n_id, n_ood = int(accepted_id[-1]), int(accepted_ood[-1])
    rate, below, above = _wilson(
        _accepted(accepted_id, accepted_ood, at_least(share, n_id)), n_ood, confidence
    )
    low, high = _ranks(share, n_id, confidence)
    least = _accepted(accepted_id, accepted_ood, low) / n_ood if low else 0.0
    most = _accepted(accepted_id, accepted_ood, high) / n_ood if high else 1.0
    return (
        max(0.0, rate - math.hypot(rate - below, rate - least)),
        min(1.0, rate + math.hypot(above - rate, most - rate)),
    )


def _precision(true: np.ndarray, false: np.ndarray) -> np.ndarray:
    """Precision from cumulative counts, best-ranked first; 1 as long as both are 0."""
    total = true + false
    return np.divide(true, total, out=np.ones(len(true)), where=total > 0)


class _Curves:
    """What the point metrics share, from counts per distinct value, ascending by score.

    Sums of products are no products of BLAS, which for more than 10,000 values would take all cores
    of a busy machine.
    """

    def __init__(self, count_id: np.ndarray, count_ood: np.ndarray):
        self.gained_id, self.gained_ood = count_id, count_ood[::-1]
        self.accepted_id, self.accepted_ood = np.cumsum(count_id), np.cumsum(count_ood)
        self.flagged_id, self.flagged_ood = np.cumsum(count_id[::-1]), np.cumsum(self.gained_ood)
        self.n_id, self.n_ood = int(self.accepted_id[-1]), int(self.accepted_ood[-1])
        self.precision_in = _precision(self.accepted_id, self.accepted_ood)
        self.precision_out = _precision(self.flagged_ood, self.flagged_id)

    def bootstrapped(self) -> dict[str, float]:
        """The metrics of ``BOOTSTRAPPED``."""
        return {
            "aupr_in": float((self.gained_id * self.precision_in).sum()) / self.n_id,
            "aupr_out": float((self.gained_ood * self.precision_out).sum()) / self.n_ood,
        }

    def _sides(self, rate: str) -> tuple[np.ndarray, np.ndarray]:
        """The images that a rate's threshold accepts a share of, and the others, cumulated."""
        if rate == "fpr95_ood_positive":
            return self.flagged_ood, self.flagged_id
        return self.accepted_id, self.accepted_ood

    def intervals(self, confidence: float) -> dict[str, tuple[float, float]]:
        """Of ``RATES``."""
        return {
            name: _fpr_interval(*self._sides(name), share, confidence)
            for name, share in RATES.items()
        }

    def point(self) -> dict[str, float]:
        """Every metric but the AUROC."""
        found = {name: _fpr(*self._sides(name), share) for name, share in RATES.items()}
        found |= self.bootstrapped()
        for name, gained, precision in (
            ("aupr_in_trapezoid", self.gained_id, self.precision_in),
            ("aupr_out_trapezoid", self.gained_ood, self.precision_out),
        ):
            twice = precision + np.append(1.0, precision[:-1])
            found[name] = float((gained * twice).sum()) / (2 * int(gained.sum()))
        errors = self.accepted_ood / self.n_ood - self.accepted_id / self.n_id
        return found | {
            "detection_error_original": min(1.0, 1 + float(errors.min())) / 2,
            "detection_error_tpr95": 0.025 + found["fpr95"] / 2,
        }


def placements(ranking: Ranking) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's structural components.

    :return: for each ID image the share of OOD images that score higher, ``[n_id]``; for each OOD
        image the share of ID images that score lower, ``[n_ood]``; ties count one half
    """
    above = ranking.n_ood - np.cumsum(ranking.count_ood) + ranking.count_ood / 2
    below = np.cumsum(ranking.count_id) - ranking.count_id / 2
    return (
        above[ranking.positions[: ranking.n_id]] / ranking.n_ood,
        below[ranking.positions[ranking.n_id :]] / ranking.n_id,
    )


def auroc_standard_error(ranking: Ranking) -> float:
    """Standard error of the AUROC (DeLong et al. 1988); NaN where a set has one image."""
    if min(ranking.n_id, ranking.n_ood) < 2:
        return float("nan")
    by_id, by_ood = placements(ranking)
    return float(
        np.sqrt(np.var(by_id, ddof=1) / ranking.n_id + np.var(by_ood, ddof=1) / ranking.n_ood)
    )


def auroc_interval(ranking: Ranking, auroc: float, confidence: float = 0.95) -> tuple[float, float]:
    """DeLong's interval on the scale of log A / (1 - A) (Pepe 2003, section 5.2).

    With fewer than ``FEW`` images out of place it is widened to Newcombe's (2006, method 5), which
    does not shrink to a point where the sets are apart; with one image in a set that alone is left.
    """
    wide = _newcombe(auroc, ranking.n_id, ranking.n_ood, confidence)
    error = auroc_standard_error(ranking)
    if not (0 < auroc < 1 and error > 0):
        return wide
    half = NormalDist().inv_cdf(0.5 + confidence / 2) * error / (auroc * (1 - auroc))
    logit = math.log(auroc / (1 - auroc))
    low, high = (1 / (1 + math.exp(-(logit + side * half))) for side in (-1, 1))
    best = 1.0 if auroc >= 0.5 else 0.0
    if min(int((one != best).sum()) for one in placements(ranking)) < FEW:
        return min(low, wide[0]), max(high, wide[1])
    return low, high


def _newcombe(auroc: float, n_id: int, n_ood: int, confidence: float) -> tuple[float, float]:
    """The areas from which this one is no farther than it may be, with the variance of Hanley and
    McNeil for exponential scores and half as many images (Newcombe 2006, method 5)."""
    squared, many = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2, (n_id + n_ood) / 2 - 1

    def too_far(area: float) -> bool:
        more = many * ((1 - area) / (2 - area) + area / (1 + area))
        return (auroc - area) ** 2 > squared * area * (1 - area) * (1 + more) / (n_id * n_ood)

    def end(outside: float) -> float:
        inside = auroc
        for _ in range(60):
            middle = (outside + inside) / 2
            outside, inside = (middle, inside) if too_far(middle) else (outside, middle)
        return inside

    return (end(0.0) if auroc > 0 else 0.0), (end(1.0) if auroc < 1 else 1.0)


def _wilson(count: int, total: int, confidence: float) -> tuple[float, float, float]:
    """A share and its Wilson interval, which keeps its coverage near 0 and 1."""
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    share = count / total
    centre = (count + z2 / 2) / (total + z2)
    half = math.sqrt(z2 * (count * (total - count) / total + z2 / 4)) / (total + z2)
    return share, min(centre - half, share), max(centre + half, share)


def detection_error(ranking: Ranking, confidence: float = 0.95) -> dict[str, float]:
    """Half the share of ID images rejected plus half the share of OOD images accepted, each image
    judged by the threshold with the fewest errors on the other random half.

    The smallest error over all thresholds of the very images that are judged
    (``detection_error_original``, as published) is lower than any threshold keeps on new images.
    The interval joins the two shares' Wilson intervals (Newcombe 1998, method 10).

    :return: ``detection_error`` in [0, 1] and its interval, ``detection_error_low`` and ``_high``;
        NaN where a set has one image
    """
    names = ("detection_error", "detection_error_low", "detection_error_high")
    if min(ranking.n_id, ranking.n_ood) < 2:
        return dict.fromkeys(names, math.nan)
    generator = np.random.default_rng(0)
    parts = [ranking.positions[: ranking.n_id], ranking.positions[ranking.n_id :]]
    # the first half: as many images of each set, whatever the order of the scores
    halves = [generator.permutation(len(part)) < len(part) // 2 for part in parts]
    rejected = accepted = 0
    for first in (True, False):
        counts = [
            np.bincount(part[half == first], minlength=ranking.n_values)
            for part, half in zip(parts, halves, strict=True)
        ]
        below_id, below_ood = (np.append(0, np.cumsum(count)) for count in counts)
        errors = below_ood / below_ood[-1] - below_id / below_id[-1]
        # the images of the lowest so many distinct scores are accepted; of equals the middle one
        equals = np.flatnonzero(errors == errors.min())
        best = int(equals[len(equals) // 2])
        others_id, others_ood = (
            part[half != first] for part, half in zip(parts, halves, strict=True)
        )
        rejected += int((others_id >= best).sum())
        accepted += int((others_ood < best).sum())
    # share, its lower and its upper end, of the ID and of the OOD images
    shares = np.array(
        [
            _wilson(rejected, ranking.n_id, confidence),
            _wilson(accepted, ranking.n_ood, confidence),
        ]
    )
    value = float(shares[:, 0].mean())
    low, high = (float(np.hypot(*(shares[:, end] - shares[:, 0]))) / 2 for end in (1, 2))
    return dict(zip(names, (value, max(0.0, value - low), min(1.0, value + high)), strict=True))


def auroc_difference(first: Ranking, second: Ranking, confidence: float = 0.95) -> dict:
    """Paired DeLong comparison of two methods scored on the same images in the same order.

    :return: ``difference`` (first minus second AUROC), ``low``, ``high``, ``p_value`` (two-sided)
    :raises InputError: if the two differ in their number of images
    """
    if (first.n_id, first.n_ood) != (second.n_id, second.n_ood):
        raise InputError("a paired comparison needs scores of the same images")
    by_id, by_ood = (a - b for a, b in zip(placements(first), placements(second), strict=True))
    difference = float(by_ood.mean())
    error = float(
        np.sqrt(np.var(by_id, ddof=1) / len(by_id) + np.var(by_ood, ddof=1) / len(by_ood))
    )
    half = NormalDist().inv_cdf(0.5 + confidence / 2) * error
    p_value = 2 * NormalDist().cdf(-abs(difference) / error) if error else float(difference == 0)
    return {
        "difference": difference,
        "low": difference - half,
        "high": difference + half,
        "p_value": p_value,
    }


def bootstrap(
    ranking: Ranking, resamples: int, confidence: float = 0.95, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Percentile intervals of ``BOOTSTRAPPED``; ID and OOD images are resampled apart.

    The scores are sorted once: a resample is only a new count per distinct value.
    """
    generator = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in BOOTSTRAPPED}
    of_id, of_ood = ranking.positions[: ranking.n_id], ranking.positions[ranking.n_id :]
    for _ in range(resamples):
        counts = (
            np.bincount(
                positions[generator.integers(len(positions), size=len(positions))],
                minlength=ranking.n_values,
            )
            for positions in (of_id, of_ood)
        )
        for name, value in _Curves(*counts).bootstrapped().items():
            drawn[name].append(value)
    tail = (1 - confidence) / 2
    return {
        name: tuple(float(q) for q in np.quantile(values, [tail, 1 - tail]))
        for name, values in drawn.items()
    }


def flags(ranking: Ranking, auroc: float) -> list[str]:
    """``degenerate``: more than half of all images share one score; ``tied``: a fifth do;
    ``reversed?``: AUROC < .5."""
    share = int((ranking.count_id + ranking.count_ood).max()) / (ranking.n_id + ranking.n_ood)
    found = []
    if share > 0.5:
        found.append("degenerate")
    elif share > 0.2 and ranking.n_id + ranking.n_ood >= 20:
        found.append("tied")
    if auroc < 0.5:
        found.append("reversed?")
    return found


def evaluate(
    scores_id: np.ndarray, scores_ood: np.ndarray, resamples: int = 0, confidence: float = 0.95
) -> dict:
    """Every metric of one (ID, OOD) pair.

    :param scores_id: float64 ``[n_id]``, larger = more OOD
    :param scores_ood: float64 ``[n_ood]``
    :param resamples: bootstrap resamples for the intervals of the AUPR; 0 for none
    :return: ``n_id``, ``n_ood``, the metrics in [0, 1], ``<metric>_low`` and ``<metric>_high``,
        ``infinite`` (number of infinite scores) and ``flags``
    :raises InputError: if a set is empty or holds NaN
    """
    ranking = Ranking(scores_id, scores_ood)
    result = {"n_id": ranking.n_id, "n_ood": ranking.n_ood}
    result["auroc"] = _auroc(ranking.count_id, ranking.count_ood)
    curves = _Curves(ranking.count_id, ranking.count_ood)
    result |= curves.point()
    result |= detection_error(ranking, confidence)
    intervals = {"auroc": auroc_interval(ranking, result["auroc"], confidence)}
    intervals |= curves.intervals(confidence)
    if resamples:
        intervals |= bootstrap(ranking, resamples, confidence)
    for name, (low, high) in intervals.items():
        result[f"{name}_low"], result[f"{name}_high"] = low, high
    result["infinite"] = int(np.isinf(scores_id).sum() + np.isinf(scores_ood).sum())
    result["flags"] = flags(ranking, result["auroc"])
    return result


def roc_curve(scores_id: np.ndarray, scores_ood: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rate (OOD positive), both from 0 to 1, a point per distinct score."""
    ranking = Ranking(scores_id, scores_ood)
    rates = (
        np.append(0, np.cumsum(count[::-1])) / total
        for count, total in (
            (ranking.count_id, ranking.n_id),
            (ranking.count_ood, ranking.n_ood),
        )
    )
    return tuple(rates)


def threshold_at(scores_id: np.ndarray, share: float) -> float:
    """The score up to which ``share`` of the ID images, at least, is accepted."""
    return float(np.sort(scores_id)[at_least(share, len(scores_id)) - 1])
