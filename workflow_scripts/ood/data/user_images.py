"""A user's own images: a folder with a subfolder for each class, or a list of paths and labels."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from ood.errors import InputError
from ood.files import checksum

# what Pillow reads and people keep pictures in
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
SUFFIXES |= {".ppm", ".pgm", ".pbm"}
SPLITS = ("train", "test")


@dataclass(frozen=True)
class UserImages:
    """Image files in a fixed order.

    :param splits: for each split, paths relative to its root, and labels
    :param roots: the folder of each split
    :param classes: class names in label order; None where labels are the list's
    """

    roots: dict[str, Path]
    splits: dict[str, list[tuple[str, int]]]
    classes: tuple[str, ...] | None

    def stamp(self, split: str) -> str:
        """A digest of names, labels, sizes and times: another one makes the images be read again.

        :raises InputError: if a file is not there
        """
        found = []
        for name, label in self.splits[split]:
            try:
                about = (self.roots[split] / name).stat()
            except OSError as error:
                raise InputError(f"{self.roots[split] / name}: {error.strerror}") from error
            found.append([name, label, about.st_size, about.st_mtime_ns])
        return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def read(about: dict) -> UserImages:
    """What a benchmark file says of own images.

    :param about: ``folder``; or ``list``, a file with a path and a label a line, and the ``root``
        that its paths begin at. Of ID images ``known`` is true: a folder has ``train`` and
        ``test``, or ``test_share`` says which part of it tests; or there are two lists, ``train``
        and ``test``. Of OOD images all are ``test``
    :raises InputError: if there is no such folder or file, or nothing in it
    """
    if "folder" not in about:
        lists = {s: about[s] for s in SPLITS} if about.get("known") else {"test": about["list"]}
        root = Path(about["root"]).expanduser()
        splits = {split: _listed(Path(path).expanduser(), root) for split, path in lists.items()}
        if about.get("known"):
            _check_labels(splits["train"], lists["train"])
            count = 1 + max(label for _, label in splits["train"])
            return UserImages(dict.fromkeys(splits, root), splits, tuple(map(str, range(count))))
        return UserImages({"test": root}, splits, None)
    folder = _folder(about["folder"])
    if not about.get("known"):
        names = _pictures(folder)
        classes = sorted({_top(name) for name in names})
        files = [(name, classes.index(_top(name))) for name in names]
        return UserImages(
            {"test": folder}, {"test": files}, tuple(classes) if classes != [""] else None
        )
    if all((folder / split).is_dir() for split in SPLITS):
        roots = {split: folder / split for split in SPLITS}
        names = {split: _pictures(root) for split, root in roots.items()}
    elif about.get("test_share") is not None:
        roots, every = dict.fromkeys(SPLITS, folder), _pictures(folder)
        tests = {name for name in every if _place(name) < about["test_share"]}
        names = {"train": [n for n in every if n not in tests], "test": sorted(tests)}
    else:
        raise InputError(
            f"{folder}: needs the folders 'train' and 'test', or 'test_share' in the benchmark, "
            "say test_share: 0.2"
        )
    classes = sorted({_top(name) for name in names["train"]})
    for split, found in names.items():
        if stray := [name for name in found if not _top(name)]:
            raise InputError(
                f"{roots[split] / stray[0]}: ID images lie in a subfolder for each class"
            )
        if more := sorted({_top(name) for name in found} - set(classes)):
            raise InputError(f"{roots[split]}: no training images of {', '.join(more)}")
        if less := sorted(set(classes) - {_top(name) for name in found}):
            raise InputError(f"{roots[split]}: no {split} images of {', '.join(less)}")
    splits = {
        split: [(name, classes.index(_top(name))) for name in found]
        for split, found in names.items()
    }
    return UserImages(roots, splits, tuple(classes))


def list_of(about: dict, split: str) -> str | None:
    """Name and SHA-256 of the list that a split's images are named in: which images they are.
    None for a folder."""
    if "folder" in about:
        return None
    path = Path(about[split] if about.get("known") else about["list"]).expanduser()
    return f"{path.name} (sha256 {checksum(path)[:12]})"


def _folder(path: str) -> Path:
    folder = Path(path).expanduser()
    if folder.is_file():
        raise InputError(f"{folder}: a file; name the folder that it lies in")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    return folder


def _pictures(folder: Path) -> list[str]:
    """Paths below a folder, in the order of their names; hidden files are left out."""
    found = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )
    if not found:
        raise InputError(f"{folder}: no pictures in it ({', '.join(sorted(SUFFIXES))})")
    return found


def _top(name: str) -> str:
    """The first folder of a path; nothing where the file lies at the top."""
    return name.partition("/")[0] if "/" in name else ""


def _place(name: str) -> float:
    """A number in [0, 1) that stays with a name when other files come or go."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) / 2**32


def _listed(path: Path, root: Path) -> list[tuple[str, int]]:
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot read ({error.strerror})") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, _, label = line.strip().rpartition(" ")
        if not name or not label.removeprefix("-").isdigit():
            raise InputError(f"{path}: line {number}: expected a path and a whole number: {line!r}")
        found.append((name, int(label)))
    if not found:
        raise InputError(f"{path}: empty")
    if not (root / found[0][0]).exists():
        raise InputError(f"{path}: line 1: no file {root / found[0][0]}; is 'root' right?")
    return found


def _check_labels(files: list[tuple[str, int]], path: str) -> None:
    labels = {label for _, label in files}
    if labels != set(range(len(labels))):
        raise InputError(f"{path}: labels of ID images are 0, 1, 2 … without a gap")
