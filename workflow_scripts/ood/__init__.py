"""Out-of-distribution detection with images: the library behind the workflow's scripts.

Outside of the workflow, ``ood.load`` gives a trained detector, and ``python -m ood score`` scores a
folder of pictures with one.

A module imports only from floors below its own: ``CONTRIBUTING.md`` lists them, a test checks it.
"""

import importlib


def __getattr__(name: str):
    # on demand and by name: the Snakefile imports parts of the library and no torch, and whoever
    # imports a part of it does not depend on what `load` needs
    if name == "load":
        return importlib.import_module("ood.inference").load
    raise AttributeError(f"module 'ood' has no attribute {name!r}")
