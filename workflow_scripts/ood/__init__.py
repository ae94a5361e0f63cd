"""Out-of-distribution detection with images: the library behind the workflow's scripts.

Outside of the workflow, ``ood.load`` gives a trained detector, and ``python -m ood score`` scores a
folder of pictures with one.

A module imports only from floors below its own, from the ground up: ``errors``, ``files``,
``registry``; ``own``; ``config``, ``images``, ``lineage``, ``metrics``, ``scores``; ``provenance``;
``decode``, ``tables``, ``plots``; ``studies``; ``download``, ``models``, ``augmentations``;
``training``; ``classifier``, ``class_gaussians``, ``detector``; ``methods``; ``detector_files``;
``inference``.
"""

import importlib


def __getattr__(name: str):
    # on demand and by name: the Snakefile imports parts of the library and no torch, and whoever
    # imports a part of it does not depend on what `load` needs
    if name == "load":
        return importlib.import_module("ood.inference").load
    raise AttributeError(f"module 'ood' has no attribute {name!r}")
