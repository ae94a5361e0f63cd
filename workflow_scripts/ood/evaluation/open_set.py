"""Metrics of methods that also name a class: macro F1 with the unknown as a class, and CAUROC."""

from dataclasses import dataclass

import numpy as np

from ood.evaluation.metrics import threshold_at


@dataclass(frozen=True)
class Decisions:
    """What a method that classifies says of a set of images.

    :param scores: float64 ``[N]``, larger = more OOD
    :param predictions: int64 class ``[N]``; -1 where the method itself rejects
    :param labels: int64 class ``[N]``; -1 for OOD images
    """

    scores: np.ndarray
    predictions: np.ndarray
    labels: np.ndarray

    @classmethod
    def joined(
        cls, known: tuple[np.ndarray, np.ndarray, np.ndarray], unknown: tuple[np.ndarray, ...]
    ) -> "Decisions":
        """Of ID images (scores, predictions, labels) and OOD images (scores, predictions)."""
        scores, predictions = (
            np.concatenate(pair) for pair in zip(known[:2], unknown[:2], strict=True)
        )
        return cls(scores, predictions, np.append(known[2], np.full(len(unknown[0]), -1)))


def _f1(right: np.ndarray, predicted: np.ndarray, true: np.ndarray | int) -> np.ndarray:
    """2 TP / (predicted + true), 0 where both are 0."""
    total = predicted + true
    return np.divide(2 * right, total, out=np.zeros(len(total)), where=total > 0)


def f1_curve(decisions: Decisions, classes: list[int]) -> dict[str, np.ndarray]:
    """What accepting all images up to a score gives, for every distinct score, ascending.

    :param classes: the ID classes; "unknown" is one more, for OOD images and for rejected ones
    :return: ``threshold``; ``f1``, the macro F1 over K + 1 classes; ``id_accepted`` and
        ``ood_accepted``, shares; ``known_accuracy`` (accepted and right) and ``unknown_accuracy``
        (rejected); ``rejected_errors``, the share of rejections among the errors on ID images
    """
    order = np.argsort(decisions.scores, kind="stable")
    scores, predictions, labels = (
        values[order] for values in (decisions.scores, decisions.predictions, decisions.labels)
    )
    # the last image of each distinct score
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)

    def up_to(chosen: np.ndarray) -> np.ndarray:
        return np.cumsum(chosen)[ends]

    known, n_id = labels >= 0, int((labels >= 0).sum())
    n_ood = len(labels) - n_id
    f1, hits, taken = (np.zeros(len(ends), kind) for kind in (float, np.int64, np.int64))
    # class by class: memory grows with the images alone
    for k in classes:
        chosen, mine = predictions == k, labels == k
        predicted, right = up_to(chosen), up_to(chosen & mine)
        f1 += _f1(right, predicted, int(mine.sum()))
        hits += right
        taken += predicted
    taken_id = up_to(np.isin(predictions, classes) & known)
    taken_ood = taken - taken_id
    f1 += _f1(n_ood - taken_ood, len(labels) - taken, n_ood)
    errors = n_id - hits
    return {
        "threshold": scores[ends],
        "f1": f1 / (len(classes) + 1),
        "id_accepted": taken_id / n_id,
        "ood_accepted": taken_ood / n_ood,
        "known_accuracy": hits / n_id,
        "unknown_accuracy": 1 - taken_ood / n_ood,
        "rejected_errors": np.divide(
            n_id - taken_id, errors, out=np.zeros(len(ends)), where=errors > 0
        ),
    }


def _f1_accepting(accepted: np.ndarray, decisions: Decisions, classes: list[int]) -> float:
    """The macro F1 over K + 1 classes of accepting these images, bool ``[N]``."""
    taken = accepted & np.isin(decisions.predictions, classes)
    predicted, labels = np.where(taken, decisions.predictions, -1), decisions.labels
    counts = [
        [(chosen == k).sum() for k in (*classes, -1)]
        for chosen in (predicted[predicted == labels], predicted, labels)
    ]
    right, predicted, true = np.array(counts)
    return float(_f1(right, predicted, true).mean())


def selective_risk(decisions: Decisions) -> dict[str, float]:
    """How safe it is to act on the classes of the images with the lowest scores.

    Accepting an image is a failure where its class is wrong, or where it is OOD. An image that the
    method rejects by itself is accepted last. Images with equal scores are accepted together.

    :return: ``aurc``, the mean over all images of the share of failures among the images that are
        accepted up to it (Geifman and El-Yaniv 2017): early failures weigh most; ``augrc``, the
        chance that of two random images the first is a failure and is accepted before the second,
        or at once with it, which counts one half (Traub et al. 2024, arXiv 2407.01032). Lower is
        better
    """
    scores, predictions, labels = decisions.scores, decisions.predictions, decisions.labels
    # the last images that are accepted, all at once
    values, positions = np.unique(np.where(predictions >= 0, scores, np.inf), return_inverse=True)
    failed = (labels < 0) | (predictions != labels)
    accepted = np.bincount(positions, minlength=len(values))
    failures = np.cumsum(np.bincount(positions[failed], minlength=len(values)))
    total, covered = len(labels), np.cumsum(accepted)
    before = np.append(0, failures[:-1])
    return {
        "aurc": float((accepted * (failures / covered)).sum()) / total,
        "augrc": float((accepted * (before + failures)).sum()) / (2 * total * total),
    }


def open_set(decisions: Decisions, classes: list[int]) -> dict[str, float]:
    """Metrics of classifying and rejecting at once.

    :return: the macro F1 over K + 1 classes at the threshold that accepts 95 % of ID images, where
        that is found on the ID images of the other random half (``f1``) or on all that are judged
        (``f1_original``, as published), and at the best threshold (``f1_best``, an oracle);
        ``aurc`` and ``augrc``, see ``selective_risk``; ``cauroc``, the area under the share of the
        rightly classified ID images that are accepted over the share of OOD images accepted; 0
        where none is classified rightly. Where a method rejects by itself, images that it rejects
        at every threshold are neither; that curve then runs level from the share of OOD images that
        it can accept to 1
    """
    curve = f1_curve(decisions, classes)
    known = decisions.labels >= 0
    whole = threshold_at(decisions.scores[known], 0.95)
    half = np.random.default_rng(0).random(len(known)) < 0.5
    thresholds = np.full(len(known), whole)
    for part in (half, ~half):
        others = decisions.scores[known & ~part]
        if len(others):
            thresholds[part] = threshold_at(others, 0.95)
    false, hits = (curve[name] for name in ("ood_accepted", "known_accuracy"))
    false, hits = np.concatenate([[0.0], false, [1.0]]), np.concatenate([[0.0], hits, hits[-1:]])
    true = hits / hits[-1] if hits[-1] else hits
    return {
        "f1": _f1_accepting(decisions.scores <= thresholds, decisions, classes),
        "f1_original": float(curve["f1"][np.searchsorted(curve["threshold"], whole)]),
        "f1_best": float(curve["f1"].max()),
        "cauroc": float(np.trapezoid(true, false)),
    } | selective_risk(decisions)
