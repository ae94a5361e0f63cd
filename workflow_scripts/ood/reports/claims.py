"""What papers claim, beside what our studies found: a row each, and a verdict by a rule."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ood.config.checks import checked
from ood.config.contents import PublishedClaim, PublishedClaims
from ood.config.yaml_files import load_yaml
from ood.errors import InputError
from ood.evaluation.tables import markdown
from ood.reports.studies import Cell, differences

VERDICTS = ("holds", "in part", "does not hold", "cannot be said", "not run")
RULE = """| verdict | by the 95 % interval of the difference in AUROC |
| --- | --- |
| holds | above 0 on every set |
| in part | above 0 on some sets, not on all |
| does not hold | above 0 on none, below 0 on some |
| cannot be said | 0 lies within it on all sets |

The verdict is that of the largest scale that has been run with healthy models. "Flagged": a model
of the method was in a bad state. "One seed": the interval knows how test images differ, not how
trainings do. "Ours" is the difference in percent points, the least to the most over the sets;
"published" the AUROC of the first method on these sets."""


def load_claims(path: Path) -> list[PublishedClaim]:
    """``docs/claims.yaml``.

    :raises InputError: if it is not as it has to be
    """
    return checked(PublishedClaims, load_yaml(path), str(path)).claims


@dataclass(frozen=True)
class Evidence:
    """What a scale says about a claim.

    :param differences: see ``studies.differences``
    :param seeds: how many they rest on, each number once
    :param flagged: whether a model that the method rests on is in a bad state
    """

    differences: dict[Cell, tuple[float, float, float]]
    seeds: list[int]
    flagged: bool

    def verdict(self) -> str:
        """By ``RULE``."""
        better = [low > 0 for _, low, _ in self.differences.values()]
        if any(better):
            return "holds" if all(better) else "in part"
        worse = any(high < 0 for _, _, high in self.differences.values())
        return "does not hold" if worse else "cannot be said"

    def text(self) -> str:
        """The differences, in percent points."""
        count = " or ".join(map(str, self.seeds)) + " seed" + "s" * (self.seeds != [1])
        count += "; flagged" * self.flagged
        found = self.differences.values()
        if len(found) == 1:
            ((middle, low, high),) = found
            return f"{100 * middle:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]; {count}"
        middles = [100 * middle for middle, _, _ in found]
        worse = sum(high < 0 for _, _, high in found)
        text = f"{min(middles):+.1f} to {max(middles):+.1f}; better on "
        text += f"{sum(low > 0 for _, low, _ in found)} of {len(found)} sets"
        return f"{text}{f', worse on {worse}' * bool(worse)}; {count}"


def evidence(
    claim: PublishedClaim, scale: str, results: dict[str, pd.DataFrame]
) -> Evidence | None:
    """What the studies of a scale say about a claim; None where none was run.

    :param results: what ``record`` gave, by study
    :raises InputError: if a study that was run has no such methods or sets
    """
    names = [name for name in claim.studies.get(scale, []) if name in results]
    if not names:
        return None
    found: dict[Cell, tuple[float, float, float]] = {}
    chosen = []
    for name in names:
        rows = results[name]
        mine = differences(rows, claim.method, claim.than)
        found |= {
            cell: one
            for cell, one in mine.items()
            if claim.sets is None or "/".join(cell) in claim.sets
        }
        cells = pd.Series(zip(rows["benchmark"], rows["ood_set"], strict=True), rows.index)
        methods = rows["method"].isin([claim.method, claim.than])
        chosen.append(rows[cells.isin(list(found)) & methods & rows["protocol"].eq("final")])
    missing = set(claim.sets or []) - {"/".join(cell) for cell in found}
    if missing or not found:
        raise InputError(
            f"claims.yaml: {claim.paper}, {claim.says!r}: {', '.join(names)} has no numbers of "
            f"{claim.method} and {claim.than} on {', '.join(sorted(missing)) or 'the same set'}"
        )
    rows = pd.concat(chosen)
    # a model's flag begins with its name
    flags = rows["flags"].fillna("") if "flags" in rows else pd.Series(dtype=str)
    return Evidence(found, sorted(set(rows["seeds"])), bool(flags.str.contains(": ").any()))


def matrix(
    claims: list[PublishedClaim],
    results: dict[str, pd.DataFrame],
    published: pd.DataFrame,
    anchors: dict[str, str],
) -> str:
    """The table as Markdown, and the rule.

    :param published: ``benchmark, method, ood_set, metric, published``
    :param anchors: where each study is told of
    """
    rows = []
    for claim in claims:
        at = {scale: evidence(claim, scale, results) for scale in ("quick", "paper")}
        judged, marks = _judged(at)
        links = [f"[{name}]({anchors[name]})" for names in claim.studies.values() for name in names]
        row = [claim.paper, claim.says, ", ".join([judged, *marks])]
        row += [one.text() if one else "not run" for one in at.values()]
        row += [_published(claim, at, published), f"`{claim.method}` – `{claim.than}`"]
        rows.append([*row, ", ".join(links)])
    header = ["paper", "claim", "verdict", "ours, `quick`", "ours, `paper`", "published"]
    table = markdown([*header, "difference", "study"], rows)
    return f"## What holds\n\n{table}\n\n{RULE}"


def in_short(claims: list[PublishedClaim], results: dict[str, pd.DataFrame]) -> str:
    """The claims by verdict, for README."""
    by_verdict: dict[str, list[str]] = {}
    for claim in claims:
        at = {scale: evidence(claim, scale, results) for scale in ("quick", "paper")}
        judged, marks = _judged(at)
        noted = f" ({', '.join(marks)})" if marks else ""
        by_verdict.setdefault(judged, []).append(f"{claim.paper}: {claim.says}{noted}")
    lines = [["verdict", "claims"], ["---", "---"]]
    lines += [[name, "<br>".join(by_verdict[name])] for name in VERDICTS if name in by_verdict]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _judged(at: dict[str, Evidence | None]) -> tuple[str, list[str]]:
    """The verdict, and what weakens it."""
    run = [one for one in at.values() if one]
    if not run:
        return "not run", []
    # what a dead model does is not what the method does
    last = ([one for one in run if not one.flagged] or run)[-1]
    marks = ["one seed"] * (1 in last.seeds) + ["flagged"] * last.flagged
    return last.verdict(), marks


def _published(
    claim: PublishedClaim, at: dict[str, Evidence | None], published: pd.DataFrame
) -> str:
    """The published AUROC of the claim's method, where there are numbers that were checked."""
    cells = {cell for one in at.values() if one for cell in one.differences}
    known = published[
        published["method"].eq(claim.method)
        & published["metric"].eq("auroc")
        & published["confidence"].eq("verified")
    ].dropna(subset="published")
    found = [
        100 * row["published"]
        for row in known.to_dict("records")
        if (row["benchmark"], row["ood_set"]) in cells
    ]
    if not found:
        return "in words"
    low, high = f"{min(found):.1f}", f"{max(found):.1f}"
    return low if low == high else f"{low} to {high}"
