"""How a run ends: what failed is said once more, and who stops it stops its jobs."""

import logging
import signal
from collections.abc import Callable
from pathlib import Path

import psutil

KILLED = (
    "A job was killed. Memory may have run out: lower --cores, scoring_batch, or the batch_size of "
    "the model; what was computed is kept."
)


class Failures(logging.Handler):
    """Listens to Snakemake's logger. A quiet terminal hides its errors."""

    def __init__(self):
        super().__init__(logging.INFO)
        # by job: rule, log, and whether it was one of a group
        self._found: dict[int, tuple[str, str, bool]] = {}
        self._killed = False

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(getattr(record, "event", None), "name", "")
        if event == "JOB_ERROR":
            place = record.log[0] if record.log else "above"
            self._found[record.jobid] = record.rule_name, place, record.indent
        elif event == "JOB_FINISHED":
            # a further attempt may succeed
            self._found.pop(record.job_id, None)
        # 137: as a shell says it
        self._killed |= any(one in str(record.msg) for one in ("SIGKILL", "exit status 137"))

    def lines(self) -> list[str]:
        """A line for each job that failed: its rule, and where the whole story is."""
        # a cluster reports all jobs of a group, those that ended well or never began too
        told = [one for one in self._found.values() if not one[2] or _says_why(one[1])]
        found = [f"failed: {rule}, see {place}" for rule, place, _ in told or self._found.values()]
        return [*found, *[KILLED] * self._killed]


def _says_why(place: str) -> bool:
    path = Path(place)
    return path.exists() and " ERROR " in path.read_text(errors="replace")


def pass_on_signals() -> None:
    """Whoever stops Snakemake stops its jobs too: by itself it waits until they are done."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # a run in the background may be told to ignore Ctrl-C
        if callable(then := signal.getsignal(number)):
            signal.signal(number, _passing_on(then))


def _passing_on(then: Callable[[int, object], None]) -> Callable[[int, object], None]:
    def stop(number: int, frame: object) -> None:
        for child in psutil.Process().children(recursive=True):
            try:
                child.terminate()
            except psutil.NoSuchProcess:
                continue
        then(number, frame)

    return stop
