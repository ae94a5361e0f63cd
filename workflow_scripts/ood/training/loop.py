"""The one training loop: data on the device, checkpoints, resume, progress, divergence guard."""

import logging
import math
import time
from collections.abc import Callable
from datetime import timedelta

import torch
from torch import Tensor, nn

from ood.errors import InputError
from ood.interruption import INTERRUPTION
from ood.settings.training import Epochs, Steps
from ood.training.batches import Batches
from ood.training.checkpoint import Checkpoint
from ood.training.device import Compute
from ood.training.graphs import CUDA, Step
from ood.training.health import look, loss_moved
from ood.training.model_files import TrainingResult, cpu_state
from ood.training.optimizers import build_optimizer, learning_rate, set_rate
from ood.training.run import Run, derive_seed
from ood.training.validation import Validation, add_terms, mean_terms

log = logging.getLogger(__name__)


# within an epoch a message so often
SILENCE = 30


def _state(module: nn.Module) -> dict[str, Tensor]:
    """A detached copy of the state dict where it is: it costs no transfer."""
    return {
        name: value.detach().clone(memory_format=torch.contiguous_format)
        for name, value in module.state_dict().items()
    }


class RunLength:
    """How long a run is, and at which learning rate.

    :param settings: an epoch is a pass over the data, or so many steps
    """

    def __init__(self, settings: Epochs | Steps, data: Batches):
        self.optimizer = settings.optimizer
        self.by_steps = isinstance(settings, Steps)
        self.per_epoch = settings.evaluate_every if self.by_steps else data.per_epoch
        self.total = settings.steps if self.by_steps else settings.epochs * self.per_epoch

    def steps(self, epoch: int) -> int:
        """Steps of an epoch (from 1); 0 after the last."""
        return max(0, min(self.per_epoch, self.total - (epoch - 1) * self.per_epoch))

    def rate(self, done: int) -> float:
        """The learning rate after ``done`` steps."""
        return learning_rate(self.optimizer, done, self.total)


@INTERRUPTION.deferred()
def train(
    network: nn.Module,
    loss: Callable[..., dict[str, Tensor]],
    data: Batches,
    settings: Epochs | Steps,
    run: Run,
    *,
    part: nn.Module | None = None,
    validation: Validation | None = None,
    snapshot_every: int | None = None,
    before_epoch: Callable[[int], None] | None = None,
) -> TrainingResult:
    """Train ``network`` in place.

    All randomness of an epoch follows from ``(run.seed, epoch)``, and a checkpoint within an epoch
    holds the random state: a resumed run ends bit for bit (on the CPU) where an uninterrupted one
    ends. Ctrl-C and SIGTERM save a checkpoint after the step, and raise KeyboardInterrupt.

    :param network: on ``run.compute.device``, in the mode (train or eval) that training needs
    :param loss: maps a batch of ``data`` to named terms; ``"loss"`` is minimised, all are recorded
    :param settings: how long, and by which optimizer
    :param part: what of ``network`` is optimised, checkpointed and snapshot; all of it by default
    :param snapshot_every: keep ``part``'s state every so many steps, and at the end
    :param before_epoch: called with the epoch's number (from 1) before the epoch's random state is
        set, so that it may set its own; it must leave the same for an epoch that is resumed at
    :raises InputError: if the loss is not finite
    """
    training = _Training(network, loss, data, settings, run, part or network)
    training.validation = validation or Validation()
    training.snapshot_every, training.before_epoch = snapshot_every, before_epoch
    return training.run_to_the_end()


