"""The one training loop: data on the device, checkpoints, resume, progress, divergence guard."""

import hashlib
import io
import json
import logging
import math
import os
import pickle
import time
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ood.errors import InputError
from ood.files import atomic
from ood.images import ImageSet, to_unit

log = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 60


@dataclass(frozen=True)
class Machine:
    """Where and how precisely to compute.

    :param device: ``cpu`` or ``cuda``
    :param precision: ``float32``, or ``bfloat16`` for autocast
    """

    device: torch.device
    precision: str = "float32"

    def autocast(self):
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"
        )


@contextmanager
def machine(device: str, precision: str, locks: Path):
    """Yield the ``Machine`` for ``device`` (``auto``, ``cpu`` or ``cuda``).

    Where several GPUs are visible and nobody assigned one (``CUDA_VISIBLE_DEVICES`` unset), the
    job takes the first whose lock file under ``locks`` is free, and waits if none is.

    :raises InputError: if ``cuda`` is asked for and there is none
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        # saturated units make denormal numbers, on which a CPU is many times slower
        torch.set_flush_denormal(True)
        yield Machine(torch.device("cpu"), precision)
        return
    if not torch.cuda.is_available():
        raise InputError(
            "config key 'device' is 'cuda' but PyTorch sees no GPU; use 'auto' or 'cpu'"
        )
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        yield Machine(torch.device("cuda"), precision)
        return
    from filelock import FileLock, Timeout

    locks.mkdir(parents=True, exist_ok=True)
    candidates = [FileLock(locks / f"cuda{i}.lock") for i in range(torch.cuda.device_count())]
    while True:
        for index, lock in enumerate(candidates):
            try:
                with lock.acquire(timeout=0.5):
                    yield Machine(torch.device("cuda", index), precision)
                    return
            except Timeout:
                continue


def derive_seed(*parts: object) -> int:
    """A seed in [0, 2**63) from any names and numbers, the same on every machine."""
    text = json.dumps([str(part) for part in parts])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1


@dataclass(frozen=True)
class Run:
    """What a training run needs beside its settings and data.

    :param seed: all its randomness follows from it
    :param checkpoint: side file, written after every epoch and every ``CHECKPOINT_SECONDS``;
        whoever started the run deletes it when the results are safe
    :param identity: digest of settings, data and code; a checkpoint of another is not resumed
    """

    seed: int
    machine: Machine
    checkpoint: Path
    identity: str


def save_model(path: str | Path, content: dict) -> None:
    """``torch.save``, whole or not at all; tensors are moved to the CPU by the caller."""
    # through memory: torch.save would write the temporary file's random name into the archive, and
    # turn a full disk into an internal error
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_model(path: str | Path) -> dict:
    """Read what ``save_model`` wrote, executing nothing.

    :raises InputError: if the file is damaged
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{path}: damaged model file ({error}); delete it and run again"
        ) from error


def cpu_state(module: nn.Module) -> dict[str, Tensor]:
    """A detached copy of the state dict on the CPU, contiguous."""
    return {
        name: value.detach().to("cpu", copy=True).contiguous()
        for name, value in module.state_dict().items()
    }


def state_digest(state: dict[str, Tensor]) -> str:
    """SHA-256 of names and values, in the order of the names."""
    hashed = hashlib.sha256()
    for name in sorted(state):
        hashed.update(name.encode() + b"\0")
        hashed.update(state[name].cpu().contiguous().numpy().tobytes())
    return hashed.hexdigest()


def _resume(run: Run) -> dict | None:
    path = run.checkpoint
    if not path.exists():
        return None
    try:
        checkpoint = load_model(path)
    except InputError as error:
        log.warning("%s; starting from the first epoch", error)
        return None
    if checkpoint["identity"] != run.identity:
        log.info("the checkpoint %s is of other settings, data or code: not resumed", path)
        return None
    progress = checkpoint["progress"]
    epochs, steps = len(progress["history"]), progress["steps"]
    log.info("resuming after epoch %d and %d steps from %s", epochs, steps, path)
    return checkpoint


