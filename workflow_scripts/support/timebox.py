"""A few minutes of a machine at a time: run, stop, pack what there is, go on elsewhere.

    python workflow_scripts/support/timebox.py run --minutes 8 packed --cores all --configfile …
    python workflow_scripts/support/timebox.py unpack packed

``run`` starts Snakemake with the arguments after the folder, stops it after so many minutes, which
saves a checkpoint of each training, and packs ``results/`` into files of at most ``--megabytes``.
``unpack`` puts them into ``results/`` of the folder that it is called in; Snakemake then goes on
there. Tables, pictures and what the compiler keeps are left out: they follow from the rest.
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

# it runs by itself, not as a script of the workflow
sys.path.insert(0, str(Path(__file__).parents[1]))

from ood import layout
from ood.files import TEMPORARY

RESULTS = Path(layout.RESULTS)
LEFT_OUT = [
    Path(one)
    for one in (layout.TABLES, layout.AVAILABLE, layout.PLOTS, layout.COMPILED, layout.LOGS)
]
INDEX = "parts.json"
# after the signal a job saves its checkpoint
SECONDS_TO_SAVE = 120


class Parts(io.RawIOBase):
    """A stream that is written to files of one size."""

    def __init__(self, folder: Path, size: int):
        self.folder, self.size, self.digests = folder, size, {}
        self._waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, content) -> int:
        self._waiting += content
        while len(self._waiting) >= self.size:
            self._save(self.size)
        return len(content)

    def finish(self) -> None:
        if self._waiting:
            self._save(len(self._waiting))

    def _save(self, size: int) -> None:
        name, part = f"part{len(self.digests):04d}", bytes(self._waiting[:size])
        del self._waiting[:size]
        (self.folder / name).write_bytes(part)
        self.digests[name] = hashlib.sha256(part).hexdigest()


class Joined(io.RawIOBase):
    """The parts as one stream again, each checked before it is read.

    :raises SystemExit: if one is missing or not what was packed
    """

    def __init__(self, folder: Path, digests: dict[str, str]):
        self._parts, self._left = self._checked(folder, digests), b""

    @staticmethod
    def _checked(folder: Path, digests: dict[str, str]) -> Iterator[bytes]:
        for name, digest in digests.items():
            path = folder / name
            part = path.read_bytes() if path.exists() else None
            if part is None or hashlib.sha256(part).hexdigest() != digest:
                raise SystemExit(f"{path}: missing, or not what was packed; copy it again")
            yield part

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        if not self._left:
            self._left = next(self._parts, b"")
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def pack(folder: Path, megabytes: float) -> None:
    """``results/`` into ``folder``, which appears whole."""
    if folder.exists() and not (folder / INDEX).exists() and any(folder.iterdir()):
        raise SystemExit(f"{folder}: this folder holds other files; name an empty one")
    with tempfile.TemporaryDirectory(dir=folder.absolute().parent) as place:
        made = Path(place) / "packed"
        made.mkdir()
        parts = Parts(made, int(megabytes * 1e6))
        with tarfile.open(fileobj=parts, mode="w|") as archive:
            for path in sorted(RESULTS.rglob("*")):
                finished = not path.name.startswith(TEMPORARY)
                if path.is_file() and finished and not any(map(path.is_relative_to, LEFT_OUT)):
                    archive.add(path, str(path.relative_to(RESULTS)))
        parts.finish()
        (made / INDEX).write_text(json.dumps(parts.digests, indent=1) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    print(f"{folder}: {len(parts.digests)} files")


def unpack(folder: Path) -> None:
    """Into ``results/``; what lies there is replaced, file by file. Nothing is if a part is bad."""
    if not (folder / INDEX).exists():
        raise SystemExit(f"{folder}: no {INDEX}; name the folder that `run` packed into")
    RESULTS.mkdir(exist_ok=True)
    digests, count = json.loads((folder / INDEX).read_text()), 0
    with tempfile.TemporaryDirectory(dir=".") as place:
        stream = io.BufferedReader(Joined(folder, digests))
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            archive.extractall(place, filter="data")
        for path in Path(place).rglob("*"):
            if path.is_file():
                target = RESULTS / path.relative_to(place)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
                count += 1
    print(f"{RESULTS}: {count} files")


def run(minutes: float, arguments: list[str]) -> int:
    """Snakemake for so many minutes.

    :return: its exit status; 0 where only the time was up
    """
    command = [sys.executable, "-m", "snakemake", *arguments]
    running = subprocess.Popen(command)
    try:
        return running.wait(60 * minutes)
    except subprocess.TimeoutExpired:
        print(f"{minutes:g} minutes are over", flush=True)
    except KeyboardInterrupt:
        pass
    running.send_signal(signal.SIGTERM)
    try:
        running.wait(SECONDS_TO_SAVE)
    except subprocess.TimeoutExpired:
        running.kill()
    return 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("run", help="run Snakemake for some minutes, then pack")
    one.add_argument("--minutes", type=float, required=True)
    one.add_argument("--megabytes", type=float, default=15, help="of a packed file, at most")
    one.add_argument("folder", type=Path, help="to pack into")
    one.add_argument("snakemake", nargs=argparse.REMAINDER, help="Snakemake's arguments")
    commands.add_parser("unpack", help="put packed files into results/").add_argument(
        "folder", type=Path
    )
    given = parser.parse_args(arguments)
    if given.command == "unpack":
        unpack(given.folder)
        return 0
    status = run(given.minutes, given.snakemake)
    if RESULTS.is_dir():
        pack(given.folder, given.megabytes)
    return status


if __name__ == "__main__":
    sys.exit(main())
