"""Pictures of every benchmark. Method files add kinds of their own to `PICTURES`."""

PICTURES |= {
    "curves": {
        "tested": False,
        "names": FIGURES.trained,
        "inputs": lambda w: {
            "files": [
                f"results/{PLAN.config.scale}/{w.benchmark}/{name}/history.csv"
                for name in FIGURES.trained(w.benchmark)
            ]
        },
    },
    "roc": {
        "names": FIGURES.ood_names,
        "inputs": lambda w: INPUTS.score_files(w.benchmark, PLAN.config.seeds, PLAN.of(w).methods),
        "methods": lambda b: list(PLAN.benchmarks[b].methods),
    },
    "f1": {
        "names": lambda b: FIGURES.ood_names(b) * bool(FIGURES.classifying(b)),
        "inputs": lambda w: INPUTS.score_files(
            w.benchmark, PLAN.config.seeds, FIGURES.classifying(w.benchmark)
        ),
        "methods": FIGURES.classifying,
        "table": True,
    },
    "histograms": {
        "names": lambda b: list(PLAN.benchmarks[b].methods),
        "inputs": lambda w: INPUTS.score_files(
            w.benchmark, PLAN.config.seeds[:1], PLAN.of(w).methods
        ),
    },
    "trajectory": {
        "names": lambda b: FIGURES.ood_names(b) * bool(FIGURES.with_trajectory(b)),
        "inputs": lambda w: INPUTS.score_files(
            w.benchmark, PLAN.config.seeds, FIGURES.with_trajectory(w.benchmark), ".oracle"
        ),
        "methods": FIGURES.with_trajectory,
    },
    "extremes": {
        "names": lambda b: [f"{ood}/{method}" for method, ood in JOBS.ranked(b)],
        "inputs": lambda w: INPUTS.test_sets(w)
        | INPUTS.score_files(w.benchmark, PLAN.config.seeds[:1], PLAN.of(w).methods),
    },
    "image_sets": {"names": lambda b: ["image_sets"], "inputs": INPUTS.test_sets},
    "heatmap": {
        # the report sorts by name
        "title": "(heat map)",
        "names": lambda b: ["heatmap"],
        "inputs": lambda w: {"files": "results/tables/summary.csv"},
    },
    "ranks": {
        "names": lambda b: ["ranks"] * (len(PLAN.benchmarks[b].methods) > 1),
        "inputs": lambda w: {"files": "results/tables/metrics.csv"},
    },
}


for BENCHMARK in PLAN.benchmarks:
    for KIND, ONE in PICTURES.items():
        if not (DRAWN := ONE["names"](BENCHMARK)):
            continue

        rule:
            "Draw all pictures of one kind."
            name:
                name_of("plot", KIND, BENCHMARK)
            input:
                unpack(edges(ONE["inputs"])),
            output:
                [
                    report(
                        update(
                            figure(
                                PLAN.config.scale,
                                "{benchmark}",
                                "{kind}",
                                picture,
                                config["figure_format"],
                            )
                        ),
                        caption=f"captions/{KIND}.rst",
                        category="{benchmark}",
                        subcategory=ONE.get("title", KIND.replace("_", " ")),
                        labels={"picture": picture},
                    )
                    for picture in DRAWN
                ],
                tables=[
                    update(figure(PLAN.config.scale, "{benchmark}", "{kind}", picture, "csv"))
                    for picture in DRAWN * ONE.get("table", False)
                ],
            log:
                f"results/logs/plots/{PLAN.config.scale}/{{benchmark}}/{{kind}}.log",
            wildcard_constraints:
                benchmark=BENCHMARK,
                kind=KIND,
            group:
                "draw" if ONE.get("heavy") else "plots"
            conda:
                "../envs/environment.yaml"
            threads: config["threads"]
            resources:
                **(requests("score") if ONE.get("heavy") else {}),
            params:
                **CODE.of(f"plots/{KIND}.py"),
                **(
                    {"styled": FIGURES.all_methods(), "reference": PLAN.config.reference}
                    if "methods" in ONE
                    else {}
                ),
                names=DRAWN,
                run=f"results/{PLAN.config.scale}/{BENCHMARK}",
                scale=PLAN.config.scale,
                # what decides how a method's line looks
                seeds=PLAN.config.seeds if "methods" in ONE else PLAN.config.seeds[:1],
                classes=PARAMS.classes,
                methods=ONE.get("methods", lambda b: None)(BENCHMARK),
                parts=PARAMS.parts if ONE.get("tested", True) else None,
                datasets=PLAN.sets[BENCHMARK] if ONE.get("tested", True) else None,
                precision=config["precision"],
            script:
                "../workflow_scripts/plots/{wildcards.kind}.py"
