"""The device that a config asks for, and what is shared on it."""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from ood.data.images import to_unit
from ood.errors import InputError


@dataclass(frozen=True)
class Compute:
    """Where and how precisely to compute.

    :param device: ``cpu`` or ``cuda``
    :param precision: ``float32``, or ``bfloat16`` for autocast
    :param compile: whether what runs often goes through PyTorch's compiler
    :param graphs: whether training steps become CUDA graphs where they can
    :param scoring_batch: images in one scoring pass
    :param networks: those in use, see ``shared``
    """

    device: torch.device
    precision: str = "float32"
    scoring_batch: int = 500
    compile: bool = False
    graphs: bool = False
    networks: dict = field(default_factory=dict, compare=False, repr=False)

    def autocast(self):
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"
        )

    def compiled(self, function: Callable) -> Callable:
        """``function``, compiled if that is asked for: anew for each shape of its inputs, so that
        the code does not depend on which came first."""
        return torch.compile(function, dynamic=False) if self.compile else function

    def chunk(self, on_cpu: int) -> int:
        """Images in one pass over a whole set: so many on a CPU, whose caches hold few of them;
        on a GPU ``scoring_batch``."""
        return on_cpu if self.device.type == "cpu" else self.scoring_batch

    def batched(self, network: Callable, images: Tensor, size: int) -> Tensor | list[Tensor]:
        """What a network says of a whole set, without gradients: batches joined.

        :param images: ``[N, C, H, W]``, uint8 or float32, on any device
        :param size: images in one pass
        :return: what ``network`` returns, ``[N, ...]`` on this device; a list where it returns
            several
        """
        with torch.no_grad(), self.autocast():
            found = [network(to_unit(part.to(self.device))) for part in images.split(size)]
        if isinstance(found[0], Tensor):
            return torch.cat(found)
        return [torch.cat(one) for one in zip(*found, strict=True)]

    def shared(self, build: Callable[..., nn.Module], content: dict) -> nn.Module:
        """``build(content, compute)`` of a model's content; the same object for equal content, so
        that detectors which are scored together can share its passes."""
        key = build, json.dumps(content["settings"], sort_keys=True), state_digest(content["state"])
        if key not in self.networks:
            self.networks[key] = build(content, self)
        return self.networks[key]


@contextmanager
def compute_for(
    device: str, locks: Path, deterministic: bool = False, graphs: str = "off", **options
):
    """Yield the ``Compute`` for ``device`` (``auto``, ``cpu`` or ``cuda``).

    Where several GPUs are visible and nobody assigned one (``CUDA_VISIBLE_DEVICES`` unset), the
    job takes the first whose lock file under ``locks`` is free, and waits if none is.

    :param deterministic: whether a GPU computes the same twice
    :param graphs: ``off``, or ``auto`` for CUDA graphs on a GPU
    :param options: further arguments of ``Compute``
    :raises InputError: if ``cuda`` is asked for and there is none
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        # saturated units make denormal numbers, on which a CPU is many times slower
        torch.set_flush_denormal(True)
        yield Compute(torch.device("cpu"), **options)
        return
    if not torch.cuda.is_available():
        raise InputError(
            "config key 'device' is 'cuda' but PyTorch sees no GPU; use 'auto' or 'cpu'"
        )
    options["graphs"] = graphs == "auto"
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    # batches have one shape: the fastest algorithm for it is looked for once
    torch.backends.cudnn.benchmark = not deterministic
    torch.use_deterministic_algorithms(deterministic)
    if deterministic:
        # read when the first product is computed
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        yield Compute(torch.device("cuda"), **options)
        return
    from filelock import FileLock, Timeout

    locks.mkdir(parents=True, exist_ok=True)
    candidates = [FileLock(locks / f"cuda{i}.lock") for i in range(torch.cuda.device_count())]
    while True:
        for index, lock in enumerate(candidates):
            try:
                with lock.acquire(timeout=0.5):
                    yield Compute(torch.device("cuda", index), **options)
                    return
            except Timeout:
                continue


def state_digest(state: dict[str, Tensor]) -> str:
    """SHA-256 of names and values, in the order of the names."""
    hashed = hashlib.sha256()
    for name in sorted(state):
        hashed.update(name.encode() + b"\0")
        hashed.update(state[name].cpu().contiguous().numpy().tobytes())
    return hashed.hexdigest()
