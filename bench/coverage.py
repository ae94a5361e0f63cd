"""How often the intervals hold the true value: AUROC and FPR95 of two normal laws, by simulation.

    python bench/coverage.py --out docs/coverage.md

Beside ours stands what was used before: DeLong's interval on the plain scale, and percentiles of a
bootstrap (of fewer draws, since each costs many resamples).
"""

import argparse
import math
from pathlib import Path
from statistics import NormalDist

import numpy as np
import timing  # so that the library is found

from ood.evaluation import metrics

NORMAL = NormalDist()
AREAS = (0.5, 0.9, 0.99, 0.999, 1.0)
# images of each set, with draws for the formulas and for the bootstrap
SIZES = {20: (4000, 400), 360: (2000, 200), 10_000: (400, 0)}
RESAMPLES = 200


def plain_delong(ranking, auroc):
    half = NORMAL.inv_cdf(0.975) * metrics.auroc_standard_error(ranking)
    return max(0.0, auroc - half), min(1.0, auroc + half)


def bootstrapped(scores_id, scores_ood, generator):
    found = []
    for _ in range(RESAMPLES):
        pair = (generator.choice(one, len(one)) for one in (scores_id, scores_ood))
        found.append(metrics.evaluate(*pair)["fpr95"])
    return np.quantile(found, [0.025, 0.975])


def covers(interval, true):
    return interval[0] - 1e-12 <= true <= interval[1] + 1e-12


def row(count, area):
    """Shares of draws whose interval holds the truth, and mean widths, for a size and an area."""
    draws, slow = SIZES[count]
    generator = np.random.default_rng(0)
    # 1 is beyond any normal law: far enough apart for all draws
    shift = math.sqrt(2) * NORMAL.inv_cdf(area) if area < 1 else 20.0
    rate = NORMAL.cdf(NORMAL.inv_cdf(0.95) - shift)
    hits, widths = np.zeros(4), np.zeros(2)
    for number in range(draws):
        pair = generator.normal(size=count), generator.normal(shift, 1, count)
        found = metrics.evaluate(*pair)
        ours = [(found[f"{name}_low"], found[f"{name}_high"]) for name in ("auroc", "fpr95")]
        before = plain_delong(metrics.Ranking(*pair), found["auroc"])
        hits[:3] += [covers(ours[0], area), covers(before, area), covers(ours[1], rate)]
        widths += [high - low for low, high in ours]
        if number < slow:
            hits[3] += covers(bootstrapped(*pair, generator), rate)
    shares = [*hits[:3] / draws, hits[3] / slow if slow else math.nan]
    return [str(count), f"{area:g}", *(f"{s:.3f}" if s == s else "–" for s in shares)] + [
        f"{width:.4f}" for width in widths / draws
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    rows = []
    for count in SIZES:
        for area in AREAS:
            rows.append(row(count, area))
            print(*rows[-1], flush=True)
    head = ["images of each set", "true AUROC", "AUROC", "AUROC, plain DeLong"]
    head += ["FPR95", "FPR95, bootstrap", "width, AUROC", "width, FPR95"]
    given.out.write_text(
        "# Do the intervals hold what they say?\n\n"
        "Written by `python bench/coverage.py --out docs/coverage.md`: the share of draws whose "
        "95 % interval holds the true value. Scores of both sets are normal. Plain DeLong and the "
        "bootstrap are what was used before.\n\n" + timing.table(head, rows) + "\n\n"
        "With 20 ID images the threshold of FPR95 can lie beyond all of them: the upper end is 1 "
        "then. A dash: the bootstrap takes too long there and is left out.\n"
    )


if __name__ == "__main__":
    main()
