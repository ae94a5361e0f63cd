"""The one training loop: data on the device, checkpoints, resume, progress, divergence guard."""

import hashlib
import io
import json
import logging
import math
import os
import pickle
import re
import time
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ood.errors import InputError
from ood.files import CHANGED, atomic, digest_file, read_verified
from ood.images import ImageSet, to_tensor, to_unit
from ood.interruption import INTERRUPTION

log = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 60
# within an epoch a word so often
SILENCE = 30


@dataclass(frozen=True)
class Machine:
    """Where and how precisely to compute.

    :param device: ``cpu`` or ``cuda``
    :param precision: ``float32``, or ``bfloat16`` for autocast
    :param scoring_batch: images in one scoring pass
    :param networks: those in use, see ``shared``
    """

    device: torch.device
    precision: str = "float32"
    scoring_batch: int = 500
    networks: dict = field(default_factory=dict, compare=False, repr=False)

    def autocast(self):
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"
        )

    def chunk(self, on_cpu: int) -> int:
        """Images in one pass over a whole set: so many on a CPU, whose caches hold few of them;
        on a GPU ``scoring_batch``."""
        return on_cpu if self.device.type == "cpu" else self.scoring_batch

    def shared(self, build: Callable[..., nn.Module], content: dict) -> nn.Module:
        """``build(settings, state, machine)`` of a model's content; the same object for equal
        content, so that detectors which are scored together can share its passes."""
        key = build, json.dumps(content["settings"], sort_keys=True), state_digest(content["state"])
        if key not in self.networks:
            self.networks[key] = build(content["settings"], content["state"], self)
        return self.networks[key]


@contextmanager
def machine(device: str, precision: str, scoring_batch: int, locks: Path):
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
        yield Machine(torch.device("cpu"), precision, scoring_batch)
        return
    if not torch.cuda.is_available():
        raise InputError(
            "config key 'device' is 'cuda' but PyTorch sees no GPU; use 'auto' or 'cpu'"
        )
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    # batches have one shape: the fastest algorithm for it is looked for once
    torch.backends.cudnn.benchmark = True
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        yield Machine(torch.device("cuda"), precision, scoring_batch)
        return
    from filelock import FileLock, Timeout

    locks.mkdir(parents=True, exist_ok=True)
    candidates = [FileLock(locks / f"cuda{i}.lock") for i in range(torch.cuda.device_count())]
    while True:
        for index, lock in enumerate(candidates):
            try:
                with lock.acquire(timeout=0.5):
                    yield Machine(torch.device("cuda", index), precision, scoring_batch)
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
    :param checkpoint: side file, written every ``CHECKPOINT_SECONDS``; whoever started the run
        deletes it when the results are safe
    :param identity: digest of settings, data and code; a checkpoint of another is not resumed
    :param snapshots: whether to keep the states that the ``oracle`` protocol chooses from
    :param origin: what ``seed`` was derived from
    """

    seed: int
    machine: Machine
    checkpoint: Path
    identity: str
    snapshots: bool = False
    origin: tuple[object, ...] = ()

    def seed_of(self, part: str) -> int:
        """A seed for a part of the run."""
        return derive_seed(*self.origin, part)


def save_model(path: str | Path, content: dict) -> None:
    """``torch.save``, whole or not at all, and its SHA-256 beside it; tensors are moved to the CPU
    by the caller."""
    written = _bytes(content)
    with atomic(path) as temporary:
        temporary.write_bytes(written)
    with atomic(digest_file(path)) as temporary:
        temporary.write_text(f"{hashlib.sha256(written).hexdigest()}  {Path(path).name}\n")


def _bytes(content: dict) -> bytes:
    # through memory: torch.save would write the temporary file's random name into the archive, and
    # turn a full disk into an internal error
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def load_model(path: str | Path) -> dict:
    """Read what ``save_model`` wrote, or a user's state dict, executing nothing.

    :raises InputError: if the file is damaged, or was changed since
    """
    return _content(read_verified(path), path)


def _content(written: bytes, path: str | Path) -> dict:
    try:
        return torch.load(io.BytesIO(written), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # PyTorch's own message says how to load it anyway
        raise InputError(
            f"{path}: no file of tensors, numbers and text alone: it could execute code, and is "
            "not read"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it ends too early"
        raise InputError(
            f"{path}: damaged model file ({reason}); delete it and run again"
        ) from error


def cpu_state(module: nn.Module) -> dict[str, Tensor]:
    """A detached copy of the state dict on the CPU, contiguous."""
    return {
        name: value.detach().to("cpu", copy=True).contiguous()
        for name, value in module.state_dict().items()
    }


def frozen(network: nn.Module, state: dict[str, Tensor], machine: Machine) -> nn.Module:
    """The network with a state, on the machine's device, in eval mode and without gradients."""
    network.load_state_dict(state)
    network.to(machine.device, memory_format=torch.channels_last)
    return network.eval().requires_grad_(False)


