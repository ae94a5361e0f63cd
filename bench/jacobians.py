"""Type I directions of OODGen: our batched Jacobian and null space against two plain ways.

    python bench/jacobians.py [--images 128] [--repeats 3] [--device cpu]

(a) a loop over images of torch.autograd.functional.jacobian and a full SVD;
(b) one gradient for each output pixel, batched over the images, then our null space.
All three get the same decoder (28x28, L = 8, K = 10, random weights) and latents, alternate within
each repeat, and must agree. Each prints milliseconds per image, median over the repeats.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))

from ood.methods.oodgen import JACOBIAN_CHUNK, decoder_jacobian, projected_directions
from ood.models.vae import OneHotCVAE


def ours(cvae, latents, one_hot, chunk):
    """Jacobians and directions, ``chunk`` images at a time."""
    parts = []
    for z, y in zip(latents.split(chunk), one_hot.split(chunk), strict=True):
        with torch.no_grad():
            jacobian = decoder_jacobian(cvae, z, y)
            parts.append((jacobian, projected_directions(jacobian)))
    return [torch.cat(part) for part in zip(*parts, strict=True)]


def loop(cvae, latents, one_hot):
    """(a)"""
    jacobians, directions = [], []
    for z, y in zip(latents, one_hot, strict=True):
        jacobian = torch.autograd.functional.jacobian(
            lambda one, y=y: cvae.decode(one[None], y[None]).flatten(), z
        )
        null_space = torch.linalg.svd(jacobian)[0][:, jacobian.shape[1] :]
        weights = torch.randn(null_space.shape[1], device=z.device)
        directions.append(torch.nn.functional.normalize(null_space @ weights, dim=0))
        jacobians.append(jacobian)
    return [torch.stack(jacobians), torch.stack(directions)]


def pixelwise(cvae, latents, one_hot):
    """(b)"""
    latents = latents.clone().requires_grad_()
    images = cvae.decode(latents, one_hot).flatten(1)
    rows = [
        torch.autograd.grad(images[:, pixel].sum(), latents, retain_graph=True)[0]
        for pixel in range(images.shape[1])
    ]
    jacobian = torch.stack(rows, dim=1)
    return [jacobian, projected_directions(jacobian)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    chosen = parser.parse_args()

    torch.manual_seed(0)
    device = torch.device(chosen.device)
    cvae = OneHotCVAE((28, 28, 1), 10).to(device, memory_format=torch.channels_last)
    cvae.eval().requires_grad_(False)
    latents = torch.randn(chosen.images, 8, device=device)
    one_hot = cvae.one_hot(torch.randint(0, 10, (chosen.images,), device=device))
    chunk = JACOBIAN_CHUNK[device.type]
    ways = {f"ours, chunks of {chunk}": lambda *inputs: ours(*inputs, chunk)}
    ways |= {"(a) loop, full SVD": loop, "(b) gradient per pixel": pixelwise}
    others = [n for n in (4, 8, 16, 32, 64, 128, 256, 512) if n <= chosen.images and n != chunk]
    ways |= {f"ours, chunks of {n}": lambda *i, n=n: ours(*i, n) for n in others}
    seconds = {name: [] for name in ways}
    found = {}
    for repeat in range(chosen.repeats + 1):
        for name, way in ways.items():
            begun = time.perf_counter()
            found[name] = way(cvae, latents, one_hot)
            if device.type == "cuda":
                torch.cuda.synchronize()
            if repeat:  # the first is for warming up
                seconds[name].append(time.perf_counter() - begun)
    first = next(iter(ways))
    reference = found[first][0]
    base = statistics.median(seconds[first])
    print(f"{torch.get_num_threads()} threads, {device}, {chosen.images} images, L = 8")
    for name in ways:
        jacobian, direction = found[name]
        residual = (jacobian.mT @ direction[:, :, None]).abs().max()
        median = statistics.median(seconds[name])
        print(
            f"{name:26} {1000 * median / chosen.images:9.3f} ms/image  {median / base:7.1f} x"
            f"  J differs by {(jacobian - reference).abs().max():.1e}  max |J^T v| {residual:.1e}"
        )


if __name__ == "__main__":
    main()
