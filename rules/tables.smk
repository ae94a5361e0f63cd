"""Tables over all that the results folder holds, and of users' own images."""


rule tables:
    "Gather the tables."
    input:
        metrics=PLAN.metrics(),
        comparisons=PLAN.comparisons(),
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
        **PLAN.code("tables/gather.py"),
        metrics=PLAN.metrics(),
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
        metrics=[path for path in PLAN.metrics() if os.path.exists(path)],


for BENCHMARK in [one for one in PLAN.benchmarks if PLAN.ranked(one)]:

    rule:
        "Rank a user's own images by score, with their files' names."
        name:
            name_of("rank", BENCHMARK)
        input:
            lambda w: PLAN.score_files(w.benchmark, [w.seed], PLAN.of(w).methods)["files"],
        output:
            update(
                [f"{PLAN.run}/ranked/{method}/{ood}.csv" for method, ood in PLAN.ranked(BENCHMARK)]
            ),
        log:
            f"{PLAN.log}/rank.log",
        wildcard_constraints:
            benchmark=BENCHMARK,
        group:
            "compare"
        conda:
            "../envs/environment.yaml"
        params:
            **PLAN.code("tables/rank.py"),
            ranked=PLAN.ranked(BENCHMARK),
            parts=PLAN.parts,
            classes=PLAN.class_names,
        script:
            "../workflow_scripts/tables/rank.py"