def _state(module: nn.Module) -> dict[str, Tensor]:
    """A detached copy of the state dict where it is: it costs no transfer."""
    return {
        name: value.detach().clone(memory_format=torch.contiguous_format)
        for name, value in module.state_dict().items()
    }


def state_digest(state: dict[str, Tensor]) -> str:
    """SHA-256 of names and values, in the order of the names."""
    hashed = hashlib.sha256()
    for name in sorted(state):
        hashed.update(name.encode() + b"\0")
        hashed.update(state[name].cpu().contiguous().numpy().tobytes())
    return hashed.hexdigest()


class Saved:
    """A trained model: the folder with its ``model.pt`` and ``states.pt``, read when asked for.

    :param folder: of the name of the model
    :param best: whether ``state`` is the best state on the validation sets instead of the last one;
        the last one where training looked at none
    """

    def __init__(self, folder: str | Path, best: bool = False):
        self.folder, self.use_best = Path(folder), best
        self.name = self.folder.name

    @cached_property
    def _model(self) -> dict:
        return load_model(self.folder / "model.pt")

    @cached_property
    def _states(self) -> dict:
        return load_model(self.folder / "states.pt")

    @property
    def settings(self) -> dict:
        return self._model["settings"]

    @property
    def state(self) -> dict[str, Tensor]:
        return (self.use_best and self._states["best"]) or self._model["state"]

    @property
    def parameters(self) -> int:
        """How many numbers were learned."""
        return self._model["parameters"]

    @property
    def snapshots(self) -> dict[int, dict[str, Tensor]]:
        """States by step of training."""
        return self._states["snapshots"]

    @property
    def content(self) -> dict:
        """``settings`` and ``state``."""
        return {"settings": self.settings, "state": self.state}


@dataclass(frozen=True)
class Inputs:
    """What a model or a detector is fitted on; None, or missing, where its rule does not say.

    :param images: ID training images with labels 0 .. K - 1
    :param test: ID test images, likewise
    :param classes: the labels' names: the ID classes in the order in which they were renumbered
    :param validation: the benchmark's validation OOD set
    :param validation_name: what the tables call it
    :param models: trained models by the setting that names one, or several
    :param file: a file of the user's that the settings name
    """

    images: ImageSet | None = None
    test: ImageSet | None = None
    classes: tuple[int, ...] = ()
    validation: ImageSet | None = None
    validation_name: str | None = None
    models: dict[str, Saved | list[Saved]] = field(default_factory=dict)
    file: Path | None = None


