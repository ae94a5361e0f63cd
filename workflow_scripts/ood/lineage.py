"""Where a result comes from: settings, inputs, versions, revision."""

import hashlib
import json
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("snakemake", "torch", "torchvision", "numpy", "pandas", "scikit-learn")


def digest(*parts: object) -> str:
    """SHA-256 of JSON-able parts; the order of dictionary keys does not matter."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Installed versions of what results depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_revision(folder: str | Path) -> str | None:
    """The folder's commit, with ``+changes`` if the tree differs; None outside git."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def lineage(params: dict, manifests: dict[str, str], seed: int | None = None) -> dict:
    """A record for the JSON beside a result.

    :param params: the rule's settings, the hash of its code among them
    :param manifests: SHA-256 by input path
    """
    return {
        "params": params,
        "inputs": manifests,
        "seed": seed,
        "versions": versions(),
        "git_revision": git_revision(Path(__file__).parent),
    }
