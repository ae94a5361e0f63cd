"""Before `make` runs the workflow: what a killed run left is removed, where no other is alive in
this folder: Snakemake's lock, and files that were not finished."""

import subprocess
import sys
from pathlib import Path

import psutil


def alive(folder: Path) -> bool:
    """Whether a Snakemake other than this process works in the folder."""
    for one in psutil.process_iter(["cmdline", "cwd"]):
        words = one.info["cmdline"] or []
        if one.info["cwd"] == str(folder) and any("snakemake" in Path(w).name for w in words[:3]):
            return True
    return False


if __name__ == "__main__":
    here = Path.cwd()
    if any(here.glob(".snakemake/locks/*")) and not alive(here):
        subprocess.run([Path(sys.executable).with_name("snakemake"), "--unlock"], check=True)
        for top in ("results", "data"):
            for left in here.glob(f"{top}/**/.tmp-*"):
                if left.is_file():
                    left.unlink()
