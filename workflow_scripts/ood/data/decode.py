"""From published bytes to arrays: checksums, decoders, and the sets that are made here."""

import gzip
import hashlib
import io
import logging
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from ood.data.images import ImageSet, convert
from ood.errors import InputError
from ood.files import checksum

log = logging.getLogger(__name__)

PARTS = ("images-idx3", "labels-idx1")

# Pillow's modes without colour
GREY = ("1", "L", "LA")
# what reading an archive raises; a RuntimeError where a zip has a password
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)
# of one file, unpacked
MOST_BYTES = 4 << 30

Shape = tuple[int, int, int]


class Decoded(NamedTuple):
    """What a decoder found: pictures, their labels, and what it could not read."""

    images: list[np.ndarray]
    labels: np.ndarray
    unreadable: Sequence[str] = ()


def _read_idx(path: Path, images: bool) -> np.ndarray:
    from torchvision.datasets.mnist import read_image_file, read_label_file

    try:
        with gzip.open(path) as file, tempfile.NamedTemporaryFile() as plain:
            content = file.read(MOST_BYTES + 1)
            _check_size(path, len(content))
            plain.write(content)
            plain.flush()
            return (read_image_file if images else read_label_file)(plain.name).numpy()
    except (AssertionError, ValueError, KeyError, IndexError, EOFError, zlib.error) as error:
        kind = "images" if images else "labels"
        raise InputError(f"{path}: no idx file of {kind} ({error or 'another shape'})") from error


def _check_size(what: object, size: int) -> None:
    """Archives can unfold without end."""
    if size > MOST_BYTES:
        raise InputError(f"{what}: more than {MOST_BYTES >> 30} GiB when unpacked; not read")


def idx(folder: Path, files: tuple[str, ...], argument: str | None, shape: Shape) -> Decoded:
    """MNIST's format: an image file and a label file, gzipped."""
    return Decoded(list(_read_idx(folder / files[0], True)), _read_idx(folder / files[1], False))


def members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of an archive's plain files, in the archive's order.

    :raises InputError: if a member's name would leave the archive's folder, or the archive is
        damaged
    """

    def checked(name: str) -> str:
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts:
            raise InputError(f"{archive}: the member {name!r} would leave its folder; not unpacked")
        return name

    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as file:
                for entry in file.infolist():
                    if not entry.is_dir():
                        _check_size(f"{archive}: {entry.filename}", entry.file_size)
                        yield checked(entry.filename), file.read(entry)
        else:
            with tarfile.open(archive) as file:
                for entry in file:
                    checked(entry.name)
                    if entry.isfile():
                        _check_size(f"{archive}: {entry.name}", entry.size)
                        yield entry.name, file.extractfile(entry).read()
    except DAMAGED as error:
        raise InputError(
            f"{archive}: damaged archive ({error}); delete it and run again"
        ) from error


# what Pillow says of a file that is no picture, damaged, or too large to be one (a bomb)
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def read_picture(file: object) -> np.ndarray:
    """A file's picture, see ``upright``; of several frames the first.

    :raises UNREADABLE: if it is no picture
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(file) as opened:
                if getattr(opened, "n_frames", 1) > 1:
                    log.warning("%s: the first of %d frames", file, opened.n_frames)
                return upright(opened)
        except Image.DecompressionBombWarning as error:
            raise ValueError(str(error)) from error


def upright(picture: Image.Image) -> np.ndarray:
    """uint8 ``[H, W]``, or ``[H, W, 3]`` where there is colour or a palette; turned upright, over
    white where it is transparent. Of 16 bits the upper eight are taken: Pillow would cut values off
    at 255.

    :raises ValueError: if nobody can say which value is white
    """
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):
        values = np.asarray(picture)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("whole numbers of 32 bits have no known white; save 8 or 16 bits")
        return (values >> 8).astype(np.uint8)
    if picture.mode == "F":
        raise ValueError("floats have no known white; save 8 or 16 bits")
    grey = picture.mode in GREY
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return np.asarray(picture.convert("L" if grey else "RGB"))


