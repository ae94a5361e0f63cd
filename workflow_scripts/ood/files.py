"""Files that appear whole or not at all, and their checksums. Standard library only."""

import csv
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; rename it to ``path`` when the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes the file private; results should have the permissions the user asked for
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def checksum(path: str | Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def digest_file(path: str | Path) -> Path:
    """The file beside a large one that holds its SHA-256, as ``sha256sum`` writes it."""
    return Path(f"{path}.sha256")


def save_rows(rows: list[dict], path: str | Path) -> None:
    """A CSV file of rows with the same keys, at least one."""
    with atomic(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def save_json(path: str | Path, content: dict) -> None:
    """Write ``content`` with sorted keys, so that equal content means equal bytes."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def load_json(path: str | Path) -> dict:
    """Read one JSON file."""
    return json.loads(Path(path).read_text())
