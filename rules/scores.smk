"""Scores and metrics of every method on every image set. No method is named here."""

for BENCHMARK, JOB, METHODS, SUFFIX in PLAN.scoring_jobs():

    rule:
        "Score all image sets of a benchmark with methods that share a network."
        name:
            name_of("score", BENCHMARK, JOB, SUFFIX)
        input:
            unpack(
                edges(
                    PLAN.test_sets,
                    lambda w, methods=METHODS, suffix=SUFFIX: PLAN.detector_files(
                        w.benchmark, w.seed, methods, suffix
                    ),
                )
            ),
        output:
            update(
                [
                    f"{PLAN.run}/scores/{method}/{dataset}{SUFFIX}.parquet"
                    for method in METHODS
                    for dataset in PLAN.sets[BENCHMARK]
                ]
            ),
        log:
            f"{PLAN.log}/scores/{JOB}{SUFFIX}.log",
        benchmark:
            f"{PLAN.cost}/scores/{JOB}{SUFFIX}.jsonl"
        wildcard_constraints:
            benchmark=BENCHMARK,
        group:
            "score"
        conda:
            "../envs/environment.yaml"
        resources:
            **requests("score"),
        params:
            **PLAN.code("evaluation/score.py"),
            methods=PLAN.scored(BENCHMARK, METHODS),
            datasets=PLAN.sets[BENCHMARK],
            suffix=SUFFIX,
            classes=PLAN.classes,
            precision=config["precision"],
            chosen=PLAN.scoring_code(BENCHMARK, METHODS),
        script:
            "../workflow_scripts/evaluation/score.py"


for BENCHMARK, SUFFIX in PLAN.evaluation_jobs():

    rule:
        "Judge a method on every OOD set of a benchmark."
        name:
            name_of("evaluate", BENCHMARK, SUFFIX)
        input:
            [
                f"{PLAN.run}/scores/{{method}}/{dataset}{SUFFIX}.parquet"
                for dataset in PLAN.sets[BENCHMARK]
            ],
        output:
            update(
                [
                    f"{PLAN.run}/metrics/{{method}}/{name}{SUFFIX}.json"
                    for name in [*PLAN.ood_names(BENCHMARK), "made_from"]
                ]
            ),
            # what is needed to use a detector outside of the workflow
            about=update([f"{PLAN.run}/detectors/{{method}}/about.json"] * (not SUFFIX)),
        log:
            f"{PLAN.log}/metrics/{{method}}{SUFFIX}.log",
        wildcard_constraints:
            benchmark=BENCHMARK,
        group:
            "score"
        conda:
            "../envs/environment.yaml"
        params:
            **PLAN.code("evaluation/evaluate.py"),
            pairs=PLAN.pairs,
            test_scores_seen=PLAN.test_scores_seen,
            suffix=SUFFIX,
            scale=PLAN.scale,
            bootstrap=config["bootstrap"],
            made_from=lambda w: PLAN.made_from(w.benchmark, w.method),
            detector=lambda w: PLAN.scored(w.benchmark, [w.method])[w.method] | PLAN.known(w),
            precision=config["precision"],
        script:
            "../workflow_scripts/evaluation/evaluate.py"


for BENCHMARK in PLAN.compared():

    rule:
        "Compare the methods of a benchmark with their reference methods, on the same images."
        name:
            name_of("compare", BENCHMARK)
        input:
            lambda w: PLAN.score_files(w.benchmark, [w.seed], PLAN.of(w).methods)["files"],
        output:
            update(
                [
                    f"{PLAN.run}/metrics/{method}/against_reference.json"
                    for method in PLAN.against_reference(BENCHMARK)
                ]
            ),
        log:
            f"{PLAN.log}/compare.log",
        wildcard_constraints:
            benchmark=BENCHMARK,
        group:
            "compare"
        conda:
            "../envs/environment.yaml"
        params:
            **PLAN.code("tables/compare.py"),
            references=lambda w: PLAN.against_reference(w.benchmark),
            methods=lambda w: {
                method: PLAN.made_from(w.benchmark, method)["digest"]
                for method in PLAN.of(w).methods
            },
            parts=PLAN.parts,
        script:
            "../workflow_scripts/tables/compare.py"
