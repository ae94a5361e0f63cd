"""Files that appear whole or not at all, and what tells that they changed. Standard library."""

import csv
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ood.errors import InputError

SEAL = "seal"
CHANGED = "is not what was written"
# what a file is called before it is whole begins so
TEMPORARY = ".tmp-"


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; rename it to ``path`` when the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY, suffix=path.suffix)
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
    """Write ``content`` with sorted keys, so that equal content means equal bytes, and a seal: its
    SHA-256 without the seal."""
    # keys as they are read back
    content = json.loads(json.dumps(content))
    with atomic(path) as temporary:
        temporary.write_text(_text(content | {SEAL: _seal(content)}) + "\n")


def load_json(path: str | Path) -> dict:
    """Read what ``save_json`` wrote, without the seal; a file without one is taken as it is.

    :raises InputError: if it is damaged, or was changed since
    """
    try:
        content = json.loads(Path(path).read_text())
        sealed = content.pop(SEAL, None)
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: damaged ({error}); delete it and run again") from error
    if sealed is not None and sealed != _seal(content):
        raise InputError(f"{path}: {CHANGED}; delete it and run again")
    return content


def _text(content: dict) -> str:
    return json.dumps(content, indent=1, sort_keys=True)


def _seal(content: dict) -> str:
    return hashlib.sha256(_text(content).encode()).hexdigest()


def read_verified(path: str | Path) -> bytes:
    """A large file's bytes, compared with its ``digest_file`` where there is one.

    :raises InputError: if it is not what was written
    """
    content, beside = Path(path).read_bytes(), digest_file(path)
    if beside.exists():
        wanted = beside.read_text().split()[:1]
        if wanted != [hashlib.sha256(content).hexdigest()]:
            raise InputError(
                f"{path}: {CHANGED} (its SHA-256 is not that in {beside.name}); delete it and run "
                "again"
            )
    return content


def check_places(*folders: str) -> None:
    """Before any work: can the folders that a run writes to be used, and the temporary one?

    :raises InputError: for a link to nowhere, or if less than 1 MiB is free for temporary files
    """
    for path in map(Path, folders):
        if path.is_symlink() and not path.exists():
            raise InputError(
                f"{path} is a link to {os.readlink(path)}, which is not there: make that folder, "
                "or set the link anew"
            )
    # some libraries ask this variable alone, where tempfile goes on to a folder that works
    temporary = os.environ.get("TMPDIR")
    if not temporary or not Path(temporary).is_dir():
        temporary = tempfile.gettempdir()
    if shutil.disk_usage(temporary).free < 1 << 20:
        raise InputError(
            f"{temporary}: less than 1 MiB is free for temporary files: make room, or set "
            "TMPDIR to another folder"
        )


def save_csv(table, path: str | Path) -> None:
    """Write a data frame of pandas, whole or not at all."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False)
