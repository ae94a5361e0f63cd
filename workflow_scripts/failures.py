"""What failed in a run, to be said once more at its end, where one looks."""

import logging


class Failures(logging.Handler):
    """Listens to Snakemake's logger. A quiet terminal hides its errors."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self._found: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(getattr(record, "event", None), "name", "") == "JOB_ERROR":
            place = record.log[0] if record.log else "above"
            self._found[place] = record.rule_name

    def lines(self) -> list[str]:
        """A line for each job that failed: its rule, and where the whole story is."""
        return [f"failed: {rule}, see {place}" for place, rule in self._found.items()]
