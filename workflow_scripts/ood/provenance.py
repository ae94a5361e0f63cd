"""Where a result comes from: settings, code, inputs, versions, revision."""

import ast
import functools
import hashlib
import json
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ood.files import checksum, load_json

PACKAGES = ("snakemake", "torch", "torchvision", "numpy", "pandas", "scikit-learn")


def digest(*parts: object) -> str:
    """SHA-256 of JSON-able parts; the order of dictionary keys does not matter."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


@functools.cache
def _parsed(path: Path) -> tuple[str, tuple[str, ...]]:
    """The meaning of a source file as a short hash, and the modules that it imports.

    Comments, docstrings, those of fields too, and layout are left out of the hash.
    """
    tree = ast.parse(path.read_text(), str(path))
    imported = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [one for one in node.body if not _is_text(one)]
    meaning = hashlib.sha256(_dump(tree).encode()).hexdigest()[:12]
    return meaning, tuple(dict.fromkeys(imported))


def _dump(node: object) -> str:
    """A syntax tree as text, the same for every Python: what is empty is left out, since each
    version has more fields."""
    if isinstance(node, ast.AST):
        fields = [(name, one) for name, one in ast.iter_fields(node) if one not in (None, [])]
        inner = [f"{name}={_dump(one)}" for name, one in fields]
        return f"{type(node).__name__}({', '.join(inner)})"
    if isinstance(node, list):
        return f"[{', '.join(map(_dump, node))}]"
    return repr(node)


def _is_text(statement: ast.stmt) -> bool:
    """Whether it is a text that nothing is done with: it speaks to readers."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _module_file(folder: Path, module: str) -> Path | None:
    base = folder.joinpath(*module.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@functools.cache
def _imported(folder: Path, path: Path) -> tuple[Path, ...]:
    """The local files that a source file imports."""
    modules = {}
    for name in _parsed(path)[1]:
        # a package's own file runs whichever part of it is imported
        parts = name.split(".")
        modules |= dict.fromkeys(".".join(parts[:count]) for count in range(1, len(parts) + 1))
    return tuple(one for module in modules if (one := _module_file(folder, module)))


@functools.cache
def _closure(folder: Path, path: Path) -> frozenset[Path]:
    found, waiting = set(), [path]
    while waiting:
        source = waiting.pop()
        if source not in found:
            found.add(source)
            waiting += _imported(folder, source)
    return frozenset(found)


# do not count: what says where results lie, not what is in them (Snakemake sees by itself that a
# path changed), and what settings may be (what they are, is a parameter)
PLACES, ALLOWED = "ood/layout.py", "ood/settings/"
# of these files, those that say how settings are read
READERS = {"ood/settings/__init__.py", "ood/settings/base.py"}


def code(folder: Path, *names: str) -> dict[str, str]:
    """The meaning of files and of all local ones that they import, by path from ``folder``.

    :param names: paths from ``folder``, or modules; what is no file there is left out
    """
    found: set[Path] = set()
    for name in names:
        path = folder / name if name.endswith(".py") else _module_file(folder, name)
        if path is not None and path.is_file():
            found |= _closure(folder, path)
    names = {str(path.relative_to(folder)): path for path in sorted(found)}
    return {name: _parsed(path)[0] for name, path in names.items() if _counts(name)}


def _counts(name: str) -> bool:
    return name != PLACES and (not name.startswith(ALLOWED) or name in READERS)


def content_digest(path: str | Path) -> str:
    """What a file holds, whoever wrote it and when: SHA-256; of JSON without ``provenance``."""
    path = Path(path)
    if path.suffix != ".json":
        return checksum(path)
    return digest({key: one for key, one in load_json(path).items() if key != "provenance"})


def versions() -> dict[str, str]:
    """Installed versions of what results depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_revision(folder: str | Path) -> str | None:
    """The folder's commit, with ``+changes`` if the tree differs; None outside git."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def record(params: dict, manifests: dict[str, str], seed: int | None = None) -> dict:
    """A record for the JSON beside a result.

    :param params: the rule's settings, the hash of its code among them
    :param manifests: SHA-256 by input path
    """
    return {
        "params": params,
        "inputs": manifests,
        "seed": seed,
        "versions": versions(),
        "git_revision": git_revision(Path(__file__).parent),
    }
