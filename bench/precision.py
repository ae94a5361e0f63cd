"""What bfloat16 does to the AUROC: two runs of the workflow, compared method by method.

    snakemake --cores all --config seeds=[0,1,2]                       # in one copy of the project
    snakemake --cores all --config seeds=[0,1,2] precision=bfloat16    # in another
    python bench/precision.py one/results/tables/metrics.csv other/results/tables/metrics.csv \
        --out docs/bfloat16.md

Every model is trained and scored in its run's precision. Rounding alone leads a training elsewhere,
as another seed does: so the difference of the means over seeds is set against the standard error
that the seeds give, and the interval of one seed's test images counted beside it.
"""

import argparse
from pathlib import Path

import pandas as pd
import timing

KEYS = ["benchmark", "scale", "method", "ood_set", "protocol"]
# a mean over OOD sets that is this many standard errors away has moved
ERRORS = 2


def compare(exact: pd.DataFrame, rounded: pd.DataFrame) -> pd.DataFrame:
    """One row per method: the mean AUROC over OOD sets and seeds in both, in percent."""
    both = exact.merge(rounded, on=[*KEYS, "seed"], suffixes=("", "_rounded"))
    both["difference"] = both["auroc_rounded"] - both["auroc"]
    both["outside"] = ~both["auroc_rounded"].between(both["auroc_low"], both["auroc_high"])
    rows = []
    for method, mine in both.groupby("method"):
        # of the seeds, with the sets' mean in each
        seeds = mine.groupby("seed")[["auroc", "auroc_rounded"]].mean()
        error = (seeds.var(ddof=1).sum() / len(seeds)) ** 0.5
        difference = float((seeds["auroc_rounded"] - seeds["auroc"]).mean())
        rows.append(
            {
                "method": method,
                "float32": 100 * seeds["auroc"].mean(),
                "bfloat16": 100 * seeds["auroc_rounded"].mean(),
                "difference": 100 * difference,
                "standard error": 100 * error,
                "outside": f"{mine['outside'].sum()} of {len(mine)}",
                "moved": "yes" if abs(difference) > ERRORS * error else "",
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("float32", type=Path)
    parser.add_argument("bfloat16", type=Path)
    parser.add_argument("--out", type=Path, help="where to write the table")
    chosen = parser.parse_args()
    tables = [pd.read_csv(path) for path in (chosen.float32, chosen.bfloat16)]
    found = compare(*tables)
    seeds, sets = (tables[0][name].nunique() for name in ("seed", "ood_set"))
    header = ["method", "float32", "bfloat16", "difference", "standard error"]
    header += ["cells outside the interval", "moved"]
    rows = [[f"{v:.2f}" if isinstance(v, float) else v for v in row] for row in found.values]
    names = ", ".join(sorted(tables[0]["benchmark"].unique()))
    scale = tables[0]["scale"].iloc[0]
    text = (
        "# bfloat16\n\nWritten by `bench/precision.py`: AUROC in percent of runs with `precision: "
        f"float32` and `bfloat16`, mean over {sets} OOD sets and {seeds} seeds; {names}, {scale} "
        "scale. The standard error is that of the difference, from the seeds of both. A cell, one "
        "seed and OOD set, lies outside where bfloat16's AUROC leaves float32's 95 % interval. "
        f"Moved: by more than {ERRORS} standard errors.\n\n{timing.table(header, rows)}\n"
    )
    print(text)
    if chosen.out:
        chosen.out.write_text(text)


if __name__ == "__main__":
    main()
