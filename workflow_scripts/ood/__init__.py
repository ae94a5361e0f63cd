"""Out-of-distribution detection with images: the library behind the workflow's scripts.

Outside of the workflow, ``ood.load`` gives a trained detector, and ``python -m ood score`` scores a
folder of pictures with one.

A module imports only from floors below its own, from the ground up: ``errors``, ``files``,
``registry``; ``own``; ``config``, ``images``, ``lineage``, ``metrics``, ``scores``; ``provenance``;
``decode``, ``tables``, ``plots``; ``studies``; ``download``, ``models``, ``augmentations``;
``training``; ``classifier``, ``detector``; ``methods``; ``inference``.
"""


def __getattr__(name: str):
    # on demand: the Snakefile imports parts of the library, and no torch
    if name == "load":
        from ood.inference import load

        return load
    raise AttributeError(f"module 'ood' has no attribute {name!r}")
