"""Model files: written whole with a digest, read without executing anything; released weights."""

import hashlib
import io
import math
import pickle
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from ood.config.kinds import settings_of
from ood.errors import InputError
from ood.files import atomic, digest_file, read_verified
from ood.settings.base import ModelSettings
from ood.training.device import Compute


def save_model(path: str | Path, content: dict) -> None:
    """``torch.save``, whole or not at all, and its SHA-256 beside it; tensors are moved to the CPU
    by the caller."""
    written = to_file_bytes(content)
    with atomic(path) as temporary:
        temporary.write_bytes(written)
    with atomic(digest_file(path)) as temporary:
        temporary.write_text(f"{hashlib.sha256(written).hexdigest()}  {Path(path).name}\n")


def to_file_bytes(content: dict) -> bytes:
    # through memory: torch.save would write the temporary file's random name into the archive, and
    # turn a full disk into an internal error
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def load_model(path: str | Path) -> dict:
    """Read what ``save_model`` wrote, or a user's state dict, executing nothing.

    :raises InputError: if the file is damaged, or was changed since
    """
    return from_file_bytes(read_verified(path), path)


def from_file_bytes(written: bytes, path: str | Path) -> dict:
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


def frozen(network: nn.Module, state: dict[str, Tensor], compute: Compute) -> nn.Module:
    """The network with a state, on a device, in eval mode and without gradients."""
    network.load_state_dict(state)
    network.to(compute.device, memory_format=torch.channels_last)
    return network.eval().requires_grad_(False)


def restore(
    build: Callable[[ModelSettings], nn.Module], content: dict, compute: Compute
) -> nn.Module:
    """A trained network, frozen and in eval mode.

    :param build: the network with fresh weights, from its settings
    :param content: of a ``TrainedModel``
    """
    return frozen(build(settings_of("models", content["settings"])), content["state"], compute)


class TrainedModel:
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
    def settings(self) -> ModelSettings:
        return settings_of("models", self._model["settings"])

    @property
    def state(self) -> dict[str, Tensor]:
        return (self.use_best and self._states["best"]) or self._model["state"]

    @property
    def parameters(self) -> int:
        """How many numbers were learned."""
        return self._model["parameters"]

    @property
    def flags(self) -> list[str]:
        """What is not healthy about the model, and about those that it was trained on."""
        return self._model["flags"]

    @property
    def snapshots(self) -> dict[int, dict[str, Tensor]]:
        """States by step of training."""
        return self._states["snapshots"]

    @property
    def content(self) -> dict:
        """``settings``, plain, and ``state``."""
        return {"settings": self._model["settings"], "state": self.state}


@dataclass
class TrainingResult:
    """What a training leaves: always in this form, see ``save_trained``.

    :param history: one row per epoch
    :param kept_epoch: the epoch whose weights the network has in the end
    :param snapshots: the trained part's state by step
    :param best_epoch: the best epoch by ``Validation.best``, and its state
    :param health: after the ``first`` epoch and at the end (``last``), see ``health.look``
    """

    history: list[dict]
    kept_epoch: int
    snapshots: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    best_epoch: int | None = None
    best_state: dict[str, Tensor] | None = None
    health: dict[str, dict] = field(default_factory=dict)


def load_weights(network: nn.Module, path: str | Path, names: dict[str, str]) -> TrainingResult:
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
    return TrainingResult([row], 0, best_epoch=0, best_state=cpu_state(network))


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


def save_trained(
    folder: Path,
    settings: dict,
    network: nn.Module,
    trained: TrainingResult,
    flags: Sequence[str] = (),
) -> int:
    """``model.pt`` (settings, last state, size, flags) and ``states.pt`` (best state, snapshots by
    step).

    :return: how many numbers were learned
    """
    state = cpu_state(network)
    size = sum(value.numel() for value in network.parameters())
    model = {"settings": settings, "state": state, "parameters": size, "flags": list(flags)}
    save_model(folder / "model.pt", model)
    save_model(folder / "states.pt", {"best": trained.best_state, "snapshots": trained.snapshots})
    return size
