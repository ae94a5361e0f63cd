"""The Snakefile: what parsing costs, the profile."""

import subprocess
import sys

import yaml


def test_parsing_imports_nothing_heavy(fresh):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "snakemake", "--dry-run", "--quiet"],
        cwd=fresh.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "ood.config" in imported
    assert not imported & {"torch", "torchvision", "pandas", "matplotlib", "sklearn"}


def test_the_profile_goes_by_content(fresh):
    profile = yaml.safe_load(fresh.path("profiles/default/config.yaml").read_text())
    assert profile["rerun-triggers"] == ["mtime", "params", "input", "software-env"]
    assert profile["rerun-incomplete"] is True