@dataclass
class Trained:
    """What a run leaves.

    :param history: one row per epoch
    :param kept_epoch: the epoch whose weights the network has in the end
    :param snapshots: the trained part's state by step
    :param best_epoch: the best epoch by ``train``'s ``best``, and its state
    """

    history: list[dict]
    kept_epoch: int
    snapshots: dict[int, dict[str, Tensor]]
    best_epoch: int | None = None
    best_state: dict[str, Tensor] | None = None


OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "rmsprop": torch.optim.RMSprop,
    "adadelta": torch.optim.Adadelta,
    "sgd": torch.optim.SGD,
}


def build_optimizer(parameters: Iterable[nn.Parameter], settings: dict) -> torch.optim.Optimizer:
    """One of ``OPTIMIZERS``.

    :param settings: ``name``, ``learning_rate``, and the rest as PyTorch calls it; ``decay`` and
        ``drops`` are left to ``learning_rate``
    """
    options = {name: value for name, value in settings.items() if name not in ("decay", "drops")}
    kind = OPTIMIZERS[options.pop("name")]
    return kind(parameters, lr=options.pop("learning_rate"), **options)


def learning_rate(settings: dict, done: int, total: int) -> float:
    """The learning rate of an optimiser after ``done`` of ``total`` steps.

    :param settings: ``learning_rate``; ``decay``, a factor on it after each step; ``drops``, a
        ``factor`` on it ``at`` each of several shares of the steps
    """
    rate = settings["learning_rate"] * settings.get("decay", 1) ** done
    drops = settings.get("drops", {"at": [], "factor": 1})
    return rate * drops["factor"] ** sum(done >= share * total for share in drops["at"])


