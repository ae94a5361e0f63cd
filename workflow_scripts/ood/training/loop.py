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
from ood.training.batches import Batches
from ood.training.checkpoint import Checkpoint
from ood.training.device import Compute
from ood.training.model_files import TrainingResult, cpu_state
from ood.training.optimizers import build_optimizer, learning_rate
from ood.training.run import Run, derive_seed
from ood.training.validation import Validation, mean_terms

log = logging.getLogger(__name__)


# within an epoch a message so often
SILENCE = 30


def _state(module: nn.Module) -> dict[str, Tensor]:
    """A detached copy of the state dict where it is: it costs no transfer."""
    return {
        name: value.detach().clone(memory_format=torch.contiguous_format)
        for name, value in module.state_dict().items()
    }


class Schedule:
    """How long a run is, and at which learning rate.

    :param settings: ``optimizer``, and ``epochs``, passes over the data, or ``steps`` and
        ``evaluate_every``: then an epoch is so many steps
    """

    def __init__(self, settings: dict, data: Batches):
        self.optimizer = settings["optimizer"]
        self.by_steps = "steps" in settings
        self.per_epoch = settings["evaluate_every"] if self.by_steps else data.per_epoch
        self.total = settings["steps"] if self.by_steps else settings["epochs"] * self.per_epoch

    def length(self, epoch: int) -> int:
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
    settings: dict,
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
    :param settings: of ``Schedule``, and ``optimizer`` (see ``build_optimizer``)
    :param part: what of ``network`` is optimised, checkpointed and snapshot; all of it by default
    :param snapshot_every: keep ``part``'s state every so many steps, and at the end
    :param before_epoch: called with the epoch's number (from 1) before the epoch's random state is
        set, so that it may set its own; it must leave the same for an epoch that is resumed at
    :raises InputError: if the loss is not finite
    """
    part, validation, compute = part or network, validation or Validation(), run.compute
    data.to(compute.device)
    validation.to(compute.device)
    schedule = Schedule(settings, data)
    learned = [value for value in part.parameters() if value.requires_grad]
    optimizer = build_optimizer(learned, settings["optimizer"])
    checkpoint = Checkpoint(run, part, optimizer)
    progress = checkpoint.restore().to(compute.device)
    history, snapshots, last_report = progress.history, progress.snapshots, time.perf_counter()
    while length := schedule.length(epoch := len(history) + 1):
        if validation.exhausted(history):
            log.info("no lower validation loss for %d epochs", validation.patience)
            break
        begun = time.perf_counter() - progress.seconds
        if before_epoch:
            before_epoch(epoch)
        torch.manual_seed(derive_seed(run.seed, epoch))
        data.shuffle(length if schedule.by_steps else None)
        progress.restore_random(compute.device)
        before = (epoch - 1) * schedule.per_epoch
        for number in range(progress.steps, length):
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(before + number)
            batch = data.batch(number)
            with compute.autocast():
                terms = loss(*batch)
            optimizer.zero_grad(set_to_none=True)
            terms["loss"].backward()
            optimizer.step()
            progress.add(terms, len(batch[0]))
            step = before + number + 1
            if snapshot_every and step % snapshot_every == 0:
                snapshots[step] = cpu_state(part)
            if checkpoint.due() or INTERRUPTION.asked:
                progress.seconds = time.perf_counter() - begun
                progress.keep_random(compute.device)
                checkpoint.save(progress)
            if INTERRUPTION.asked:
                raise KeyboardInterrupt
            if time.perf_counter() - last_report > SILENCE:
                last_report = time.perf_counter()
                means, seconds = mean_terms(progress.sums, progress.images), last_report - begun
                speed = progress.images / seconds
                _report(means, step, schedule, seconds / (number + 1), speed)
        # only here, and where an epoch is long, is the device waited for
        means = mean_terms(progress.sums, progress.images)
        seconds = time.perf_counter() - begun
        means |= validation.evaluate(network, loss, data.batch_size, run)
        done = before + length
        _check_finite(means, done, schedule, compute)
        passes = done * data.batch_size / len(data.inputs) if schedule.by_steps else epoch
        speed = {"images_per_second": progress.images / seconds, "seconds": seconds}
        facts = {"epoch": passes, "step": done, "learning_rate": schedule.rate(done - 1)}
        history.append(facts | means | speed)
        if validation.best is not None and validation.best(history) == epoch:
            progress.best = _state(part)
        _report(means, done, schedule, seconds / length, speed["images_per_second"])
        last_report = time.perf_counter()
        progress.next_epoch()
        if checkpoint.due():
            checkpoint.save(progress)
    if snapshot_every:
        snapshots.setdefault(history[-1]["step"], cpu_state(part))
    if validation.best is None:
        return TrainingResult(history, len(history), snapshots)
    best = validation.best(history)
    log.info("epoch %d of %d is the best", best, len(history))
    if validation.patience is not None:
        part.load_state_dict(progress.best)
    kept = len(history) if validation.patience is None else best
    best_state = {name: value.cpu() for name, value in progress.best.items()}
    return TrainingResult(history, kept, snapshots, best, best_state)


def _check_finite(means: dict[str, float], done: int, schedule: Schedule, compute: Compute) -> None:
    if all(math.isfinite(value) for value in means.values()):
        return
    precision = "" if compute.precision == "float32" else " or use precision: float32"
    raise InputError(
        f"training diverged: {means} in step {done} of {schedule.total}; "
        f"lower learning_rate (now {schedule.optimizer['learning_rate']:g}){precision}"
    )


def _report(
    means: dict[str, float], done: int, schedule: Schedule, per_step: float, speed: float
) -> None:
    log.info(
        "epoch %d of %d  step %d of %d  %s  %.0f images/s  %s left",
        math.ceil(done / schedule.per_epoch),
        math.ceil(schedule.total / schedule.per_epoch),
        done,
        schedule.total,
        "  ".join(f"{name} {value:.4f}" for name, value in means.items()),
        speed,
        timedelta(seconds=round((schedule.total - done) * per_step)),
        extra={"progress": True},
    )
