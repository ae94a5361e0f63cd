"""Tables over all that the results folder holds, and of users' own images."""


rule tables:
    "Gather the tables."
    input:
        metrics=JOBS.metrics(),
        comparisons=JOBS.comparisons(),
        # relative, so that the finished workflow can be moved
        published=os.path.relpath(ROOT / "benchmarks" / "published.csv"),
    output:
        [
            report(
                f"results/tables/{name}",
                caption="captions/tables.rst",
                # the report sorts by name
                category="(overview)",
                labels={"table": name},
            )
            for name in TABLES
        ],
    log:
        "results/logs/tables.log",
    conda:
        "../envs/environment.yaml"
    params:
        **CODE.of("tables/gather.py"),
        metrics=JOBS.metrics(),
        root=os.path.relpath(ROOT),
        positive=config["positive"],
    script:
        "../workflow_scripts/tables/gather.py"


# a target of its own, for a run in which some jobs failed
use rule tables as available with:
    "Gather the tables of whatever exists."
    input:
        published=os.path.relpath(ROOT / "benchmarks" / "published.csv"),
    output:
        [f"results/available/{name}" for name in TABLES],
    log:
        "results/logs/available.log",
    params:
        metrics=[path for path in JOBS.metrics() if os.path.exists(path)],


for BENCHMARK in [one for one in PLAN.benchmarks if JOBS.ranked(one)]:

    rule:
        "Rank a user's own images by score, with their files' names."
        name:
            name_of("rank", BENCHMARK)
        input:
            lambda w: INPUTS.score_files(w.benchmark, [w.seed], PLAN.of(w).methods)["files"],
        output:
            update([RUN.ranked(method, ood) for method, ood in JOBS.ranked(BENCHMARK)]),
        log:
            f"{LOG.folder}/rank.log",
        wildcard_constraints:
            benchmark=BENCHMARK,
        group:
            "compare"
        conda:
            "../envs/environment.yaml"
        params:
            **CODE.of("tables/rank.py"),
            ranked=JOBS.ranked(BENCHMARK),
            parts=PARAMS.parts,
            classes=PARAMS.class_names,
        script:
            "../workflow_scripts/tables/rank.py"
