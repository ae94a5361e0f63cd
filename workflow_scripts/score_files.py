"""What plots and comparisons share: scores of the ID classes and of each OOD set."""

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ood.metrics import Decisions


def _table(benchmark: str, seed: int, method: str, part: dict, suffix: str, columns=None):
    path = f"results/{benchmark}/seed{seed}/scores/{method}/{part['dataset']}{suffix}.parquet"
    table = pq.read_table(path, columns=columns)
    if part["classes"] is not None:
        table = table.filter(pc.field("label").isin(part["classes"]))
    return table


def scores(benchmark: str, seed: int, method: str, part: dict) -> np.ndarray:
    """Scores of one image set, restricted to ``part["classes"]`` (None: all)."""
    return _table(benchmark, seed, method, part, "", ["label", "score"])["score"].to_numpy()


def decisions(
    benchmark: str, seed: int, method: str, parts: dict[str, dict], ood: str
) -> Decisions:
    """Scores, predictions and labels of the ID set and an OOD set."""
    columns = ["score", "prediction", "label"]
    known, unknown = (
        [table[name].to_numpy() for name in columns]
        for table in (
            _table(benchmark, seed, method, parts[name], "", columns) for name in ("id", ood)
        )
    )
    return Decisions.joined(known, unknown)


def snapshot_scores(benchmark: str, seed: int, method: str, part: dict) -> dict[str, np.ndarray]:
    """The same at every snapshot, by its name: the step of training, or a setting."""
    table = _table(benchmark, seed, method, part, ".oracle")
    names = [name for name in table.column_names if name.startswith("score_")]
    return {name.removeprefix("score_"): table[name].to_numpy() for name in names}
