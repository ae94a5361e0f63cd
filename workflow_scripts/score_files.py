"""What plots and comparisons share: scores of the ID classes and of each OOD set."""

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq


def path_of(benchmark: str, seed: int, method: str, part: dict, suffix: str = "") -> str:
    """The score file of an image set; suffix ``.oracle`` for that of the snapshots."""
    return f"results/{benchmark}/seed{seed}/scores/{method}/{part['dataset']}{suffix}.parquet"


def scores(benchmark: str, seed: int, method: str, part: dict) -> np.ndarray:
    """Scores of one image set, restricted to ``part["classes"]`` (None: all)."""
    table = pq.read_table(path_of(benchmark, seed, method, part), columns=["label", "score"])
    if part["classes"] is not None:
        table = table.filter(pc.field("label").isin(part["classes"]))
    return table["score"].to_numpy()
