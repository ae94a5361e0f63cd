"""Copies of the workflow with a tiny benchmark, and ways to run Snakemake on them."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from PIL import Image
from recipes import edit_recipe

ROOT = Path(__file__).parents[2]
PARTS = ["Snakefile", "config.yaml", "rules", "workflow_scripts", "benchmarks"]
PARTS += ["profiles", "envs"]
TINY = """\
title: Digits 0-2 against digits 6-7 and noise
shape: [8, 8, 1]
id: {dataset: digits, classes: [0, 1, 2]}
ood:
  near:
    - {name: unseen_digits, dataset: digits, classes: [6, 7]}
  far: [uniform]
recipe: digits
"""


@dataclass
class Project:
    """A folder with the workflow in it."""

    folder: Path

    def path(self, *parts: str) -> Path:
        return self.folder.joinpath(*parts)

    def configure(self, **changes) -> None:
        self.edit("config.yaml", lambda content: content.update(changes))

    def edit(self, name: str, change) -> None:
        """Apply ``change`` to a YAML file's content."""
        path = self.path(name)
        content = yaml.safe_load(path.read_text())
        change(content)
        path.write_text(yaml.safe_dump(content, sort_keys=False))

    def edit_recipe(self, change) -> None:
        """Apply ``change`` to the digits' recipe."""
        edit_recipe(self.folder, "digits", change)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]

    def run(self, *arguments: str, check: bool = True) -> str:
        """Run Snakemake; the terminal's text.

        A test that expects failure passes ``check=False``.
        """
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        if check:
            assert done.returncode == 0, done.stdout[-5000:]
        else:
            assert done.returncode != 0, done.stdout[-5000:]
        return done.stdout

    def planned(self, *arguments: str) -> Counter:
        """Jobs by rule that a run would do, the target rule aside."""
        text = self.run("--dry-run", *arguments)
        found = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\ntotal", text, re.S)
        if not found:
            assert "Nothing to be done" in text, text
            return Counter()
        lines = (line.split() for line in found[1].splitlines())
        return Counter(
            {name.replace("_tiny", ""): int(count) for name, count in lines if name != "all"}
        )

    def contents(self, pattern: str) -> dict[str, tuple[bytes, int]]:
        """Bytes and time of change of every file that matches."""
        return {
            str(path.relative_to(self.folder)): (path.read_bytes(), path.stat().st_mtime_ns)
            for path in sorted(self.folder.glob(pattern))
            if path.is_file()
        }

    def check_picture(self, name: str, side: int = 200) -> None:
        """A picture of more than ``side`` pixels either way, with something drawn on it."""
        with Image.open(self.path(name)) as picture:
            assert min(picture.size) > side
            assert len(picture.convert("L").getcolors()) > 5

    def copy(self, folder: Path) -> "Project":
        shutil.copytree(self.folder, folder)
        return Project(folder)


def new_project(folder: Path) -> Project:
    folder.mkdir()
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / part, ignore=ignored)
        else:
            shutil.copy2(source, folder / part)
    (folder / "benchmarks" / "tiny.yaml").write_text(TINY)
    project = Project(folder)
    project.configure(
        benchmarks=["tiny"],
        scale="smoke",
        bootstrap=20,
        device="cpu",
        methods=["msp", "brightness", "cmg_energy"],
    )
    return project


@pytest.fixture(scope="session")
def make_project():
    """``new_project``, for tests with a first run of their own."""
    return new_project


@pytest.fixture
def fresh(tmp_path) -> Project:
    """The workflow before its first run."""
    return new_project(tmp_path / "fresh")


@pytest.fixture(scope="session")
def first_run(tmp_path_factory, worker_id) -> Project:
    """The workflow after its first run, one for all of xdist's workers; tests work on copies."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "first_run"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            project = new_project(base / "first_run_unfinished")
            project.run()
            project.folder.rename(folder)
    return Project(folder)


@pytest.fixture
def finished(first_run, tmp_path) -> Project:
    """A copy of the finished workflow that a test may change."""
    return first_run.copy(tmp_path / "finished")
