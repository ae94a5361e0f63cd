"""How a run ends: what failed is said once more, and who stops it stops its jobs."""

import logging
import signal
from collections.abc import Callable

import psutil

KILLED = (
    "A job was killed. Memory may have run out: lower --cores, scoring_batch, or the batch_size of "
    "the model; what was computed is kept."
)


class Failures(logging.Handler):
    """Listens to Snakemake's logger. A quiet terminal hides its errors."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self._found: dict[str, str] = {}
        self._killed = False

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(getattr(record, "event", None), "name", "") == "JOB_ERROR":
            place = record.log[0] if record.log else "above"
            self._found[place] = record.rule_name
        # 137: as a shell says it
        self._killed |= any(one in str(record.msg) for one in ("SIGKILL", "exit status 137"))

    def lines(self) -> list[str]:
        """A line for each job that failed: its rule, and where the whole story is."""
        found = [f"failed: {rule}, see {place}" for place, rule in self._found.items()]
        return [*found, *[KILLED] * self._killed]


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