def _resume(run: Run) -> dict | None:
    path = run.checkpoint
    if not path.exists():
        return None
    try:
        # with its digest in front: a process that is killed could write one file of two
        found, _, written = path.read_bytes().partition(b"\n")
        if found != hashlib.sha256(written).hexdigest().encode():
            raise InputError(f"{path}: {CHANGED}")
        checkpoint = _content(written, path)
    except InputError as error:
        log.warning("%s; starting from the first epoch", error)
        return None
    if checkpoint["identity"] != run.identity:
        log.info("the checkpoint %s is of other settings, data or code: not resumed", path)
        return None
    progress = checkpoint["progress"]
    epochs, steps = len(progress["history"]), progress["steps"]
    news = "resuming after epoch %d and %d steps from %s"
    log.info(news, epochs, steps, path, extra={"shown": True})
    return checkpoint


@dataclass
class Trained:
    """What a training leaves: always in this form, see ``save_trained``.

    :param history: one row per epoch
    :param kept_epoch: the epoch whose weights the network has in the end
    :param snapshots: the trained part's state by step
    :param best_epoch: the best epoch by ``Watch.best``, and its state
    """

    history: list[dict]
    kept_epoch: int
    snapshots: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    best_epoch: int | None = None
    best_state: dict[str, Tensor] | None = None


def load_weights(network: nn.Module, path: str | Path, names: dict[str, str]) -> Trained:
    """Put the weights of a file in the place of training.

    :param path: a state dict, alone or under ``state_dict`` or ``state``, or a ``.safetensors``
    :param names: regular expressions and what is put in their place, one after the other, to get
        our names from the file's
    :return: a history of one row
    :raises InputError: with the first names that do not fit
    """
    if Path(path).suffix == ".safetensors":
        state = _load_safetensors(path)
    else:
        content = load_model(path)
        state = content.get("state_dict", content.get("state", content))
    found = {}
    for theirs, value in state.items():
        ours = theirs
        for pattern, replacement in names.items():
            ours = re.sub(pattern, replacement, ours)
        found[ours] = value
    wanted = network.state_dict()
    faults = [f"{name}: not in the file" for name in wanted if name not in found]
    faults += [f"{name}: not in the network" for name in found if name not in wanted]
    faults += [
        f"{name}: {list(value.shape)} in the file, {list(wanted[name].shape)} in the network"
        for name, value in found.items()
        if name in wanted and value.shape != wanted[name].shape
    ]
    if faults:
        listed = "\n".join(f"  {fault}" for fault in faults[:10])
        raise InputError(
            f"{path}: {len(faults)} names do not fit, the first of them:\n{listed}\nChange 'names' "
            "under 'weights' of the model's settings, or the settings of the network."
        )
    network.load_state_dict(found)
    loaded = sum(value.numel() for value in found.values())
    row = {"epoch": 0, "step": 0, "learning_rate": 0.0, "loaded": loaded}
    row |= {"images_per_second": math.nan, "seconds": 0.0}
    return Trained([row], 0, best_epoch=0, best_state=cpu_state(network))


def _load_safetensors(path: str | Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise InputError(f"{path}: this kind of file needs: pip install safetensors") from error
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def save_trained(folder: Path, settings: dict, network: nn.Module, trained: Trained) -> int:
    """``model.pt`` (settings, last state, size) and ``states.pt`` (best state, snapshots by step).

    :return: how many numbers were learned
    """
    state = cpu_state(network)
    size = sum(value.numel() for value in network.parameters())
    save_model(folder / "model.pt", {"settings": settings, "state": state, "parameters": size})
    save_model(folder / "states.pt", {"best": trained.best_state, "snapshots": trained.snapshots})
    return size


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rates (You, Gitman, Ginsburg, arXiv 1708.03888) on SGD with momentum.

    For each tensor p with gradient g: r = trust |p| / (|g| + weight_decay |p| + eps), 1 where p or
    g is 0; v <- momentum v + r (g + weight_decay p); p <- p - lr v. Biases and batch norms too, as
    CSI has it.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 1e-3,
        eps: float = 1e-8,
    ):
        options = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(parameters, options | {"trust": trust, "eps": eps})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            values = [value for value in group["params"] if value.grad is not None]
            slopes, decay = [value.grad for value in values], group["weight_decay"]
            size, slope = (torch.stack(torch._foreach_norm(one)) for one in (values, slopes))
            ratio = group["trust"] * size / (slope + decay * size + group["eps"])
            ratio = torch.where((size > 0) & (slope > 0), ratio, 1.0)
            change = torch._foreach_add(slopes, values, alpha=decay)
            torch._foreach_mul_(change, list(ratio.unbind()))
            for value in values:
                if not self.state[value]:
                    self.state[value]["velocity"] = torch.zeros_like(value)
            velocities = [self.state[value]["velocity"] for value in values]
            torch._foreach_mul_(velocities, group["momentum"])
            torch._foreach_add_(velocities, change)
            torch._foreach_add_(values, velocities, alpha=-group["lr"])


OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "rmsprop": torch.optim.RMSprop,
    "adadelta": torch.optim.Adadelta,
    "sgd": torch.optim.SGD,
    "lars": LARS,
}
# what of an optimiser's settings ``learning_rate`` reads
SCHEDULE = ("decay", "drops", "warmup", "cosine", "linear")
# those that PyTorch can step in one kernel
FUSED = ("adam", "sgd")


def build_optimizer(parameters: Iterable[nn.Parameter], settings: dict) -> torch.optim.Optimizer:
    """One of ``OPTIMIZERS``.

    :param settings: ``name``, ``learning_rate``, and the rest as PyTorch calls it; ``SCHEDULE`` is
        left to ``learning_rate``
    """
    options = {name: value for name, value in settings.items() if name not in SCHEDULE}
    name = options.pop("name")
    if name in FUSED:
        options["fused"] = True
    return OPTIMIZERS[name](parameters, lr=options.pop("learning_rate"), **options)


def learning_rate(settings: dict, done: int, total: int) -> float:
    """The learning rate of an optimiser after ``done`` of ``total`` steps.

    :param settings: ``learning_rate``; ``decay``, a factor on it after each step; ``drops``, a
        ``factor`` on it ``at`` each of several shares of the steps; ``warmup``: a straight line to
        it from ``start`` times it, over a ``share`` of the steps; ``cosine``: whether it then falls
        along half a cosine, which is as long as all steps; ``linear``: it then falls in a straight
        line to so many times itself
    """
    rate, passed = settings["learning_rate"] * settings.get("decay", 1) ** done, done / total
    if warmup := settings.get("warmup"):
        if passed < warmup["share"]:
            return rate * (warmup["start"] + (1 - warmup["start"]) * passed / warmup["share"])
        passed -= warmup["share"]
    if "linear" in settings:
        fallen = passed / (1 - (warmup["share"] if warmup else 0))
        rate *= 1 - (1 - settings["linear"]) * fallen
    if settings.get("cosine"):
        rate *= (1 + math.cos(math.pi * passed)) / 2
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
    return tuple(image_set.take(part) for part in hold_out(len(image_set), share, seed))


