"""Changes of a recipe, for tests."""

import copy
from pathlib import Path

import yaml

from ood.config.benchmarks import Loader, load_yaml


def edit_recipe(root: Path, family: str, change) -> None:
    """Apply ``change`` to all entries of a family, which then lie in one file, ``whole.yaml``."""
    content, _ = Loader(root, copy.deepcopy(load_yaml(root / "config.yaml"))).entries(family)
    change(content)
    folder = root / "benchmarks" / "recipes" / family
    for path in folder.glob("*.yaml"):
        path.unlink()
    (folder / "whole.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
