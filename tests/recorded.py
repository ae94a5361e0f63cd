"""A CUDA graph as the CPU can have it: operators are recorded and repeated on the same memory."""

import traceback

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# what reads a number from a device, or brings one there from Python
WAITS = (
    "aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal",
    "aten::lift_fresh", "aten::is_nonzero",
)  # fmt: skip


def _in_optimizer():
    """PyTorch's optimizers count steps on a CPU with a number, and on a GPU without."""
    return any("torch/optim/" in frame.filename for frame in traceback.extract_stack())


class Recorder(TorchDispatchMode):
    """Keeps every operator with its inputs and outputs."""

    def __init__(self):
        super().__init__()
        self.calls, self.waits = [], []

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        found = operator(*args, **(kwargs or {}))
        name, leaves = operator.name().split(".")[0], tree_leaves((args, kwargs))
        # an index of truth values is looked through for the true ones
        indexed = "index" in name and any(
            isinstance(one, torch.Tensor) and one.dtype is torch.bool for one in leaves[1:]
        )
        if indexed or (name in WAITS and not _in_optimizer()):
            self.waits.append(name)
        self.calls.append((operator, args, kwargs or {}, found))
        return found

    def replay(self):
        with torch.no_grad():
            for operator, args, kwargs, kept in self.calls:
                found = operator(*args, **kwargs)
                for old, new in zip(tree_leaves(kept), tree_leaves(found), strict=True):
                    if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                        old.copy_(new)


class Recorded:
    """In place of ``ood.training.graphs.CUDA``. A CPU cannot capture without computing: the first
    repetition is what capturing computed."""

    captures = 0

    def __init__(self, device):
        self.device = device

    def watched(self, work, *given):
        with Recorder() as recorder:
            work(*given)
        return f"{recorder.waits[0]} waits for the device" if recorder.waits else None

    def captured(self, work, *given):
        type(self).captures += 1
        with Recorder() as recorder:
            work(*given)
        assert not recorder.waits
        repeats = iter([lambda: None])
        return lambda: next(repeats, recorder.replay)()
