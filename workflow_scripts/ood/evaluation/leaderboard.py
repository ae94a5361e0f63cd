"""The leaderboard: methods by group of OOD sets, with the ranks that the intervals leave open."""

from collections import Counter

import pandas as pd

from ood.config.benchmarks import Loader
from ood.errors import InputError
from ood.evaluation.ranks import LEVEL, PLACE, cells, shared_cells
from ood.evaluation.tables import markdown, outward

CONVENTION = """\
Percent. AUROC: chance that an OOD image scores higher than an ID image. FPR95: share of OOD images
accepted at the threshold that accepts 95 % of the ID test images. Averages are over the OOD sets
and seeds that most methods of a group have; ± is the sample standard deviation over seeds. In
brackets the mean of the sets' 95 % intervals over test images, rounded outward; ranks, in the first
group, are as many as these intervals leave open. A method without all of the sets or seeds has no
rank there, and its own averages. Mean ranks are over all OOD sets and seeds: ranks.csv, and the
picture of ranks. The single sets: metrics.csv.
"""
OOD_POSITIVE = (
    "FPR95: share of OOD images\naccepted at the threshold that accepts 95 % of the ID test images",
    "FPR95: share of ID images\nrejected at the threshold that rejects 95 % of the OOD images",
)


def group_orders(loader: Loader, metrics: pd.DataFrame) -> dict[str, list[str]]:
    """The groups of OOD sets of each benchmark, in its file's order."""
    found = {}
    for name, rows in metrics.groupby("benchmark"):
        groups = list(dict.fromkeys(rows["group"]))
        try:
            order = loader.groups(name)
        except InputError:
            # measured when there still was such a benchmark
            order = []
        found[name] = sorted(groups, key=lambda one: (*order, one).index(one))
    return found


def leaderboard_table(
    metrics: pd.DataFrame, orders: dict[str, list[str]], ranks: pd.DataFrame
) -> pd.DataFrame:
    """Methods by group of OOD sets: averaged over the group's sets, then over seeds; best first.

    All that is ranked is averaged over the same sets and seeds: those that most methods have
    (``ranks.shared_cells``). A method that lacks some has its own averages and no rank, behind the
    others.

    ``auroc_low`` and ``auroc_high`` average the ends of the single intervals, as if all sets and
    seeds erred together: no narrower than the average's own. ``rank_best`` and ``rank_worst``
    count the methods whose intervals lie wholly above, or not wholly below; they know nothing of
    how seeds differ.

    :param orders: the groups of each benchmark
    :param ranks: over all groups, see ``ranks.ranks_table``
    :return: ``n_sets`` and ``n_seeds`` of each row's averages; ``left_out``, what some methods have
        been judged on beside that
    """
    places = ["benchmark", "scale", "group", "protocol"]
    parts = []
    for place, rows in metrics.groupby(places, sort=True, dropna=False):
        shared = shared_cells(rows)
        of_method = dict(list(rows.groupby("method", sort=True)))
        full = {name: shared <= cells(one) for name, one in of_method.items()}
        averaged = pd.concat(
            [one[_in(one, shared)] if full[name] else one for name, one in of_method.items()]
        )
        part = _averages(averaged).assign(**dict(zip(places, place, strict=True)))
        part["left_out"] = _beside(of_method, shared)
        ranked = part["method"].map(full)
        low, high = (part.loc[ranked, name].to_numpy() for name in ("auroc_low", "auroc_high"))
        part.loc[ranked, "rank_best"] = [1 + (low > one).sum() for one in high]
        part.loc[ranked, "rank_worst"] = [len(low) - (high < one).sum() for one in low]
        parts.append(part.assign(order=orders[place[0]].index(place[2]), apart=~ranked))
    table = pd.concat(parts).astype({"rank_best": "Int64", "rank_worst": "Int64"})
    over_all = ["mean_rank", "letters", "n_blocks", "p_value"]
    table = table.merge(ranks[[*PLACE, "method", *over_all]], how="left", on=[*PLACE, "method"])
    first = [*places, "method", "tuned_on", "n_sets", "n_seeds"]
    last = ["rank_best", "rank_worst", *over_all, "left_out", "flags"]
    middle = [name for name in table if name not in (*first, *last, "order", "apart")]
    return table.sort_values(
        ["benchmark", "scale", "order", "protocol", "apart", "auroc_mean"],
        ascending=[True, True, True, True, True, False],
        ignore_index=True,
    )[[*first, *middle, *last]]


