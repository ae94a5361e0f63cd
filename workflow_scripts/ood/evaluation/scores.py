"""Score files: one per method and image set, as parquet, a row per image.

Written and read through buffers: pyarrow's own conversions from and to NumPy import pandas, which
costs a job more than the reading.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ood.errors import InputError

TYPES = {"i": pa.int64(), "f": pa.float64(), "U": pa.string()}


def save_scores(path: str | Path, columns: dict[str, np.ndarray], about: dict) -> None:
    """Write int64, float64 and text columns of one length.

    :param about: what else is known of the method, kept in the file's metadata
    """
    arrays, fields = [], []
    for name, values in columns.items():
        kind = TYPES[values.dtype.kind]
        fields.append(pa.field(name, kind))
        if kind == pa.string():
            arrays.append(pa.array(values.tolist(), kind))
            continue
        values = np.ascontiguousarray(values, np.int64 if kind == pa.int64() else np.float64)
        arrays.append(pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)]))
    schema = pa.schema(fields, {"about": json.dumps(about, sort_keys=True)})
    table = pa.Table.from_arrays(arrays, schema=schema)
    pq.write_table(table, path, write_page_checksum=True)


def load_about(path: str | Path) -> dict:
    """What ``save_scores`` was told of the method.

    :raises InputError: if the file is damaged
    """
    return json.loads(_opened(path).schema_arrow.metadata[b"about"])


def _opened(path: str | Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error


def _damaged(path: str | Path, error: Exception) -> InputError:
    return InputError(f"{path}: damaged ({error}); delete it and run again")


def load_scores(
    path: str | Path, classes: list[int] | None, columns: list[str] | None = None
) -> dict[str, np.ndarray]:
    """The columns of a score file, for the images of ``classes`` (None: all).

    :raises InputError: if the file is damaged
    """
    wanted = columns and sorted({*columns, "label"})
    try:
        table = _opened(path).read(wanted)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error
    found = {name: _values(table[name]) for name in table.column_names}
    if classes is not None:
        keep = np.isin(found["label"], classes)
        found = {name: values[keep] for name, values in found.items()}
    return {name: found[name] for name in columns} if columns else found


def _values(column: pa.ChunkedArray) -> np.ndarray:
    if column.type == pa.string():
        return np.array(column.to_pylist(), dtype=str)
    kind = np.int64 if column.type == pa.int64() else np.float64
    parts = [
        np.frombuffer(chunk.buffers()[1], kind, len(chunk), chunk.offset * kind().itemsize)
        for chunk in column.chunks
    ]
    return np.concatenate(parts) if parts else np.empty(0, kind)


def snapshot_scores(path: str | Path, classes: list[int] | None) -> dict[str, np.ndarray]:
    """Scores at every snapshot, by its name: the step of training, or a setting."""
    return {
        name.removeprefix("score_"): values
        for name, values in load_scores(path, classes).items()
        if name.startswith("score_")
    }