def pictures(folder: Path, files: tuple[str, ...], argument: str | None, shape: Shape) -> Decoded:
    """Archives of picture files, sorted by name.

    :param argument: ``folder`` takes the label from the sorted names of the pictures' folders;
        ``flat`` gives every picture label 0; a prefix after a colon keeps only the members under it
    """
    kind, _, prefix = argument.partition(":")
    found: list[tuple[str, np.ndarray]] = []
    unreadable = []
    for file in files:
        for name, content in members(folder / file):
            if not name.lower().endswith((".png", ".jpg", ".jpeg")) or not name.startswith(prefix):
                continue
            try:
                found.append((name, read_picture(io.BytesIO(content))))
            except UNREADABLE as error:
                log.warning("%s: %s: %s", folder / file, name, error)
                unreadable.append(f"{file}: {name}")
    bad, every = len(unreadable), len(unreadable) + len(found)
    if bad > len(found) // 100:
        raise InputError(f"{folder}: {bad} of {every} pictures unreadable")
    if bad:
        log.warning("%s: %d of %d pictures cannot be read, left out", folder, bad, every)
    found.sort(key=lambda pair: pair[0])
    folders = [str(PurePosixPath(name).parent) for name, _ in found]
    names = sorted(set(folders)) if kind == "folder" else []
    labels = [names.index(one) if names else 0 for one in folders]
    return Decoded([image for _, image in found], np.array(labels), unreadable)


def cut_pictures(
    folder: Path, files: tuple[str, ...], argument: str | None, shape: Shape
) -> Decoded:
    """Some of the pictures of an archive, in the order of their names, all with label 0.

    :param argument: ``<cut>:<first>:<end>:<prefix>``; the cut is ``resize`` or ``crop``, one random
        crop of each picture at its own resolution
    """
    cut, first, end, prefix = argument.split(":")
    found, labels, unreadable = pictures(folder, files, f"flat:{prefix}", shape)
    chosen = slice(int(first), int(end))
    images = found[chosen]
    if cut == "crop":
        generator = np.random.default_rng(0)
        images = [_random_crop(image, shape, generator) for image in images]
    return Decoded(images, labels[chosen], unreadable)


def _random_crop(image: np.ndarray, shape: Shape, generator: np.random.Generator) -> np.ndarray:
    top, left = (
        generator.integers(size - wanted + 1)
        for size, wanted in zip(image.shape[:2], shape[:2], strict=True)
    )
    return image[top : top + shape[0], left : left + shape[1]]


def emnist(folder: Path, files: tuple[str, ...], argument: str | None, shape: Shape) -> Decoded:
    """EMNIST letters: IDX files inside a zip, images stored transposed, labels 1 to 26."""
    wanted = {f"gzip/emnist-letters-{argument}-{part}-ubyte.gz" for part in PARTS}
    with tempfile.TemporaryDirectory() as temporary:
        for name, content in members(folder / files[0]):
            if name in wanted:
                (Path(temporary) / Path(name).name).write_bytes(content)
        parts = tuple(f"emnist-letters-{argument}-{part}-ubyte.gz" for part in PARTS)
        images, labels, _ = idx(Path(temporary), parts, None, shape)
    return Decoded([image.T for image in images], labels - 1)


def cifar(folder: Path, files: tuple[str, ...], argument: str | None, shape: Shape) -> Decoded:
    """CIFAR's pickles, read by torchvision, which checks each pickle's MD5 first.

    :param argument: torchvision's class and the split
    """
    from torchvision import datasets

    name, split = argument.split(":")
    with tempfile.TemporaryDirectory() as temporary:
        for member, content in members(folder / files[0]):
            target = Path(temporary) / member
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        loaded = getattr(datasets, name)(temporary, train=split == "train", download=False)
    return Decoded(list(loaded.data), np.asarray(loaded.targets))


def svhn(folder: Path, files: tuple[str, ...], argument: str | None, shape: Shape) -> Decoded:
    """SVHN's MATLAB file, read by torchvision, which checks its MD5 first."""
    from torchvision.datasets import SVHN

    loaded = SVHN(folder, split=argument, download=False)
    return Decoded(list(loaded.data.transpose(0, 2, 3, 1)), loaded.labels)


