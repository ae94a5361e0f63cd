"""Tables over all that the results folder holds."""


rule tables:
    "Gather the tables."
    input:
        metrics=METRICS,
        comparisons=COMPARISONS,
        # relative, so that the finished workflow can be moved
        published=os.path.relpath(ROOT / "benchmarks" / "published.csv"),
    output:
        report(TABLES, caption="captions/tables.rst", category="tables"),
    log:
        "results/logs/tables.log",
    conda:
        "../envs/environment.yaml"
    params:
        metrics=METRICS,
        root=os.path.relpath(ROOT),
        **code("tables/gather.py"),
    script:
        "../workflow_scripts/tables/gather.py"


# a target of its own, for a run in which some jobs failed
use rule tables as available with:
    "Gather the tables of whatever exists."
    input:
        published=os.path.relpath(ROOT / "benchmarks" / "published.csv"),
    output:
        [f"results/available/{name}" for name in NAMES],
    log:
        "results/logs/available.log",
    params:
        metrics=[path for path in METRICS if os.path.exists(path)],
