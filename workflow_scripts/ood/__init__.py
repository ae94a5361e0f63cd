"""Out-of-distribution detection with images: the library behind the workflow's scripts.

A module imports only from floors below its own, from the ground up: ``errors``, ``files``,
``registry``; ``config``, ``images``, ``lineage``, ``metrics``, ``scores``; ``provenance``;
``decode``, ``tables``, ``plots``; ``download``, ``models``, ``augmentations``; ``training``;
``classifier``, ``detector``; ``methods``.
"""
