"""Keep a study's numbers where they can be committed."""

from support.job import job

with job(snakemake):
    import os
    import platform
    import subprocess
    from pathlib import Path

    import pandas as pd

    from ood.config.benchmarks import Loader
    from ood.config.graph import scored_together
    from ood.files import save_csv
    from ood.reports.studies import Study, record

    root, config = Path(snakemake.params.root), snakemake.config

    def git(*arguments: str) -> str:
        """What git says of the workflow's folder; nothing where it has no repository."""
        command = ["git", "-C", root, *arguments]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    def processor() -> str:
        """Its name by the system, or its kind."""
        try:
            lines = Path("/proc/cpuinfo").read_text().splitlines()
        except OSError:
            lines = []
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        return names[0] if names else platform.machine()

    def gpu() -> str:
        """Its name, where the jobs may have used one; nothing where there is none."""
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        try:
            found = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
        except OSError:
            found = []
        return f", {found[0]}" if found and config["device"] != "cpu" else ""

    benchmarks = Loader(root, config).benchmarks()
    changed = git(
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--",
        "workflow_scripts",
        "rules",
        "benchmarks",
    )
    run = {
        "scale": config["scale"],
        "precision": config["precision"],
        "revision": (git("rev-parse", "--short=10", "HEAD") or "unknown")
        + " and changes" * bool(changed),
        "machine": f"{processor()}, {os.cpu_count()} cores{gpu()}",
    }
    given = snakemake.input
    metrics, comparisons, costs = (
        table[table["scale"].eq(config["scale"]) & table["seed"].isin(snakemake.params.seeds)]
        for table in map(pd.read_csv, (given.metrics, given.comparisons, given.costs))
    )
    jobs = {
        (name, job)
        for name, one in benchmarks.items()
        for job in (*one.models, *one.methods, *scored_together(one))
    }
    ours = [job in jobs for job in zip(costs["benchmark"], costs["name"], strict=True)]
    study = Study(config["study"], benchmarks)
    found = record(study, metrics, comparisons, costs[ours], config["protocols"], run)
    save_csv(found, snakemake.output[0])