def _in(rows: pd.DataFrame, shared: frozenset) -> list[bool]:
    return [cell in shared for cell in zip(rows["ood_set"], rows["seed"], strict=True)]


def _beside(of_method: dict[str, pd.DataFrame], shared: frozenset) -> str:
    """OOD sets and seeds that are in no average of the ranked methods, with how many have them."""
    found = []
    for index, word in enumerate(("", "seed ")):
        known = {cell[index] for cell in shared}
        counts = Counter(
            name
            for one in of_method.values()
            for name in {cell[index] for cell in cells(one)} - known
        )
        found += [f"{word}{name} ({n} of {len(of_method)} methods)" for name, n in counts.items()]
    return ", ".join(sorted(found))


def _averages(rows: pd.DataFrame) -> pd.DataFrame:
    """Of a group's sets within each seed, then of the seeds, one row per method."""
    measures = ["id_accuracy", "auroc", "fpr95", "fpr95_ood_positive"]
    measures += ["aupr_in", "aupr_in_trapezoid", "aupr_out", "aupr_out_trapezoid", "f1"]
    measures += ["cauroc", "aurc", "augrc"]
    ends, keys = ["auroc_low", "auroc_high"], ["method", "tuned_on"]
    per_seed = rows.groupby([*keys, "seed"], dropna=False)[[*measures, *ends]].mean()
    over_seeds, grouped = per_seed.groupby(keys, dropna=False), rows.groupby(keys, dropna=False)
    columns = {"n_sets": grouped["ood_set"].nunique(), "n_seeds": over_seeds.size()}
    for name in measures:
        columns |= {f"{name}_mean": over_seeds[name].mean(), f"{name}_sd": over_seeds[name].std()}
    columns |= {name: over_seeds[name].mean() for name in ends}
    table = pd.DataFrame(columns)
    table["flags"] = pd.Series({key: _flags_by_set(one) for key, one in grouped})
    return table.reset_index()


def _flags_by_set(rows: pd.DataFrame) -> str:
    """Each flag once, with the OOD sets that it is about unless these are all."""
    found = {}
    for one in rows.itertuples():
        for flag in filter(None, one.flags.split("; ")):
            found.setdefault(flag, {})[one.ood_set] = None
    every = rows["ood_set"].nunique()
    return "; ".join(
        flag if len(sets) == every else f"{flag} ({', '.join(sets)})"
        for flag, sets in found.items()
    )


def leaderboard_text(
    leaderboard: pd.DataFrame, left_out: dict[str, int], positive: str = "id"
) -> str:
    """The leaderboard as Markdown, in percent; best in the benchmark's first group on top.

    :param left_out: see ``UpToDate``
    :param positive: which images FPR95 takes for the positive ones, ``id`` or ``ood``
    """
    fpr95 = {"id": "fpr95", "ood": "fpr95_ood_positive"}[positive]
    parts = []
    for (benchmark, scale), rows in leaderboard.groupby(["benchmark", "scale"], sort=True):
        parts += [f"## {benchmark} ({scale} scale)", _table(rows, fpr95)]
        if notes := _notes(rows):
            parts.append("\n".join(notes))
    if left_out:
        listed = "\n".join(f"* {name}: {count}" for name, count in left_out.items())
        parts.append(
            f"Left out, {sum(left_out.values())} pairs in the results folder that today's settings "
            f"and code would compute again or not at all:\n\n{listed}"
        )
    convention = CONVENTION if positive == "id" else CONVENTION.replace(*OOD_POSITIVE)
    return "\n\n".join([*parts, convention])


