"""Raw files from mirrors and public addresses, verified before they appear under their name."""

import logging
import shutil
import socket
import tempfile
import time
from pathlib import Path

from ood.data.decode import verify
from ood.data.registry import REGISTRY
from ood.errors import InputError
from ood.files import load_json, save_json

log = logging.getLogger(__name__)

ATTEMPTS = 3
TIMEOUT_SECONDS = 60


def _fetch(source: str, target: Path) -> None:
    if "://" not in source or source.startswith("file://"):
        shutil.copyfile(Path(source.removeprefix("file://")).expanduser(), target)
        return
    from torchvision.datasets.utils import download_url

    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    download_url(source, str(target.parent), target.name)


def sources(dataset: str, name: str, mirrors: list[str]) -> list[str]:
    """Where a raw file may be: in each mirror, then at its public addresses."""
    entry = REGISTRY[dataset]
    folders = [dataset, entry.mirror_folder] if entry.mirror_folder else [dataset]
    in_mirrors = [
        f"{mirror.rstrip('/')}/{folder}/{name}" for mirror in mirrors for folder in folders
    ]
    return in_mirrors + list(entry.files[name].urls)


def _attempt(source: str, target: Path, digest: str | None) -> str:
    """Fetch and verify; the network gets more than one chance, a folder answers the same again."""
    for attempt in range(1, ATTEMPTS if "://" in source else 1):
        try:
            _fetch(source, target)
            return verify(target, digest)
        except (OSError, RuntimeError) as error:
            log.warning("%s: %s; trying again", source, error)
            time.sleep(2**attempt)
    _fetch(source, target)
    return verify(target, digest)


def download(dataset: str, name: str, target: Path, mirrors: list[str]) -> None:
    """Bring one raw file to ``target``.

    :param mirrors: folders or URLs that hold ``<dataset>/<file>``, tried first
    :raises InputError: if every source failed; the message lists each with its error and says
        where to put the file by hand
    """
    file = REGISTRY[dataset].files[name]
    failures = []
    target.parent.mkdir(parents=True, exist_ok=True)
    for source in sources(dataset, name, mirrors):
        log.info("trying %s", source)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".tmp-") as folder:
            temporary = Path(folder) / name
            try:
                digest = _attempt(source, temporary, file.digest)
                if file.digest is None:
                    _remember(target, digest, source)
            except (OSError, RuntimeError, InputError) as error:
                log.warning("%s: %s", source, error)
                failures.append(f"  {source}\n      {error}")
                continue
            temporary.replace(target)
        log.info("%s: %s, from %s", target, digest, source)
        return
    tried = "\n".join(failures) or "  nothing: no public address is known, no mirror configured"
    raise InputError(
        f"cannot download {name} of dataset {dataset}. Tried:\n{tried}\n"
        f"Put the file by hand at\n  {target.resolve()}\nand run again; or name a folder or URL "
        f"that holds {dataset}/{name} under 'mirrors' in the config, leave the set out with "
        "'exclude', or replace it with 'stand_ins'."
    )


def _remember(target: Path, digest: str, source: str) -> None:
    """Record the first digest seen of a file without a published one.

    :raises InputError: if it is another one than that
    """
    record = target.with_name(f"{target.name}.first-seen.json")
    if record.exists() and (before := load_json(record)["digest"]) != digest:
        raise InputError(
            f"{source} changed since it was first seen: was {before}, is {digest}. If that is "
            f"right, delete {record} and run again"
        )
    save_json(record, {"digest": digest, "source": source})