class _Training:
    """A run in progress, see ``train``."""

    validation: Validation
    snapshot_every: int | None
    before_epoch: Callable[[int], None] | None

    def __init__(
        self,
        network: nn.Module,
        loss: Callable[..., dict[str, Tensor]],
        data: Batches,
        settings: Epochs | Steps,
        run: Run,
        part: nn.Module,
    ):
        self.network, self.loss, self.data, self.run, self.part = network, loss, data, run, part
        self.compute = run.compute
        # what looks at the network calls the loss as it is
        self.step_loss = self.compute.compiled(loss)
        data.to(self.compute.device)
        self.length = RunLength(settings, data)
        learned = [value for value in part.parameters() if value.requires_grad]
        self.optimizer = build_optimizer(learned, settings.optimizer, self.compute.graphs)
        self.checkpoint = Checkpoint(run, part, self.optimizer)
        self.progress = self.checkpoint.restore().to(self.compute.device)
        graphs = CUDA(self.compute.device) if self.compute.graphs else None
        self.step = Step(self._advance, data.batch_size, graphs)
        self.last_report = time.perf_counter()

    def run_to_the_end(self) -> TrainingResult:
        self.validation.to(self.compute.device)
        history, progress = self.progress.history, self.progress
        while steps := self.length.steps(epoch := len(history) + 1):
            if self.validation.exhausted(history):
                log.info("no lower validation loss for %d epochs", self.validation.patience)
                break
            begun = self._begin(epoch, steps)
            before = (epoch - 1) * self.length.per_epoch
            for number in range(progress.steps, steps):
                self._step(before, number, begun)
            self._end(epoch, before + steps, begun)
        # a graph's memory is free for what looks at the network
        del self.step
        if self.snapshot_every:
            progress.snapshots.setdefault(history[-1]["step"], cpu_state(self.part))
        return self._result()

    def _begin(self, epoch: int, steps: int) -> float:
        """Turn to an epoch, or to the place in it that a checkpoint was written at.

        :return: when it began, by ``time.perf_counter``
        """
        begun = time.perf_counter() - self.progress.seconds
        if self.before_epoch:
            self.before_epoch(epoch)
            self.step.forget()
        torch.manual_seed(derive_seed(self.run.seed, epoch))
        self.data.shuffle(steps if self.length.by_steps else None)
        self.progress.restore_random(self.compute.device)
        return begun

    def _step(self, before: int, number: int, begun: float) -> None:
        """One step.

        :param before: steps of earlier epochs
        :param number: of the step in its epoch, from 0
        """
        progress = self.progress
        set_rate(self.optimizer, self.length.rate(before + number))
        chosen = self.data.chosen(number)
        self.step(*chosen)
        progress.count(len(chosen[0]))
        step = before + number + 1
        if self.snapshot_every and step % self.snapshot_every == 0:
            progress.snapshots[step] = cpu_state(self.part)
        if self.checkpoint.due() or INTERRUPTION.asked:
            progress.seconds = time.perf_counter() - begun
            progress.keep_random(self.compute.device)
            self.checkpoint.save(progress)
        if INTERRUPTION.asked:
            raise KeyboardInterrupt
        if time.perf_counter() - self.last_report > SILENCE:
            self.last_report = time.perf_counter()
            means = mean_terms(progress.sums, progress.images)
            seconds = self.last_report - begun
            speed = progress.images / seconds
            _report(means, step, self.length, seconds / (number + 1), speed)

    def _advance(self, *chosen: Tensor) -> None:
        """What a step computes: all of it on the device, which is not waited for.

        :param chosen: the batch, see ``Batches.chosen``
        """
        batch = self.data.batch(*chosen)
        with self.compute.autocast():
            terms = self.step_loss(*batch)
        self.optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward()
        self.optimizer.step()
        add_terms(self.progress.sums, terms, len(batch[0]))

    def _end(self, epoch: int, done: int, begun: float) -> None:
        """Validate, record and report an epoch. Only here, and where an epoch is long, is the
        device waited for.

        :param done: steps of this epoch and of those before
        """
        progress, validation, length = self.progress, self.validation, self.length
        means = mean_terms(progress.sums, progress.images)
        seconds = time.perf_counter() - begun
        means |= validation.evaluate(self.network, self.loss, self.data.batch_size, self.run)
        _check_finite(means, done, length, self.compute)
        passes = epoch
        if length.by_steps:
            passes = done * self.data.batch_size / len(self.data.inputs)
        speed = {"images_per_second": progress.images / seconds, "seconds": seconds}
        facts = {"epoch": passes, "step": done, "learning_rate": length.rate(done - 1)}
        progress.history.append(facts | means | speed)
        if epoch == 1:
            progress.health["first"] = self._look()
        if validation.best is not None and validation.best(progress.history) == epoch:
            progress.best = _state(self.part)
        steps = done - (epoch - 1) * length.per_epoch
        _report(means, done, length, seconds / steps, speed["images_per_second"])
        self.last_report = time.perf_counter()
        progress.next_epoch()
        if self.checkpoint.due():
            self.checkpoint.save(progress)

    def _look(self) -> dict:
        """The network's health on one batch."""
        if not self.data.inputs[:1].numel():
            # a head's features are made at the start of an epoch
            return {}
        return look(self.network, self.loss, self.data.sample(), self.compute)

    def _result(self) -> TrainingResult:
        progress, validation = self.progress, self.validation
        history, snapshots = progress.history, progress.snapshots
        if validation.best is None:
            return TrainingResult(history, len(history), snapshots, health=self._health())
        best = validation.best(history)
        log.info("epoch %d of %d is the best", best, len(history))
        if validation.patience is not None:
            self.part.load_state_dict(progress.best)
        kept = len(history) if validation.patience is None else best
        best_state = {name: value.cpu() for name, value in progress.best.items()}
        return TrainingResult(history, kept, snapshots, best, best_state, self._health())

    def _health(self) -> dict[str, dict]:
        last = self._look() | loss_moved(self.progress.history)
        return self.progress.health | {"last": last}


def _check_finite(means: dict[str, float], done: int, length: RunLength, compute: Compute) -> None:
    if all(math.isfinite(value) for value in means.values()):
        return
    precision = "" if compute.precision == "float32" else " or use precision: float32"
    raise InputError(
        f"training diverged: {means} in step {done} of {length.total}; "
        f"lower learning_rate (now {length.optimizer.learning_rate:g}){precision}"
    )


def _report(
    means: dict[str, float], done: int, length: RunLength, per_step: float, speed: float
) -> None:
    log.info(
        "epoch %d of %d  step %d of %d  %s  %.0f images/s  %s left",
        math.ceil(done / length.per_epoch),
        math.ceil(length.total / length.per_epoch),
        done,
        length.total,
        "  ".join(f"{name} {value:.4f}" for name, value in means.items()),
        speed,
        timedelta(seconds=round((length.total - done) * per_step)),
        extra={"progress": True},
    )
