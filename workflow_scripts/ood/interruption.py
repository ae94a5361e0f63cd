"""Ctrl-C and SIGTERM: work that can be gone on with ends at a good moment, the rest at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Interruption:
    """Whether the process has been asked to stop."""

    def __init__(self):
        self.asked = self._deferred = False

    def listen(self) -> None:
        """Take both signals from now on: they raise KeyboardInterrupt, the first one alone."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._take)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Signals are only noted here: the block looks at ``asked`` and ends itself."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def _take(self, number: int, frame: object) -> None:
        before, self.asked = self.asked, True
        if not before and not self._deferred:
            raise KeyboardInterrupt


INTERRUPTION = Interruption()