def hold_out(count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted indices of the training images and of the random ``share`` that validates."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "hold_out"))
    order = torch.randperm(count, generator=generator).numpy()
    held = max(1, round(share * count))
    return np.sort(order[held:]), np.sort(order[:held])


def split(image_set: ImageSet, share: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """The images to train on and those that validate, see ``hold_out``."""
    return tuple(
        ImageSet(image_set.images[part], image_set.labels[part])
        for part in hold_out(len(image_set), share, seed)
    )


def _validate(
    network: nn.Module,
    loss: Callable[[Tensor, Tensor], dict[str, Tensor]],
    inputs: Tensor,
    labels: Tensor,
    batch_size: int,
    run: Run,
) -> dict[str, float]:
    """Means of the loss's terms in eval mode; whatever is drawn is the same in every epoch."""
    training = network.training
    network.eval()
    torch.manual_seed(derive_seed(run.seed, "validation"))
    sums: dict[str, float] = {}
    with torch.no_grad(), run.machine.autocast():
        for start in range(0, len(inputs), batch_size):
            batch = to_unit(inputs[start : start + batch_size])
            terms = loss(batch, labels[start : start + batch_size])
            for name, value in terms.items():
                sums[name] = sums.get(name, 0) + float(value) * len(batch)
    network.train(training)
    return {f"validation_{name}": value / len(inputs) for name, value in sums.items()}


@dataclass
class _Progress:
    """Where a run stands, beside the weights and the optimiser's state.

    ``steps``, ``images``, ``seconds`` and ``sums`` (of the loss's terms) count within the epoch in
    progress; ``random`` holds the generators' states there.
    """

    history: list[dict] = field(default_factory=list)
    snapshots: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    steps: int = 0
    images: int = 0
    seconds: float = 0.0
    sums: dict[str, Tensor] = field(default_factory=dict)
    random: dict[str, Tensor] = field(default_factory=dict)

    def add(self, terms: dict[str, Tensor], count: int) -> None:
        for name, value in terms.items():
            total = self.sums.get(name, torch.zeros((), dtype=torch.float64, device=value.device))
            # a resumed sum comes from the CPU
            self.sums[name] = total.to(value.device) + value.detach().double() * count
        self.steps += 1
        self.images += count

    def means(self) -> dict[str, float]:
        return {name: float(value) / self.images for name, value in self.sums.items()}

    def keep_random(self, device: torch.device) -> None:
        self.random = {"cpu": torch.get_rng_state()}
        if device.type == "cuda":
            self.random["cuda"] = torch.cuda.get_rng_state(device)

    def restore_random(self, device: torch.device) -> None:
        if self.random:
            torch.set_rng_state(self.random["cpu"])
        if "cuda" in self.random:
            torch.cuda.set_rng_state(self.random["cuda"], device)

    def next_epoch(self) -> None:
        self.steps, self.images, self.seconds, self.sums, self.random = 0, 0, 0.0, {}, {}


def train(
    network: nn.Module,
    loss: Callable[..., dict[str, Tensor]],
    inputs: Tensor,
    labels: Tensor,
    settings: dict,
    run: Run,
    *,
    trained: nn.Module | None = None,
    augment: Callable[[Tensor], Tensor] | None = None,
    snapshot_every: int | None = None,
    validation: tuple[Tensor, Tensor] | None = None,
    patience: int | None = None,
    before_epoch: Callable[[int], None] | None = None,
    beside: Tensor | None = None,
    measure: Callable[[], dict[str, float]] | None = None,
    best: Callable[[list[dict]], int] | None = None,
    order: Callable[[], Tensor] | None = None,
) -> Trained:
    """Train ``network`` in place.

    All randomness of an epoch follows from ``(run.seed, epoch)``, and a checkpoint within an epoch
    holds the random state: a resumed run ends bit for bit (on the CPU) where an uninterrupted one
    ends.

    :param network: on ``run.machine.device``, in the mode (train or eval) that training needs
    :param loss: maps a batch (float32 inputs, int64 labels) to named terms; ``"loss"`` is
        minimised, all are recorded
    :param inputs: ``[N, ...]``; uint8 images are moved whole to the device and scaled to [0, 1]
        there, floats are used as they are
    :param labels: int64 ``[N]``
    :param settings: ``batch_size``, ``optimizer`` (see ``build_optimizer``), and ``epochs``, passes
        over the inputs, or ``steps`` and ``evaluate_every``: then an epoch is so many steps, on
        inputs in random order
    :param trained: the part of ``network`` that is optimised, checkpointed and snapshot; all of it
        by default
    :param snapshot_every: keep ``trained``'s state every so many steps, and at the end
    :param validation: held-out inputs and labels, on which the loss is recorded after every epoch
        as ``validation_<term>``, with ``network`` in eval mode
    :param patience: stop after so many epochs without a lower ``validation_loss`` and go back to
        the best epoch; None keeps the last
    :param before_epoch: called with the epoch's number (from 1) before the epoch's random state is
        set, so that it may set its own; it must leave the same for an epoch that is resumed at
    :param beside: other inputs; each step hands as many of them as of ``inputs`` to ``loss``, as a
        third argument, augmented alike; one is not used twice before all have been used
    :param measure: called after every epoch in eval mode, without gradients; its values are
        recorded
    :param best: the number (from 1) of the best epoch of a history; its state is handed back beside
        the last one
    :param order: called at the start of an epoch for the indices whose batches it trains on;
        without it all inputs in random order
    :raises InputError: if the loss is not finite
    """
    trained = trained or network
    machine, chosen_rate = run.machine, settings["optimizer"]["learning_rate"]
    batch_size = settings["batch_size"]
    inputs, labels = inputs.to(machine.device), labels.to(machine.device)
    beside = None if beside is None else beside.to(machine.device)
    best = _lowest_loss if patience is not None else best
    if validation is not None:
        validation = tuple(part.to(machine.device) for part in validation)
    optimizer = build_optimizer(
        [p for p in trained.parameters() if p.requires_grad], settings["optimizer"]
    )
    if "steps" in settings:
        per_epoch, total = settings["evaluate_every"], settings["steps"]
    else:
        # batch norm cannot train on a single image
        lone = len(inputs) % batch_size == 1 and len(inputs) > 1
        per_epoch = -(-len(inputs) // batch_size) - lone
        if order is not None:
            per_epoch = len(inputs) // batch_size
        total = settings["epochs"] * per_epoch
    progress = _Progress()
    if resumed := _resume(run):
        trained.load_state_dict(resumed["network"])
        optimizer.load_state_dict(resumed["optimizer"])
        progress = _Progress(**resumed["progress"])
    history, snapshots = progress.history, progress.snapshots
    saved = time.monotonic()

    def save() -> None:
        nonlocal saved
        content = {
            "identity": run.identity,
            "network": cpu_state(trained),
            "optimizer": optimizer.state_dict(),
            "progress": vars(progress),
        }
        save_model(run.checkpoint, content)
        saved = time.monotonic()

    while (before := len(history) * per_epoch) < total:
        epoch, length = len(history) + 1, min(per_epoch, total - before)
        if patience is not None and epoch - 1 - best(history) >= patience:
            log.info("no lower validation loss for %d epochs", patience)
            break
        begun = time.perf_counter() - progress.seconds
        if before_epoch:
            before_epoch(epoch)
        torch.manual_seed(derive_seed(run.seed, epoch))
        wanted = length * batch_size if "steps" in settings else len(inputs)
        drawn = (order() if order else _shuffled(len(inputs), wanted)).to(machine.device)
        if beside is not None:
            order_beside = _shuffled(len(beside), wanted).to(machine.device)
        progress.restore_random(machine.device)
        for number in range(progress.steps, length):
            step = before + number + 1
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(settings["optimizer"], step - 1, total)
            part = slice(number * batch_size, (number + 1) * batch_size)
            chosen = drawn[part]
            batches = [to_unit(inputs[chosen])]
            if beside is not None:
                batches.append(to_unit(beside[order_beside[part]]))
            if augment:
                batches = [augment(batch) for batch in batches]
            with machine.autocast():
                terms = loss(batches[0], labels[chosen], *batches[1:])
            optimizer.zero_grad(set_to_none=True)
            terms["loss"].backward()
            optimizer.step()
            progress.add(terms, len(chosen))
            if snapshot_every and step % snapshot_every == 0:
                snapshots[step] = cpu_state(trained)
            if time.monotonic() - saved >= CHECKPOINT_SECONDS:
                progress.seconds = time.perf_counter() - begun
                progress.keep_random(machine.device)
                save()
        means = progress.means()
        seconds = time.perf_counter() - begun
        if validation is not None:
            means |= _validate(network, loss, *validation, batch_size, run)
        if measure is not None:
            means |= _measured(network, measure, machine)
        if not all(math.isfinite(value) for value in means.values()):
            raise InputError(
                f"training diverged: {means} in step {before + length} of {total}; "
                f"lower learning_rate (now {chosen_rate:g})"
                + ("" if machine.precision == "float32" else " or use precision: float32")
            )
        passes = (before + length) * batch_size / len(inputs) if "steps" in settings else epoch
        history.append(
            {"epoch": passes, "step": before + length, **means}
            | {"images_per_second": progress.images / seconds, "seconds": seconds}
        )
        if best is not None and best(history) == epoch:
            progress.best = cpu_state(trained)
        left = (total - before - length) * seconds / length
        log.info(
            "step %d/%d  %s  %.0f images/s  %d:%02d left",
            before + length,
            total,
            "  ".join(f"{name} {value:.4f}" for name, value in means.items()),
            progress.images / seconds,
            *divmod(round(left), 60),
        )
        progress.next_epoch()
        save()
    if snapshot_every:
        snapshots.setdefault(history[-1]["step"], cpu_state(trained))
    if best is None:
        return Trained(history, len(history), snapshots)
    found = best(history)
    log.info("epoch %d of %d is the best", found, len(history))
    if patience is None:
        return Trained(history, len(history), snapshots, found, progress.best)
    trained.load_state_dict(progress.best)
    return Trained(history, found, snapshots, found, progress.best)


def _shuffled(count: int, wanted: int) -> Tensor:
    """At least ``wanted`` indices below ``count`` in random order, none twice before all once."""
    order = torch.randperm(count)
    while len(order) < wanted:
        order = torch.cat([order, torch.randperm(count)])
    return order


def _measured(
    network: nn.Module, measure: Callable[[], dict[str, float]], machine: Machine
) -> dict[str, float]:
    """What ``measure`` finds in eval mode."""
    training = network.training
    network.eval()
    with torch.no_grad(), machine.autocast():
        found = measure()
    network.train(training)
    return found


def _lowest_loss(history: list[dict]) -> int:
    """The first epoch with the lowest validation loss; 0 before the first."""
    losses = [row["validation_loss"] for row in history]
    return losses.index(min(losses)) + 1 if losses else 0


def crop_flip(padding: int = 4) -> Callable[[Tensor], Tensor]:
    """Random crop after zero padding and random horizontal flip, drawn per image, on the device."""

    def augment(images: Tensor) -> Tensor:
        count, _, height, width = images.shape
        padded = nn.functional.pad(images, [padding] * 4)
        device = images.device
        top = torch.randint(0, 2 * padding + 1, (count, 1)).to(device)
        left = torch.randint(0, 2 * padding + 1, (count, 1)).to(device)
        flip = (torch.rand(count, 1) < 0.5).to(device)
        rows = top + torch.arange(height, device=device)
        columns = torch.arange(width, device=device).expand(count, -1)
        columns = left + torch.where(flip, width - 1 - columns, columns)
        index = torch.arange(count, device=device)
        return padded.permute(0, 2, 3, 1)[
            index[:, None, None], rows[:, :, None], columns[:, None, :]
        ].permute(0, 3, 1, 2)

    return augment


def rotate_crop(
    degrees: float = 10.0, scale: float = 0.95, attempts: int = 10
) -> Callable[[Tensor], Tensor]:
    """Random rotation, then a random window of ``scale`` to 1 of the area and aspect 3/4 to 4/3
    brought back to the image's size; bilinear, drawn per image, on the device.

    A window that does not fit is drawn again, as torchvision does; after ``attempts`` the window is
    the whole image.
    """
    bounds = math.log(3 / 4), math.log(4 / 3)

    def augment(images: Tensor) -> Tensor:
        count = len(images)
        angle = math.radians(degrees) * (2 * torch.rand(count) - 1)
        area = scale + (1 - scale) * torch.rand(count, attempts)
        aspect = (bounds[0] + (bounds[1] - bounds[0]) * torch.rand(count, attempts)).exp()
        width, height = (area * aspect).sqrt(), (area / aspect).sqrt()
        fits = (width <= 1) & (height <= 1)
        # the first that fits; argmax gives 0 where none does
        chosen = fits.int().argmax(1, keepdim=True)
        size = torch.cat([width.gather(1, chosen), height.gather(1, chosen)], dim=1)
        size = torch.where(fits.any(1, keepdim=True), size, torch.ones(2))
        shift = (1 - size) * (2 * torch.rand(count, 2) - 1)
        cos, sin = angle.cos(), angle.sin()
        turn = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
        # of the unit square [-1, 1]^2: scaled and moved, then turned
        theta = torch.cat([turn * size[:, None, :], turn @ shift[:, :, None]], dim=2)
        grid = nn.functional.affine_grid(theta.to(images), list(images.shape), align_corners=False)
        return nn.functional.grid_sample(images, grid, align_corners=False)

    return augment


AUGMENTATIONS = {"none": None, "crop_flip": crop_flip(), "rotate_crop": rotate_crop()}
