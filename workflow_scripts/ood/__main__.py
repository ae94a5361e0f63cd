"""``python -m ood score <detector> <folder>``: score a folder of pictures with a trained
detector. ``python -m ood settings <family>/<entry>``: where each setting of a recipe comes from."""

import argparse
import csv
import logging
import sys
import time
from pathlib import Path

CHUNK = 500


def score(detector: str, folder: str, output: str, device: str) -> None:
    """Write ``file, score, nearest_class, unknown`` of every picture below a folder; what cannot be
    read has a row without a score. The exit code is 3 where there is any.

    :raises InputError: if there is no detector, no folder or no picture
    """
    from ood import inference
    from ood.data import decode, user_images
    from ood.files import atomic

    loaded = inference.load(detector, device)
    files = user_images.read({"folder": folder}).splits["test"]
    bad, done, begun = [], 0, time.monotonic()
    with atomic(Path(output)) as temporary, open(temporary, "w", newline="") as target:
        rows = csv.writer(target, lineterminator="\n")
        rows.writerow(["file", "score", "nearest_class", "unknown"])
        for start in range(0, len(files), CHUNK):
            part = files[start : start + CHUNK]
            found, unreadable = decode.user_pictures(Path(folder), part, loaded.shape)
            bad += unreadable
            scores, classes = loaded.detect(found.images)
            for name, value, label, unknown in zip(
                found.names,
                scores,
                classes or [""] * len(scores),
                loaded.unknown(scores),
                strict=True,
            ):
                rows.writerow([name, repr(float(value)), label, bool(unknown)])
            read = set(found.names.tolist())
            rows.writerows([name, "", "", "unreadable"] for name, _ in part if name not in read)
            done += len(found)
            speed = done / (time.monotonic() - begun)
            print(f"{done:,} of {len(files):,} pictures, {speed:.0f} a second", file=sys.stderr)
    for one in bad:
        print(f"cannot be read: {one}", file=sys.stderr)
    print(f"{output}: {done:,} pictures, {len(bad)} left out", file=sys.stderr)
    if bad:
        sys.exit(3)


def settings(entry: str, scale: str, benchmark: str | None, root: str) -> None:
    """Print every setting of a recipe's entry with the file and line that it comes from.

    :raises InputError: if there is no such entry
    """
    import yaml

    from ood.config.origins import origins

    section, found = origins(Path(root), entry, scale, benchmark)
    print(f"{entry} ({section}), scale {scale}")
    for one in found:
        value = yaml.safe_dump(one.value, default_flow_style=True, sort_keys=False, width=1000)
        text = f"{one.setting}: {value.removesuffix(chr(10)).removesuffix(chr(10) + '...')}"
        print(f"  {text:60}  {one.file}:{one.line}")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m ood", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("score", help="score a folder of pictures")
    one.add_argument("detector", help="results/<scale>/<benchmark>/seed<k>/detectors/<method>")
    one.add_argument("folder", help="pictures, in subfolders or not")
    one.add_argument("--output", default="scores.csv", help="(default: %(default)s)")
    one.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    two = commands.add_parser("settings", help="show where a recipe's settings come from")
    two.add_argument("entry", help="<family>/<model or method>, as mnist/cmg_energy")
    two.add_argument("--scale", default="quick", choices=["smoke", "quick", "paper"])
    two.add_argument("--benchmark", help="with what this benchmark changes")
    two.add_argument("--root", default=".", help="the workflow's folder (default: %(default)s)")
    given = parser.parse_args(arguments)
    from ood.errors import InputError

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if given.command == "score":
            score(given.detector, given.folder, given.output, given.device)
        else:
            settings(given.entry, given.scale, given.benchmark, given.root)
    except InputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
