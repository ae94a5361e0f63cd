"""Pictures of every benchmark. Method files add kinds of their own to `PICTURES`."""

PICTURES |= {
    "curves": {
        "tested": False,
        "names": PLAN.trained,
        "inputs": lambda w: {
            "files": [
                f"results/{PLAN.scale}/{w.benchmark}/{name}/history.csv"
                for name in PLAN.trained(w.benchmark)
            ]
        },
    },
    "roc": {
        "names": PLAN.ood_names,
        "inputs": lambda w: PLAN.score_files(w.benchmark, PLAN.seeds, PLAN.of(w).methods),
        "methods": lambda b: list(PLAN.benchmarks[b].methods),
    },
    "f1": {
        "names": lambda b: PLAN.ood_names(b) * bool(PLAN.classifying(b)),
        "inputs": lambda w: PLAN.score_files(
            w.benchmark, PLAN.seeds, PLAN.classifying(w.benchmark)
        ),
        "methods": PLAN.classifying,
        "table": True,
    },
    "histograms": {
        "names": lambda b: list(PLAN.benchmarks[b].methods),
        "inputs": lambda w: PLAN.score_files(w.benchmark, PLAN.seeds[:1], PLAN.of(w).methods),
    },
    "trajectory": {
        "names": lambda b: PLAN.ood_names(b) * bool(PLAN.with_trajectory(b)),
        "inputs": lambda w: PLAN.score_files(
            w.benchmark, PLAN.seeds, PLAN.with_trajectory(w.benchmark), ".oracle"
        ),
        "methods": PLAN.with_trajectory,
    },
    "extremes": {
        "names": lambda b: [f"{ood}/{method}" for method, ood in PLAN.ranked(b)],
        "inputs": lambda w: PLAN.test_sets(w)
        | PLAN.score_files(w.benchmark, PLAN.seeds[:1], PLAN.of(w).methods),
    },
    "image_sets": {"names": lambda b: ["image_sets"], "inputs": PLAN.test_sets},
    "heatmap": {
        # the report sorts by name
        "title": "(heat map)",
        "names": lambda b: ["heatmap"],
        "inputs": lambda w: {"files": "results/tables/summary.csv"},
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
                            f"{PLAN.plots}/{{benchmark}}/{{kind}}/{picture}.{config['figure_format']}"
                        ),
                        caption=f"captions/{KIND}.rst",
                        category="{benchmark}",
                        subcategory=ONE.get("title", KIND.replace("_", " ")),
                        labels={"picture": picture},
                    )
                    for picture in DRAWN
                ],
                tables=[
                    update(f"{PLAN.plots}/{{benchmark}}/{{kind}}/{picture}.csv")
                    for picture in DRAWN * ONE.get("table", False)
                ],
            log:
                f"results/logs/plots/{PLAN.scale}/{{benchmark}}/{{kind}}.log",
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
                **PLAN.code(f"plots/{KIND}.py"),
                **(
                    {"styled": PLAN.all_methods(), "reference": PLAN.reference}
                    if "methods" in ONE
                    else {}
                ),
                names=DRAWN,
                run=f"results/{PLAN.scale}/{BENCHMARK}",
                scale=PLAN.scale,
                # what decides how a method's line looks
                seeds=PLAN.seeds if "methods" in ONE else PLAN.seeds[:1],
                classes=PLAN.classes,
                methods=ONE.get("methods", lambda b: None)(BENCHMARK),
                parts=PLAN.parts if ONE.get("tested", True) else None,
                datasets=PLAN.sets[BENCHMARK] if ONE.get("tested", True) else None,
                precision=config["precision"],
            script:
                "../workflow_scripts/plots/{wildcards.kind}.py"