class Stream:
    """The batches of one or two sources, on the device; images are scaled to [0, 1] there.

    :param inputs: ``[N, ...]``, uint8 images or floats, which are used as they are
    :param labels: int64 ``[N]``
    :param beside: other inputs; each step has as many of them as of ``inputs``, and one is not used
        twice before all have been used
    :param augment: applied to the batches of both
    :param order: called at the start of an epoch for the indices whose batches it trains on;
        without it all inputs in random order
    """

    def __init__(
        self,
        inputs: Tensor,
        labels: Tensor,
        batch_size: int,
        *,
        beside: Tensor | None = None,
        augment: Callable[[Tensor], Tensor] | None = None,
        order: Callable[[], Tensor] | None = None,
    ):
        self.inputs, self.labels, self.batch_size = inputs, labels, batch_size
        self.beside, self.augment, self.order = beside, augment, order
        self.batches = -(-len(inputs) // batch_size)
        if order is not None:
            self.batches = len(inputs) // batch_size
        # batch norm cannot train on a single image
        elif len(inputs) % batch_size == 1 and len(inputs) > 1:
            self.batches -= 1

    def to(self, device: torch.device) -> None:
        self.inputs, self.labels = self.inputs.to(device), self.labels.to(device)
        self.beside = None if self.beside is None else self.beside.to(device)

    def shuffle(self, batches: int | None) -> None:
        """Draw an epoch's order from PyTorch's global random state.

        :param batches: how many; None for one pass
        """
        wanted = len(self.inputs) if batches is None else batches * self.batch_size
        drawn = self.order() if self.order else shuffled(len(self.inputs), wanted)
        self._drawn = drawn.to(self.inputs.device)
        if self.beside is not None:
            self._drawn_beside = shuffled(len(self.beside), wanted).to(self.inputs.device)

    def batch(self, number: int) -> tuple[Tensor, ...]:
        """Float32 inputs, int64 labels and, with a second source, its inputs."""
        part = slice(number * self.batch_size, (number + 1) * self.batch_size)
        chosen = self._drawn[part]
        found = [to_unit(self.inputs[chosen])]
        if self.beside is not None:
            # no more than the batch has in an epoch's last step
            found.append(to_unit(self.beside[self._drawn_beside[part][: len(chosen)]]))
        if self.augment:
            found = [self.augment(one) for one in found]
        return found[0], self.labels[chosen], *found[1:]


def stream(image_set: ImageSet, batch_size: int, **more) -> Stream:
    """The batches of an image set; ``more`` is ``Stream``'s."""
    return Stream(*tensors(image_set), batch_size, **more)


def tensors(image_set: ImageSet) -> tuple[Tensor, Tensor]:
    """uint8 or float32 images ``[N, C, H, W]`` and int64 labels ``[N]``."""
    return to_tensor(image_set.images), torch.from_numpy(image_set.labels)


def shuffled(count: int, wanted: int) -> Tensor:
    """At least ``wanted`` indices below ``count`` in random order, none twice before all once."""
    order = torch.randperm(count)
    while len(order) < wanted:
        order = torch.cat([order, torch.randperm(count)])
    return order


@dataclass
class Watch:
    """What is looked at after every epoch, with the network in eval mode.

    :param held_out: inputs and labels, on which the loss is recorded as ``validation_<term>``
    :param measure: called without gradients; its values are recorded
    :param best: the number (from 1) of the best epoch of a history; its state is handed back beside
        the last one
    :param patience: stop after so many epochs without a lower ``validation_loss`` and go back to
        the best epoch; None keeps the last
    """

    held_out: tuple[Tensor, Tensor] | None = None
    measure: Callable[[], dict[str, float]] | None = None
    best: Callable[[list[dict]], int] | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        if self.patience is not None:
            self.best = _lowest_loss

    def to(self, device: torch.device) -> None:
        if self.held_out is not None:
            self.held_out = tuple(part.to(device) for part in self.held_out)

    def exhausted(self, history: list[dict]) -> bool:
        return self.patience is not None and len(history) - self.best(history) >= self.patience

    def look(
        self, network: nn.Module, loss: Callable[..., dict[str, Tensor]], batch_size: int, run: Run
    ) -> dict[str, float]:
        """Whatever is drawn is the same in every epoch."""
        mode = network.training
        network.eval()
        found = {}
        with torch.no_grad(), run.machine.autocast():
            if self.held_out is not None:
                torch.manual_seed(derive_seed(run.seed, "validation"))
                found |= self._held_out_means(loss, batch_size)
            if self.measure is not None:
                found |= self.measure()
        network.train(mode)
        return found

    def _held_out_means(
        self, loss: Callable[..., dict[str, Tensor]], batch_size: int
    ) -> dict[str, float]:
        inputs, labels = self.held_out
        sums: dict[str, Tensor] = {}
        for start in range(0, len(inputs), batch_size):
            batch = to_unit(inputs[start : start + batch_size])
            _add(sums, loss(batch, labels[start : start + batch_size]), len(batch))
        return _means(sums, len(inputs), "validation_")


def _lowest_loss(history: list[dict]) -> int:
    """The first epoch with the lowest validation loss; 0 before the first."""
    losses = [row["validation_loss"] for row in history]
    return losses.index(min(losses)) + 1 if losses else 0


class Schedule:
    """How long a run is, and at which learning rate.

    :param settings: ``optimizer``, and ``epochs``, passes over the data, or ``steps`` and
        ``evaluate_every``: then an epoch is so many steps
    """

    def __init__(self, settings: dict, data: "Stream"):
        self.optimizer = settings["optimizer"]
        self.by_steps = "steps" in settings
        self.per_epoch = settings["evaluate_every"] if self.by_steps else data.batches
        self.total = settings["steps"] if self.by_steps else settings["epochs"] * self.per_epoch

    def length(self, epoch: int) -> int:
        """Steps of an epoch (from 1); 0 after the last."""
        return max(0, min(self.per_epoch, self.total - (epoch - 1) * self.per_epoch))

    def rate(self, done: int) -> float:
        """The learning rate after ``done`` steps."""
        return learning_rate(self.optimizer, done, self.total)


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

    def to(self, device: torch.device) -> "_Progress":
        """A checkpoint's tensors come from the CPU."""
        self.sums = {name: value.to(device) for name, value in self.sums.items()}
        return self

    def add(self, terms: dict[str, Tensor], count: int) -> None:
        _add(self.sums, terms, count)
        self.steps += 1
        self.images += count

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


def _add(sums: dict[str, Tensor], terms: dict[str, Tensor], count: int) -> None:
    """Add a batch's mean terms times its images, in float64 and without waiting for the device."""
    for name, value in terms.items():
        if name in sums:
            sums[name].add_(value.detach(), alpha=count)
        else:
            sums[name] = value.detach().double() * count


def _means(sums: dict[str, Tensor], images: int, prefix: str = "") -> dict[str, float]:
    """The sums' means; the device is waited for once."""
    totals = torch.stack(list(sums.values())).tolist() if sums else []
    return {f"{prefix}{name}": one / images for name, one in zip(sums, totals, strict=True)}


class _Checkpoint:
    """A run's side file: all that an interrupted run needs to go on."""

    def __init__(self, run: Run, part: nn.Module, optimizer: torch.optim.Optimizer):
        self.run, self.part, self.optimizer = run, part, optimizer
        self.saved = time.monotonic()

    def restore(self) -> _Progress:
        """Where the run stands; weights and optimiser are put back."""
        if not (found := _resume(self.run)):
            return _Progress()
        self.part.load_state_dict(found["network"])
        self.optimizer.load_state_dict(found["optimizer"])
        return _Progress(**found["progress"])

    def due(self) -> bool:
        return time.monotonic() - self.saved >= CHECKPOINT_SECONDS

    def save(self, progress: _Progress) -> None:
        content = {
            "identity": self.run.identity,
            "network": cpu_state(self.part),
            "optimizer": self.optimizer.state_dict(),
            "progress": vars(progress),
        }
        written = _bytes(content)
        with atomic(self.run.checkpoint) as temporary:
            digest = hashlib.sha256(written).hexdigest().encode()
            temporary.write_bytes(digest + b"\n" + written)
        self.saved = time.monotonic()


@INTERRUPTION.deferred()
def train(
    network: nn.Module,
    loss: Callable[..., dict[str, Tensor]],
    data: Stream,
    settings: dict,
    run: Run,
    *,
    part: nn.Module | None = None,
    watch: Watch | None = None,
    snapshot_every: int | None = None,
    before_epoch: Callable[[int], None] | None = None,
) -> Trained:
    """Train ``network`` in place.

    All randomness of an epoch follows from ``(run.seed, epoch)``, and a checkpoint within an epoch
    holds the random state: a resumed run ends bit for bit (on the CPU) where an uninterrupted one
    ends. Ctrl-C and SIGTERM save a checkpoint after the step, and raise KeyboardInterrupt.

    :param network: on ``run.machine.device``, in the mode (train or eval) that training needs
    :param loss: maps a batch of ``data`` to named terms; ``"loss"`` is minimised, all are recorded
    :param settings: of ``Schedule``, and ``optimizer`` (see ``build_optimizer``)
    :param part: what of ``network`` is optimised, checkpointed and snapshot; all of it by default
    :param snapshot_every: keep ``part``'s state every so many steps, and at the end
    :param before_epoch: called with the epoch's number (from 1) before the epoch's random state is
        set, so that it may set its own; it must leave the same for an epoch that is resumed at
    :raises InputError: if the loss is not finite
    """
    part, watch, machine = part or network, watch or Watch(), run.machine
    data.to(machine.device)
    watch.to(machine.device)
    schedule = Schedule(settings, data)
    learned = [value for value in part.parameters() if value.requires_grad]
    optimizer = build_optimizer(learned, settings["optimizer"])
    checkpoint = _Checkpoint(run, part, optimizer)
    progress = checkpoint.restore().to(machine.device)
    history, snapshots, told = progress.history, progress.snapshots, time.perf_counter()
    while length := schedule.length(epoch := len(history) + 1):
        if watch.exhausted(history):
            log.info("no lower validation loss for %d epochs", watch.patience)
            break
        begun = time.perf_counter() - progress.seconds
        if before_epoch:
            before_epoch(epoch)
        torch.manual_seed(derive_seed(run.seed, epoch))
        data.shuffle(length if schedule.by_steps else None)
        progress.restore_random(machine.device)
        before = (epoch - 1) * schedule.per_epoch
        for number in range(progress.steps, length):
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(before + number)
            batch = data.batch(number)
            with machine.autocast():
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
                progress.keep_random(machine.device)
                checkpoint.save(progress)
            if INTERRUPTION.asked:
                raise KeyboardInterrupt
            if time.perf_counter() - told > SILENCE:
                told = time.perf_counter()
                means, seconds = _means(progress.sums, progress.images), told - begun
                speed = progress.images / seconds
                _report(means, step, schedule, seconds / (number + 1), speed)
        # only here, and where an epoch is long, is the device waited for
        means = _means(progress.sums, progress.images)
        seconds = time.perf_counter() - begun
        means |= watch.look(network, loss, data.batch_size, run)
        done = before + length
        _check_finite(means, done, schedule, machine)
        passes = done * data.batch_size / len(data.inputs) if schedule.by_steps else epoch
        speed = {"images_per_second": progress.images / seconds, "seconds": seconds}
        facts = {"epoch": passes, "step": done, "learning_rate": schedule.rate(done - 1)}
        history.append(facts | means | speed)
        if watch.best is not None and watch.best(history) == epoch:
            progress.best = _state(part)
        _report(means, done, schedule, seconds / length, speed["images_per_second"])
        told = time.perf_counter()
        progress.next_epoch()
        if checkpoint.due():
            checkpoint.save(progress)
    if snapshot_every:
        snapshots.setdefault(history[-1]["step"], cpu_state(part))
    if watch.best is None:
        return Trained(history, len(history), snapshots)
    best = watch.best(history)
    log.info("epoch %d of %d is the best", best, len(history))
    if watch.patience is not None:
        part.load_state_dict(progress.best)
    kept = len(history) if watch.patience is None else best
    best_state = {name: value.cpu() for name, value in progress.best.items()}
    return Trained(history, kept, snapshots, best, best_state)


def _check_finite(means: dict[str, float], done: int, schedule: Schedule, machine: Machine) -> None:
    if all(math.isfinite(value) for value in means.values()):
        return
    precision = "" if machine.precision == "float32" else " or use precision: float32"
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
