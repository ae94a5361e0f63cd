"""What every script of the workflow does around its work: logging, errors, and what is up to date.

An output is up to date when it was made from the same settings, code, versions and input bytes, and
is still what was written. Such a job, or such a file of a job that makes several, is not made
again. So a rerun that wrote the same bytes makes nothing after it.

Imports that take time belong inside the ``with job(...)`` block: a job whose outputs are all up to
date ends before them.
"""

import errno
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ood.errors import InputError
from ood.files import atomic, checksum, load_json, save_json
from ood.interruption import INTERRUPTION
from ood.layout import KEYS, of_the_same_job
from ood.provenance import content_digest, digest, record, versions

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
# the terminal hears of a job's progress no more often, in seconds
SILENCE = 30

log = logging.getLogger("job")


class Work:
    """A job's outputs and what they were made from."""

    def __init__(self, snakemake):
        self.params = dict(snakemake.params.items())
        self.seed = snakemake.wildcards.get("seed")
        self._inputs = list(dict.fromkeys(map(str, snakemake.input)))
        self.outputs = list(map(str, snakemake.output))
        self._wildcards = dict(snakemake.wildcards.items())
        self._file = of_the_same_job(snakemake.log[0], KEYS, ".json")
        self._known = _load_keys(self._file)
        self._digests: dict[str, str] = {}

    def digest(self, path: str | Path) -> str:
        """What an input holds."""
        path = str(path)
        if path not in self._digests:
            self._digests[path] = content_digest(path)
        return self._digests[path]

    def key(self, inputs: Iterable[str | Path] | None = None, *parts: object) -> str:
        """What a file follows from.

        :param inputs: the input files that count, all by default
        :param parts: what else does; all params by default
        """
        paths = sorted(map(str, self._inputs if inputs is None else inputs))
        chosen = list(parts) or [self.params, self._wildcards]
        return digest(chosen, {path: self.digest(path) for path in paths}, versions())

    def is_up_to_date(self, path: str | Path, key: str) -> bool:
        """Whether the file, or the finished one that waits for the job's end, has this key."""
        return any(
            self._known.get(str(one), {}).get("key") == key
            and one.exists()
            and checksum(one) == self._known[str(one)]["sha256"]
            for one in (Path(path), _waiting(path))
        )

    @contextmanager
    def make(self, path: str | Path, key: str) -> Iterator[Path]:
        """Yield the name under which one of the job's files is written.

        It waits beside its place until the job ends: Snakemake deletes the new outputs of a job
        that fails.
        """
        waiting = _waiting(path)
        with atomic(waiting) as temporary:
            yield temporary
        self._remember(waiting, key)

    def _remember(self, path: Path, key: str) -> None:
        self._known[str(path)] = {"key": key, "sha256": checksum(path)}
        save_json(self._file, self._known)

    def finish(self, key: str | None) -> None:
        """Put waiting files in their places and note what the outputs follow from.

        :param key: of all outputs, where the job makes them at once
        """
        made = 0
        for path in map(Path, self.outputs):
            if key is not None:
                self._known[str(path)] = {"key": key, "sha256": checksum(path)}
            elif (waiting := _waiting(path)).exists():
                self._known[str(path)] = self._known.pop(str(waiting))
                waiting.replace(path)
                made += 1
            # newer than the inputs, or Snakemake runs the job again
            os.utime(path)
        self._known = {path: self._known[path] for path in self.outputs if path in self._known}
        save_json(self._file, self._known)
        if key is None and made < len(self.outputs):
            message = "%d of %d files are new, the others are up to date"
            log.info(message, made, len(self.outputs), extra={"shown": True})

    def provenance(self) -> dict:
        """A record for the JSON beside a result."""
        inputs = {path: self.digest(path) for path in self._inputs}
        return record(self.params, inputs, None if self.seed is None else int(self.seed))


class _Sparingly(logging.Filter):
    """Warnings, what is marked as ``shown``, and now and then what is marked as ``progress``: the
    rest is in the job's log file."""

    def __init__(self):
        super().__init__()
        self._told = time.monotonic()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING or hasattr(record, "shown"):
            return True
        due = hasattr(record, "progress") and time.monotonic() - self._told >= SILENCE
        if due:
            self._told = time.monotonic()
        return due


def _load_keys(path: Path) -> dict[str, dict[str, str]]:
    """What is noted of the outputs; nothing where there is no file, or a damaged one."""
    try:
        return load_json(path)
    except (OSError, InputError):
        return {}


def _waiting(path: str | Path) -> Path:
    path = Path(path)
    # the suffix tells writers the format
    return path.with_name(f".finished-{path.name}")


@contextmanager
def job(snakemake, several: bool = False) -> Iterator[Work]:
    """Log to the job's log file and the terminal; end with a message instead of a traceback.

    A traceback is kept for errors that are no user's mistake.

    :param several: whether the script makes its outputs one by one, with ``Work.is_up_to_date`` and
        ``Work.make``; otherwise they are made at once, and not at all where all are up to date
    """
    label = " ".join([snakemake.rule, *map(str, snakemake.wildcards)])
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    # a log that cannot be written is said once, by whatever else cannot
    logging.raiseExceptions = False
    terminal = logging.StreamHandler(sys.stderr)
    terminal.addFilter(_Sparingly())
    terminal.setFormatter(logging.Formatter(f"[{label}] %(message)s"))
    root.addHandler(terminal)
    INTERRUPTION.listen()
    try:
        file = logging.FileHandler(snakemake.log[0], mode="w")
        form = "%(asctime)s %(levelname)s %(message)s"
        file.setFormatter(logging.Formatter(form, "%Y-%m-%d %H:%M:%S"))
        root.addHandler(file)
        work = Work(snakemake)
        key = None if several else work.key()
        if key is not None and all(work.is_up_to_date(path, key) for path in work.outputs):
            log.info("inputs, settings and code are unchanged: the outputs are up to date")
            work.finish(key)
            sys.exit(0)
        yield work
        work.finish(key)
    except KeyboardInterrupt:
        log.error("interrupted; run again to continue")
        sys.exit(130)
    except InputError as error:
        log.error("%s", error)
        sys.exit(1)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            log.exception("failed")
            sys.exit(1)
        folders = sorted({str(Path(path).parent) for path in snakemake.output})
        where = error.filename or f"{', '.join(folders)} or {tempfile.gettempdir()}"
        log.error(
            "cannot write %s: %s. Mend that and run again; what was computed is kept.",
            where,
            error.strerror,
        )
        sys.exit(1)
    except Exception:
        log.exception("failed")
        sys.exit(1)
