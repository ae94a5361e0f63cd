"""PixelCNN++ of the likelihood-ratio paper: our training step and scoring against a plain port.

    python bench/pixelcnn.py [--steps 5] [--images 64] [--device cpu]

The reference writes the same graph the way the public PyTorch port of PixelCNN++ does: weight
normalisation on every layer, a ZeroPad2d before each convolution, permute + Linear for 1x1. Both
train on the same 32 images of 28x28x1 (32 filters, 5 residual layers, raw inputs) and score images;
they take turns, and each figure is the median. On a CPU ours flushes denormal numbers to zero, as
the workflow does; the reference is timed without and with that. Use OMP_NUM_THREADS=1 for it: the
switch acts on threads that start later.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))

from ood.models.pixelcnn import PixelCNN, mixture_log_probability


def concat_elu(x):
    return F.elu(torch.cat([x, -x], dim=1))


class Shifted(nn.Module):
    """A convolution of the rows above and of the columns around (``right``: before) the pixel."""

    def __init__(self, inputs, outputs, size, right):
        super().__init__()
        height, width = size
        sides = (width - 1, 0) if right else ((width - 1) // 2, (width - 1) // 2)
        self.pad = nn.ZeroPad2d((*sides, height - 1, 0))
        self.conv = weight_norm(nn.Conv2d(inputs, outputs, size))

    def forward(self, x):
        return self.conv(self.pad(x))


class Nin(nn.Module):
    """A linear map of the channels."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = weight_norm(nn.Linear(inputs, outputs))

    def forward(self, x):
        return self.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Gated(nn.Module):
    def __init__(self, filters, size, right, others):
        super().__init__()
        self.first = Shifted(2 * filters, filters, size, right)
        self.second = Shifted(2 * filters, 2 * filters, size, right)
        self.nin = Nin(2 * others * filters, filters) if others else None

    def forward(self, x, other=None):
        hidden = self.first(concat_elu(x))
        if other is not None:
            hidden = hidden + self.nin(concat_elu(other))
        value, gate = self.second(concat_elu(hidden)).chunk(2, dim=1)
        return x + value * torch.sigmoid(gate)


class Reference(nn.Module):
    def __init__(self, filters=32, layers=5):
        super().__init__()
        self.above = Shifted(1, filters, (2, 3), False)
        self.just_above = Shifted(1, filters, (1, 3), False)
        self.left = Shifted(1, filters, (2, 1), True)
        self.shift_down, self.shift_right = nn.ZeroPad2d((0, 0, 1, 0)), nn.ZeroPad2d((1, 0, 0, 0))
        self.vertical = nn.ModuleList(
            Gated(filters, (2, 3), False, up) for up in (0, 1) for _ in range(layers)
        )
        self.horizontal = nn.ModuleList(
            Gated(filters, (2, 2), True, 1 + up) for up in (0, 1) for _ in range(layers)
        )
        self.layers = layers
        self.head = Nin(filters, 3)

    def forward(self, x):
        v = self.shift_down(self.above(x))[:, :, :-1]
        h = self.shift_down(self.just_above(x))[:, :, :-1]
        h = h + self.shift_right(self.left(x))[:, :, :, :-1]
        skips = [(v, h)]
        for index in range(self.layers):
            v = self.vertical[index](v)
            h = self.horizontal[index](h, v)
            skips.append((v, h))
        skips.pop()
        for index in range(self.layers, 2 * self.layers):
            skip_v, skip_h = skips.pop()
            v = self.vertical[index](v, skip_v)
            h = self.horizontal[index](h, torch.cat([v, skip_h], dim=1))
        return self.head(F.elu(h))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    chosen = parser.parse_args()
    device = torch.device(chosen.device)

    torch.manual_seed(0)
    reference, own = Reference().to(device), PixelCNN((28, 28, 1)).to(device)
    own.to(memory_format=torch.channels_last)
    # by name: the network, and whether denormal numbers are flushed
    networks = {"plain port": (reference, False), "ours": (own, True)}
    if device.type == "cpu":
        networks["plain port, flushing"] = (reference, True)
    batch = torch.randint(0, 256, (32, 1, 28, 28), device=device).float()
    many = torch.randint(0, 256, (chosen.images, 1, 28, 28), device=device).float()

    def step(network, optimizer):
        loss = -mixture_log_probability(batch, network(batch), 1, False).sum((1, 2)).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def score(network):
        with torch.no_grad():
            for part in many.split(32):
                outputs = network(part).double()
                mixture_log_probability(part.double(), outputs, 1, False).sum((1, 2))

    optimizers = {
        name: torch.optim.Adam(net.parameters(), lr=1e-4) for name, (net, _) in networks.items()
    }
    seconds = {(what, name): [] for what in ("step", "score") for name in networks}
    for turn in range(chosen.steps + 1):
        for name, (network, flush) in networks.items():
            torch.set_flush_denormal(flush)
            for what, work in (
                ("step", lambda name=name, net=network: step(net, optimizers[name])),
                ("score", lambda net=network: score(net)),
            ):
                begun = time.perf_counter()
                work()
                if device.type == "cuda":
                    torch.cuda.synchronize()
                if turn:  # the first is for warming up
                    seconds[what, name].append(time.perf_counter() - begun)
    print(f"{torch.get_num_threads()} threads, {device}")
    for what, count in (("step", 32), ("score", chosen.images)):
        medians = {name: statistics.median(seconds[what, name]) for name in networks}
        for name, median in medians.items():
            ratio = median / medians["ours"]
            print(f"{what:6} {name:21} {1000 * median / count:8.2f} ms/image  {ratio:5.2f} x")


if __name__ == "__main__":
    main()
