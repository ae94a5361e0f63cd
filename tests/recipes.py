"""Changes of a recipe, for tests."""

from pathlib import Path

import yaml

from ood.config.recipes import Family


def edit_recipe(root: Path, family: str, change) -> None:
    """Apply ``change`` to all entries of a family, which then lie in one file, ``whole.yaml``."""
    content = Family(root, family, "the test").resolved()
    change(content)
    folder = root / "benchmarks" / "recipes" / family
    for path in folder.glob("*.yaml"):
        path.unlink()
    (folder / "whole.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