def digits(folder: Path, files: tuple[str, ...], argument: str | None, shape: Shape) -> Decoded:
    """scikit-learn's scans, values 0-16 stretched to 0-255; stratified 80/20 split, fixed seed."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    train, test = train_test_split(
        np.arange(len(data.target)), test_size=0.2, random_state=0, stratify=data.target
    )
    chosen = np.sort(train if argument == "train" else test)
    images = np.round(data.images[chosen] * (255 / 16)).astype(np.uint8)
    return Decoded(list(images), data.target[chosen])


PATCHES = 2_000


def patches(folder: Path, files: tuple[str, ...], argument: str | None, shape: Shape) -> Decoded:
    """Crops of scikit-learn's two photographs at their own resolution, half from each."""
    from sklearn.datasets import load_sample_images

    generator = np.random.default_rng(0)
    images, labels = [], []
    for label, photograph in enumerate(load_sample_images().images):
        for _ in range(PATCHES // 2):
            images.append(_random_crop(photograph, shape, generator))
            labels.append(label)
    return Decoded(images, np.array(labels))


def user_pictures(
    roots: Path, files: list[tuple[str, int]], shape: Shape
) -> tuple[ImageSet, list[str]]:
    """A user's own images, brought to one shape one by one: photographs are large.

    :param files: paths below ``roots``, and labels
    :return: the images with their paths for names, and what could not be read
    :raises InputError: if nothing could
    """
    images, labels, names, bad = [], [], [], []
    for name, label in files:
        try:
            array = read_picture(roots / name)
        except UNREADABLE as error:
            bad.append(f"{name}: {error}")
            continue
        images.append(convert([array], shape)[0])
        labels.append(label)
        names.append(name)
    if not images:
        raise InputError(f"{roots}: none of {len(files)} pictures can be read: {bad[0]}")
    return ImageSet(np.stack(images), np.array(labels, np.int64), np.array(names)), bad


DECODERS = {
    function.__name__: function
    for function in (idx, pictures, cut_pictures, emnist, cifar, svhn, digits, patches)
}


def verify(path: Path, digest: str | None) -> str:
    """Check a raw file's bytes.

    :param digest: see ``ood.registry.RawFile``
    :return: what was found, ``<algorithm>:<digest>``
    :raises InputError: if the file is a web page, damaged, or differs from the published checksum
    """
    with open(path, "rb") as file:
        head = file.read(512).lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        raise InputError("an HTML page was served instead of the file")
    algorithm, _, expected = (digest or "sha256:").partition(":")
    if algorithm == "gunzip-md5":
        hashed = hashlib.md5(usedforsecurity=False)
        try:
            with gzip.open(path) as file:
                while chunk := file.read(1 << 20):
                    hashed.update(chunk)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InputError(f"truncated or damaged gzip file ({error})") from error
        found = hashed.hexdigest()
    else:
        found = checksum(path, algorithm)
    if expected and found != expected:
        raise InputError(
            f"wrong checksum: expected {digest}, found {found} ({path.stat().st_size:,} bytes; "
            "a truncated or changed file)"
        )
    return f"{algorithm}:{found}"


def prepare(
    decoder: str,
    files: dict[str, str | None],
    argument: str | None,
    shape: Shape,
    invert: bool,
    folder: Path,
    first: int | None = None,
    classes: int | None = None,
) -> tuple[ImageSet, dict[str, str | list[str]]]:
    """Verify, decode and convert one split.

    :param files: published digests by file name, in the decoder's order
    :param folder: where the files are
    :param first: how many images are kept, in the files' order; None for all
    :param classes: how many classes there are; None where that is not known
    :return: the image set in ``shape``; and by file the digests found, with what could not be read
        under ``unreadable``, if anything
    :raises InputError: naming a file that is not the published one, or if there is no image in the
        files, or a label of no class
    """
    digests = {}
    for name, digest in files.items():
        try:
            # once more: a user may have put the file there by hand
            digests[name] = verify(folder / name, digest)
        except InputError as error:
            raise InputError(
                f"{folder / name}: {error}. Delete it and run again, or replace it with the "
                "published file."
            ) from error
    images, labels, unreadable = DECODERS[decoder](folder, tuple(files), argument, shape)
    images, labels = images[:first], labels[:first]
    where = f"{folder}: {', '.join(files)}"
    if len(images) == 0 or len(images) != len(labels):
        raise InputError(f"{where}: {len(images)} images and {len(labels)} labels in the files")
    if classes is not None and not (np.min(labels) >= 0 and np.max(labels) < classes):
        raise InputError(
            f"{where}: labels {np.min(labels)} to {np.max(labels)}, where the registry has "
            f"{classes} classes"
        )
    found = ImageSet(convert(images, shape, invert), np.asarray(labels, dtype=np.int64))
    return found, digests | ({"unreadable": list(unreadable)} if unreadable else {})
