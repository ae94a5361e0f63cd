"""Which methods can be told apart over all OOD sets and seeds of a benchmark.

A block is one OOD set with one seed; in each the methods are ranked by AUROC. Friedman's test asks
whether the ranks differ at all, Conover's (1999, section 5.8) which pairs do, with Holm's
correction. Blocks of one seed share their models, so they are not quite independent: a difference
that the test cannot see is not there to be claimed, one that it sees may be that of these models.
"""

from collections import Counter

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare

LEVEL = 0.05
PLACE = ["benchmark", "scale", "protocol"]
COLUMNS = [*PLACE, "method", "mean_rank", "letters", "n_blocks", "n_methods", "p_value"]
# a test of ranks needs so many
METHODS, BLOCKS = 3, 2


def cells(rows: pd.DataFrame) -> frozenset[tuple[str, int]]:
    """OOD sets and seeds."""
    return frozenset(zip(rows["ood_set"], rows["seed"], strict=True))


def shared_cells(rows: pd.DataFrame) -> frozenset[tuple[str, int]]:
    """What most methods were judged on; of equals the larger."""
    counts = Counter(cells(one) for _, one in rows.groupby("method"))
    return max(counts, key=lambda found: (counts[found], len(found), sorted(found)))


def blocks(rows: pd.DataFrame) -> pd.DataFrame:
    """AUROC, a row for each block and a column for each method that was judged on all of them.

    :param rows: of ``metrics.csv``, of one benchmark, scale and protocol
    """
    wide = rows.pivot(index=["ood_set", "seed"], columns="method", values="auroc")
    return wide.loc[sorted(shared_cells(rows))].dropna(axis=1)


def mean_ranks(auroc: pd.DataFrame) -> pd.Series:
    """By method, the best first; ties share their ranks."""
    return auroc.rank(axis=1, ascending=False).mean().sort_values(kind="stable")


def friedman(auroc: pd.DataFrame) -> float:
    """p value of the hypothesis that no method differs; 1 where all are equal in every block, and
    for fewer than ``METHODS`` methods or ``BLOCKS`` blocks.

    :param auroc: see ``blocks``
    """
    few = auroc.shape[1] < METHODS or len(auroc) < BLOCKS
    if few or (auroc.nunique(axis=1) == 1).all():
        return 1.0
    return float(friedmanchisquare(*auroc.to_numpy().T).pvalue)


def pairwise(auroc: pd.DataFrame) -> pd.DataFrame:
    """p value of each pair of methods; all 1 where Friedman's test finds no difference."""
    names = auroc.columns
    if friedman(auroc) >= LEVEL:
        return pd.DataFrame(1.0, index=names, columns=names)
    # it takes seconds to import
    import scikit_posthocs

    # where all blocks agree nothing is left to err by: equal ranks are 0 / 0
    with np.errstate(divide="ignore", invalid="ignore"):
        found = scikit_posthocs.posthoc_conover_friedman(auroc.to_numpy(), p_adjust="holm")
    values = found.fillna(1.0).to_numpy(copy=True)
    np.fill_diagonal(values, 1.0)
    return pd.DataFrame(values, index=names, columns=names)


def groups(ranks: pd.Series, p_values: pd.DataFrame) -> list[list[str]]:
    """The largest groups of methods, neighbours by rank, of which no pair can be told apart."""
    names, found, reached = list(ranks.index), [], -1
    apart = p_values.loc[names, names].to_numpy() < LEVEL
    for first in range(len(names)):
        last = first
        while last + 1 < len(names) and not apart[first : last + 1, last + 1].any():
            last += 1
        if last > reached:
            found.append(names[first : last + 1])
            reached = last
    return found


def letter(number: int) -> str:
    """a, b, … z, aa, ab, …"""
    more, own = divmod(number, 26)
    return (letter(more - 1) if more else "") + "abcdefghijklmnopqrstuvwxyz"[own]


def ranks_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """Mean ranks of the methods of each benchmark, scale and protocol, over OOD sets and seeds.

    :param metrics: see ``ood.evaluation.tables.metrics_table``
    :return: ``mean_rank``, 1 is the best; ``letters``, separated by spaces: methods with one in
        common cannot be told apart; ``p_value`` of Friedman's test. Nothing for fewer than
        ``METHODS`` methods or ``BLOCKS`` blocks
    """
    rows = []
    for place, part in metrics.groupby(PLACE, sort=True):
        auroc = blocks(part)
        if auroc.shape[1] < METHODS or len(auroc) < BLOCKS:
            continue
        ranks = mean_ranks(auroc)
        letters: dict[str, list[str]] = {name: [] for name in ranks.index}
        for number, group in enumerate(groups(ranks, pairwise(auroc))):
            for name in group:
                letters[name].append(letter(number))
        facts = [len(auroc), auroc.shape[1], friedman(auroc)]
        rows += [[*place, name, ranks[name], " ".join(letters[name]), *facts] for name in letters]
    return pd.DataFrame(rows, columns=COLUMNS)
