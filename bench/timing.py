"""Timing ways of computing the same: in turns, so that a busy machine is busy for all of them."""

import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

# the library, for scripts in this folder
sys.path.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))


def wait(device: str) -> None:
    """Until the device has done what it was given."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def alternate(
    ways: dict[str, Callable[[], object]],
    repeats: int = 5,
    device: str = "cpu",
) -> dict[str, float]:
    """Median seconds of each way; the first turn is for warming up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            wait(device)
            if turn:
                seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(values) for name, values in seconds.items()}


def table(header: list[str], rows: list[list[str]]) -> str:
    """As Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def processor() -> str:
    """Its name and what it has for bfloat16."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    known = dict(line.split(":", 1) for line in lines if ":" in line)
    known = {name.strip(): value.strip() for name, value in known.items()}
    flags = [flag for flag in known.get("flags", "").split() if flag.endswith("bf16")]
    return ", ".join([known.get("model name", platform.machine()), *flags])
