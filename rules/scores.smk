"""Scores and metrics of every method on every image set. No method is named here."""

for BENCHMARK, JOB, METHODS, SUFFIX in JOBS.scoring():

    rule:
        "Score all image sets of a benchmark with methods that share a network."
        name:
            name_of("score", BENCHMARK, JOB, SUFFIX)
        input:
            unpack(
                edges(
                    INPUTS.test_sets,
                    lambda w, methods=METHODS, suffix=SUFFIX: INPUTS.detector_files(
                        w.benchmark, w.seed, methods, suffix
                    ),
                )
            ),
        output:
            update(
                [
                    RUN.scores(method, dataset, SUFFIX)
                    for method in METHODS
                    for dataset in PLAN.sets[BENCHMARK]
                ]
            ),
        log:
            f"{LOG.folder}/scores/{JOB}{SUFFIX}.log",
        benchmark:
            f"{COST.folder}/scores/{JOB}{SUFFIX}.jsonl"
        wildcard_constraints:
            benchmark=BENCHMARK,
        group:
            "score"
        conda:
            "../envs/environment.yaml"
        resources:
            **requests("score"),
        params:
            **CODE.of("evaluation/score.py"),
            **COMPUTING,
            methods=PARAMS.scored(BENCHMARK, METHODS),
            datasets=PLAN.sets[BENCHMARK],
            suffix=SUFFIX,
            classes=PARAMS.classes,
            chosen=CODE.scoring("evaluation/score.py", BENCHMARK, METHODS),
        script:
            "../workflow_scripts/evaluation/score.py"


for BENCHMARK, SUFFIX in JOBS.evaluation():

    rule:
        "Judge a method on every OOD set of a benchmark."
        name:
            name_of("evaluate", BENCHMARK, SUFFIX)
        input:
            [RUN.scores("{method}", dataset, SUFFIX) for dataset in PLAN.sets[BENCHMARK]],
        output:
            update(
                [
                    RUN.metrics("{method}", name, SUFFIX)
                    for name in [*FIGURES.ood_names(BENCHMARK), layout.MADE_FROM]
                ]
            ),
            # what is needed to use a detector outside of the workflow
            about=update([RUN.detector("{method}", layout.ABOUT)] * (not SUFFIX)),
        log:
            f"{LOG.folder}/metrics/{{method}}{SUFFIX}.log",
        wildcard_constraints:
            benchmark=BENCHMARK,
        group:
            "score"
        conda:
            "../envs/environment.yaml"
        params:
            **CODE.of("evaluation/evaluate.py"),
            pairs=PARAMS.pairs,
            test_scores_seen=PARAMS.test_scores_seen,
            suffix=SUFFIX,
            scale=PLAN.config.scale,
            bootstrap=config["bootstrap"],
            made_from=lambda w: PARAMS.made_from(w.benchmark, w.method),
            detector=lambda w: PARAMS.scored(w.benchmark, [w.method])[w.method] | PARAMS.known(w),
            precision=config["precision"],
        script:
            "../workflow_scripts/evaluation/evaluate.py"


for BENCHMARK in JOBS.compared():

    rule:
        "Compare the methods of a benchmark with their reference methods, on the same images."
        name:
            name_of("compare", BENCHMARK)
        input:
            lambda w: INPUTS.score_files(w.benchmark, [w.seed], PLAN.of(w).methods)["files"],
        output:
            update(
                [
                    RUN.metrics(method, layout.AGAINST_REFERENCE)
                    for method in JOBS.against_reference(BENCHMARK)
                ]
            ),
        log:
            f"{LOG.folder}/compare.log",
        wildcard_constraints:
            benchmark=BENCHMARK,
        group:
            "compare"
        conda:
            "../envs/environment.yaml"
        params:
            **CODE.of("tables/compare.py"),
            references=lambda w: JOBS.against_reference(w.benchmark),
            methods=lambda w: {
                method: PARAMS.made_from(w.benchmark, method)["digest"]
                for method in PLAN.of(w).methods
            },
            parts=PARAMS.parts,
        script:
            "../workflow_scripts/tables/compare.py"