def _in_order(rows: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """Method, protocol and rows; a method that was not judged on the first group is behind those
    that were."""
    first = rows["group"].iloc[0]
    methods = list(dict.fromkeys(zip(rows["method"], rows["protocol"], strict=True)))
    return [
        (method, protocol, rows[(rows["method"] == method) & (rows["protocol"] == protocol)])
        for method, protocol in sorted(methods, key=lambda one: _place(rows, first, *one))
    ]


def _table(rows: pd.DataFrame, fpr95: str) -> str:
    """A line for each method of a benchmark."""
    groups = list(dict.fromkeys(rows["group"]))
    protocols = rows["protocol"].nunique() > 1
    over_all = bool(rows["mean_rank"].notna().any())
    header = ["rank", *["mean rank"] * over_all, "method", *["protocol"] * protocols]
    header += ["seeds", "sets", "ID accuracy"]
    header += [f"{name} {group}" for group in groups for name in ("AUROC", "FPR95")]
    lines = []
    for method, protocol, mine in _in_order(rows):
        of_group = {one["group"]: one for _, one in mine.iterrows()}
        lead = next(iter(of_group.values()))
        seeds = [one["n_seeds"] for one in of_group.values()]
        sets = (str(of_group[g]["n_sets"]) if g in of_group else "0" for g in groups)
        line = [_ranks(lead) if groups[0] in of_group else "–", *[_mean_rank(lead)] * over_all]
        line += [method, *[protocol] * protocols]
        line += ["–".join(map(str, dict.fromkeys([min(seeds), max(seeds)]))), " + ".join(sets)]
        line.append(_cell(lead, "id_accuracy"))
        for group in groups:
            one = of_group.get(group)
            line += ["–" if one is None else _cell(one, name) for name in ("auroc", fpr95)]
        lines.append(line)
    return markdown(header, lines)


def _notes(rows: pd.DataFrame) -> list[str]:
    """What is to be known of a benchmark's lines: flags, sets that are in no average, seeds."""
    groups, every = list(dict.fromkeys(rows["group"])), rows["method"].nunique()
    flags: dict[str, dict[str, None]] = {}
    for method, _, mine in _in_order(rows):
        tuned_on = mine["tuned_on"].iloc[0]
        if tuned_on != "nothing":
            flags.setdefault(f"tuned on {tuned_on}", {})[method] = None
        for flag in filter(None, "; ".join(mine["flags"]).split("; ")):
            flags.setdefault(flag, {})[method] = None
    notes = [
        f"* {flag}: {'all methods' if len(whom) == every else ', '.join(whom)}"
        for flag, whom in flags.items()
    ]
    notes += [
        f"* in no average of {group}: {text}"
        for group in groups
        for text in dict.fromkeys(rows.loc[rows["group"] == group, "left_out"])
        if text
    ]
    ranked = rows[rows["rank_best"].notna() & (rows["group"] == groups[0])]
    if (ranked["n_seeds"] == 1).all():
        notes.append("* one seed: the ranks do not know how much seeds differ")
    return [*notes, *_told_apart(rows)]


def _told_apart(rows: pd.DataFrame) -> list[str]:
    """Of each protocol, what its mean ranks are over and which methods share a letter."""
    found, several = [], rows["protocol"].nunique() > 1
    for protocol, part in rows[rows["mean_rank"].notna()].groupby("protocol", sort=True):
        methods = part.drop_duplicates("method").sort_values("mean_rank", kind="stable")
        first = methods.iloc[0]
        p_value = first["p_value"]
        shown = "p < .001" if p_value < 0.001 else f"p = {p_value:.3f}".replace("0.", ".", 1)
        text = f"mean rank{f' ({protocol})' if several else ''}: over {first['n_blocks']:.0f} OOD "
        text += f"sets and seeds (Friedman {shown}). "
        if p_value >= LEVEL:
            found.append(f"* {text}No two methods can be told apart")
            continue
        best = [one.method for one in methods.itertuples() if "a" in one.letters.split()]
        found.append(
            f"* {text}Methods with a common letter cannot be told apart (Conover, Holm, 5 %). "
            f"Not told from the best: {', '.join(best)}"
        )
    return found


def _cell(one: pd.Series, name: str) -> str:
    """Mean, deviation and, of the AUROC, the interval, in percent."""
    mean, deviation = one[f"{name}_mean"], one[f"{name}_sd"]
    if pd.isna(mean):
        return "–"
    text = f"{100 * mean:.1f}"
    if pd.notna(deviation):
        text += f" ± {100 * deviation:.1f}"
    if name == "auroc":
        text += f" {outward(one['auroc_low'], one['auroc_high'])}"
    return text


def _ranks(one: pd.Series) -> str:
    best, worst = one["rank_best"], one["rank_worst"]
    if pd.isna(best):
        return "–"
    return f"{best}" if best == worst else f"{best}–{worst}"


def _mean_rank(one: pd.Series) -> str:
    return "–" if pd.isna(one["mean_rank"]) else f"{one['mean_rank']:.1f} {one['letters']}"


def _place(rows: pd.DataFrame, group: str, method: str, protocol: str) -> int:
    """The place of a method in a group of the leaderboard, which is sorted."""
    order = rows[rows["group"] == group].reset_index(drop=True)
    found = order.index[(order["method"] == method) & (order["protocol"] == protocol)]
    # of protocols under each other the better one is first
    return int(found[0]) if len(found) else len(order)
