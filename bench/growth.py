"""What plans and tables cost as the cells grow: benchmarks x methods x OOD sets x seeds.

    python bench/growth.py [--seeds 1 5 52 156] [--out docs/growth.md]

Nothing is trained. A plan is `snakemake --dry-run` of the default benchmark, without and with
the groups of the Slurm profile; tables are `snakemake available` over metrics that were copied from
two real ones under other names and seeds. Seconds are the processor's, of one run; those of
own code are the clock's, by a profile, which slows them. Memory is the process's peak.
"""

import argparse
import os
import pstats
import subprocess
import sys
import tempfile
from pathlib import Path

import timing
import yaml

from ood.config.benchmarks import Loader, load_yaml
from ood.evaluation.made_from import made_from
from ood.files import load_json, save_json

ROOT = Path(__file__).parents[1]
SNAKEMAKE = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
SMALL = ["brightness", "complexity"]
HEADER = [
    "cells",
    "jobs",
    "plan, s",
    "MiB",
    "of it own code, s",
    "plan with groups, s",
    "MiB",
    "tables, s",
    "MiB",
    "overview.html, MB",
]


def measured(command: list[str], folder: Path) -> tuple[float, float, str]:
    """Seconds of the processor, peak MiB and text of a command."""
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        out.seek(0)
        text = out.read()
    if status:
        raise SystemExit(f"{' '.join(command)}:\n{text[-3000:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text


def configure(folder: Path, **changes: object) -> dict:
    config = load_yaml(ROOT / "config.yaml") | {"scale": "smoke"} | changes
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return config


def own_seconds(folder: Path) -> float:
    """Seconds of a plan spent in lines of the workflow, by a profile, which slows them."""
    profile = folder / "profile"
    command = [sys.executable, "-m", "cProfile", "-o", str(profile), *SNAKEMAKE[1:]]
    measured([*command, "--dry-run", "--cores", "1"], folder)
    stats: dict = pstats.Stats(str(profile)).stats
    own = (f"{ROOT}/workflow_scripts/", f"{ROOT}/rules/", f"{ROOT}/Snakefile")
    return sum(one[2] for (file, _, _), one in stats.items() if file.startswith(own))


def make_up(folder: Path, seeds: int) -> int:
    """Metrics of every method, OOD set and seed, from those of two methods; how many."""
    loader = Loader(ROOT, configure(folder, seeds=list(range(seeds))))
    benchmark = loader.benchmarks()["digits"]
    base = folder / "results/smoke/digits"
    pairs = [load_json(path) for path in sorted((base / "seed0/metrics/brightness").glob("*.json"))]
    pairs = [one for one in pairs if "auroc" in one]
    against = load_json(base / "seed0/metrics/complexity/against_reference.json")
    about = {
        name: made_from(loader, ROOT / "workflow_scripts", benchmark, name)
        for name in benchmark.methods
    }
    reference = about[loader.config["reference"]]["digest"]
    for seed in range(seeds):
        for method, known in about.items():
            at = base / f"seed{seed}/metrics/{method}"
            for pair in pairs:
                named = pair | {"seed": seed, "method": method}
                save_json(at / f"{pair['ood_set']}.json", named)
            save_json(at / "made_from.json", known)
            row = {"seed": seed, "method": method, "reference": loader.config["reference"]}
            row |= {"made_from": [known["digest"], reference]}
            save_json(at / "against_reference.json", against | row)
    return seeds * len(about) * len(pairs)


def grown(folder: Path, seeds: int) -> list[str]:
    plan = [*SNAKEMAKE, "--dry-run"]
    configure(folder, seeds=list(range(seeds)))
    seconds, memory, text = measured([*plan, "--cores", "1"], folder)
    jobs = next(line.split()[1] for line in text.splitlines() if line.startswith("total"))
    own = own_seconds(folder)
    groups = load_yaml(ROOT / "profiles/slurm/config.yaml")["group-components"].items()
    flags = ["--group-components", *(f"{name}={count}" for name, count in groups)]
    grouped = measured([*plan, "--cores", "1", *flags], folder)
    configure(folder, methods=SMALL, reference=SMALL[0])
    measured([*SNAKEMAKE, "tables", "--cores", "2"], folder)
    cells = make_up(folder, seeds)
    gathered = measured([*SNAKEMAKE, "available", "--cores", "1"], folder)
    page = (folder / "results/available/overview.html").stat().st_size / 1e6
    figures = [seconds, memory, own, *grouped[:2], *gathered[:2]]
    shown = [f"{one:,.0f}" if one >= 10 else f"{one:.1f}" for one in figures]
    return [f"{cells:,}", f"{int(jobs):,}", *shown, f"{page:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 5, 52, 156])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for seeds in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(grown(Path(folder), seeds))
        print(" | ".join(rows[-1]), flush=True)
    text = f"{__doc__.strip()}\n\n{timing.table(HEADER, rows)}\n"
    if arguments.out:
        arguments.out.write_text(f"# Growth\n\n{text}")
    print(text)


if __name__ == "__main__":
    main()
