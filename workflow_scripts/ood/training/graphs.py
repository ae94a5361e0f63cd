"""A training step as a CUDA graph: the device gets one launch instead of hundreds."""

import logging
import warnings
from collections.abc import Callable
from contextlib import contextmanager

import torch
from torch import Tensor

log = logging.getLogger(__name__)

# the first steps create the optimizer's state and look for the fastest algorithms, which no graph
# can hold; the last of them is watched
WARM_UP = 3

Work = Callable[..., None]


class CUDA:
    """Watches and captures on a stream of its own, as PyTorch asks for."""

    def __init__(self, device: torch.device):
        self.device, self.stream = device, torch.cuda.Stream(device)
        # graphs of one training take turns with this memory
        self.pool = torch.cuda.graph_pool_handle()

    @contextmanager
    def aside(self):
        """On the stream, between what came before and what follows."""
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            yield
        current.wait_stream(self.stream)

    def watched(self, work: Work, *given: Tensor) -> str | None:
        """Do it.

        :return: why no graph can hold it; None where one can
        """
        before, mode = torch.get_rng_state(), torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                with self.aside():
                    work(*given)
            finally:
                torch.cuda.set_sync_debug_mode(mode)
        waits = [one for one in seen if "synchronizing CUDA operation" in str(one.message)]
        if waits:
            return f"{waits[0].filename}:{waits[0].lineno} waits for the device"
        # a graph would repeat the same ones
        drawn = not torch.equal(before, torch.get_rng_state())
        return "it draws random numbers on the CPU" if drawn else None

    def captured(self, work: Work, *given: Tensor) -> Callable[[], None]:
        """What repeats the work's kernels on the same memory; nothing is computed yet."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
            work(*given)
        return graph.replay


class Step:
    """A step of a training, as it is or, after some, as a graph.

    A graph repeats kernels on the memory that they were captured with. So what changes from step to
    step has to lie in tensors that stay: the learning rate, and what the step is given. What
    changes from epoch to epoch may lie anywhere, if ``forget`` is called. A step that waits for the
    device or draws random numbers on the CPU is never captured; a log line says so.

    :param work: a step, called with the indices of its images, int64 tensors on the device
    :param size: of a batch; smaller ones are computed as they are
    :param capture: None for no graphs
    """

    def __init__(self, work: Work, size: int, capture: CUDA | None):
        self.work, self.size, self.capture = work, size, capture
        self.taken, self.stale = 0, True
        self.replay: Callable[[], None] | None = None
        self.held: list[Tensor] = []

    def __call__(self, *given: Tensor) -> None:
        if self.capture is None or len(given[0]) != self.size:
            self.work(*given)
        elif self.taken < WARM_UP:
            self._warm_up(given)
        else:
            self._replay(given)

    def forget(self) -> None:
        """What the step reads beside what it is given lies elsewhere now."""
        self.stale = True

    def _warm_up(self, given: tuple[Tensor, ...]) -> None:
        self.taken += 1
        reason = self.capture.watched(self.work, *given)
        if reason and self.taken == WARM_UP:
            log.info("no CUDA graph of the training step: %s", reason, extra={"shown": True})
            self.capture = None

    def _replay(self, given: tuple[Tensor, ...]) -> None:
        if not self.held:
            self.held = [torch.empty_like(one) for one in given]
        for held, one in zip(self.held, given, strict=True):
            held.copy_(one)
        if self.stale:
            # the memory is there while one graph has it: the old one goes after this
            self.replay = self.capture.captured(self.work, *self.held)
            self.stale = False
        self.replay()
