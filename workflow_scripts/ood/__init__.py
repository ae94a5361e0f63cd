"""Out-of-distribution detection with images: the library behind the workflow's scripts.

A module imports only from floors below its own: ``datasets``, ``config``, ``images`` and
``metrics`` at the bottom; then ``models``; then ``training``; then ``classifier``; then
``methods``. ``tables`` and ``plots`` read files that the others leave behind.
"""
