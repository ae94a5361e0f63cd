"""Augmentations in batched tensor code, one per file.

The setting ``augmentation`` names the module and the function in it, which makes the augmentation.
It is imported by name, so that only those who choose it depend on it.
"""

import importlib
from collections.abc import Callable


def by_name(name: str) -> Callable | None:
    """The augmentation of a setting: float32 ``[N, C, H, W]`` to the same; None for ``none``."""
    if name == "none":
        return None
    return getattr(importlib.import_module(f"ood.augmentations.{name}"), name)()
