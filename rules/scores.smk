"""Scores and metrics of every method on every image set. No method is named here."""


def score_parameters(methods):
    """What `score` must know of each method."""

    def found(wildcards):
        benchmark = of(wildcards)
        return {
            method: {
                "settings": settings,
                "fitted": LOADER.fits(settings, "fitted"),
                "module": LOADER.modules["methods"][settings["pipeline"]],
                "models": LOADER.edges("methods", settings),
            }
            for method in methods
            for settings in [benchmark.methods[method]]
        }

    return found


def scoring_code(methods):
    """The modules that the methods, and the nets they score with, are made of."""

    def found(wildcards):
        benchmark, modules = of(wildcards), []
        for method in methods:
            recipe = LOADER.recipe_of(benchmark, method)
            modules += LOADER.chosen_modules("methods", recipe["method"])
            for settings in recipe["models"].values():
                modules += LOADER.chosen_modules("models", settings)
        return files_beyond("score.py", dict.fromkeys(modules))

    return found


def detectors(methods, suffix):
    """Input edges of the methods' detectors."""
    oracle = suffix == ".oracle"

    def found(wildcards):
        folder = RUN.format(**wildcards)
        paths = [detector(folder, m, "" if oracle else suffix, oracle) for m in methods]
        return list(dict.fromkeys(path for some in paths for path in some))

    return found


def pairs(wildcards):
    """What `evaluate` must know of the OOD sets."""
    benchmark = of(wildcards)
    return {
        name: {
            "group": one.group,
            "id_dataset": benchmark.dataset,
            "id_classes": list(benchmark.classes),
            "id_stand_in_for": benchmark.stand_in_for,
            "ood_dataset": one.dataset,
            "ood_classes": one.classes and list(one.classes),
            "ood_stand_in_for": one.stand_in_for,
            "validation": benchmark.validation and benchmark.validation.name,
            "on_validation_set": bool(benchmark.validation)
            and configuration.overlap(one, benchmark.validation),
        }
        for name, one in benchmark.ood.items()
    }


for BENCHMARK, METHODS, SUFFIX in scoring_jobs():

    rule:
        "Score all image sets of a benchmark with methods that share a network."
        name:
            rule_name("score", BENCHMARK, METHODS[0], SUFFIX)
        input:
            unpack(test_sets),
            detectors=detectors(METHODS, SUFFIX),
        output:
            update(
                [
                    f"{RUN}/scores/{method}/{dataset}{SUFFIX}.parquet"
                    for method in METHODS
                    for dataset in SETS[BENCHMARK]
                ]
            ),
        log:
            f"{LOG}/scores/{METHODS[0]}{SUFFIX}.log",
        benchmark:
            f"{COST}/scores/{METHODS[0]}{SUFFIX}.jsonl"
        wildcard_constraints:
            benchmark=BENCHMARK,
        conda:
            "../envs/environment.yaml"
        resources:
            **HEAVY,
        params:
            methods=score_parameters(METHODS),
            datasets=SETS[BENCHMARK],
            suffix=SUFFIX,
            classes=id_classes,
            precision=config["precision"],
            chosen=scoring_code(METHODS),
            **code("score.py"),
        script:
            "../workflow_scripts/score.py"


for BENCHMARK, SUFFIX in evaluation_jobs():

    rule:
        "Judge a method on every OOD set of a benchmark."
        name:
            rule_name("evaluate", BENCHMARK, SUFFIX)
        input:
            [f"{RUN}/scores/{{method}}/{dataset}{SUFFIX}.parquet" for dataset in SETS[BENCHMARK]],
        output:
            update(
                [
                    f"{RUN}/metrics/{{method}}/{name}{SUFFIX}.json"
                    for name in [*BENCHMARKS[BENCHMARK].ood, "made_from"]
                ]
            ),
        log:
            f"{LOG}/metrics/{{method}}{SUFFIX}.log",
        wildcard_constraints:
            benchmark=BENCHMARK,
        conda:
            "../envs/environment.yaml"
        params:
            pairs=pairs,
            suffix=SUFFIX,
            scale=SCALE,
            bootstrap=config["bootstrap"],
            made_from=lambda w: made_from(LOADER, SCRIPTS, of(w), w.method),
            **code("evaluate.py"),
        script:
            "../workflow_scripts/evaluate.py"


for BENCHMARK in COMPARED:

    rule:
        "Compare the methods of a benchmark with the reference method, on the same images."
        name:
            rule_name("compare", BENCHMARK)
        input:
            lambda w: score_files(w.benchmark, [w.seed], of(w).methods),
        output:
            update(
                [
                    f"{RUN}/metrics/{method}/against_reference.json"
                    for method in BENCHMARKS[BENCHMARK].methods
                    if method != config["reference"]
                ]
            ),
        log:
            f"{LOG}/compare.log",
        wildcard_constraints:
            benchmark=BENCHMARK,
        conda:
            "../envs/environment.yaml"
        params:
            reference=config["reference"],
            methods=lambda w: {
                method: made_from(LOADER, SCRIPTS, of(w), method)["digest"]
                for method in of(w).methods
            },
            parts=parts,
            **code("tables/compare.py"),
        script:
            "../workflow_scripts/tables/compare.py"
