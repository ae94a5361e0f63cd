"""Pictures of every benchmark. Method files add kinds of their own to `PICTURES`."""


def trained(benchmark):
    """Seed, section and name of every model and detector that training curves belong to."""
    one = BENCHMARKS[benchmark]
    names = [f"models/{name}" for name in one.models]
    names += [
        f"detectors/{name}"
        for name, settings in one.methods.items()
        if LOADER.provides("methods", settings, "history")
    ]
    return [f"seed{seed}/{name}" for seed in SEEDS for name in names]


def classifying(benchmark):
    """Methods that name a class."""
    methods = BENCHMARKS[benchmark].methods.items()
    return [name for name, settings in methods if LOADER.fits(settings, "predicts")]


def with_trajectory(benchmark):
    """Methods with scores at several steps of training."""
    if "oracle" not in PROTOCOLS:
        return []
    methods = BENCHMARKS[benchmark].methods.items()
    return [m for m, settings in methods if LOADER.provides("methods", settings, "trajectory")]


def ood_names(benchmark, wanted=True):
    return list(BENCHMARKS[benchmark].ood) if wanted else []


PICTURES |= {
    "curves": {
        "names": trained,
        "inputs": lambda w: {
            "files": [
                f"results/{SCALE}/{w.benchmark}/{name}/history.csv"
                for name in trained(w.benchmark)
            ]
        },
    },
    "roc": {
        "names": ood_names,
        "inputs": lambda w: {"files": score_files(w.benchmark, SEEDS, of(w).methods)},
    },
    "f1": {
        "names": lambda b: ood_names(b, classifying(b)),
        "inputs": lambda w: {"files": score_files(w.benchmark, SEEDS, classifying(w.benchmark))},
        "methods": classifying,
        "table": True,
    },
    "histograms": {
        "names": lambda benchmark: list(BENCHMARKS[benchmark].methods),
        "inputs": lambda w: {"files": score_files(w.benchmark, SEEDS[:1], of(w).methods)},
    },
    "trajectory": {
        "names": lambda b: ood_names(b, with_trajectory(b)),
        "inputs": lambda w: {
            "files": score_files(w.benchmark, SEEDS, with_trajectory(w.benchmark), ".oracle")
        },
        "methods": with_trajectory,
    },
    "image_sets": {"names": lambda benchmark: ["image_sets"], "inputs": test_sets},
    "heatmap": {
        "names": lambda benchmark: ["heatmap"],
        "inputs": lambda w: {"files": "results/tables/summary.csv"},
    },
}


for BENCHMARK in BENCHMARKS:
    for KIND, ONE in PICTURES.items():
        if not (DRAWN := ONE["names"](BENCHMARK)):
            continue

        rule:
            "Draw all pictures of one kind."
            name:
                rule_name("plot", KIND, BENCHMARK)
            input:
                unpack(ONE["inputs"]),
            output:
                [
                    report(
                        update(f"{PLOT}/{{benchmark}}/{{kind}}/{picture}.png"),
                        caption=f"captions/{KIND}.rst",
                        category="{benchmark}",
                        subcategory=KIND.replace("_", " "),
                        labels={"picture": picture},
                    )
                    for picture in DRAWN
                ],
                tables=[
                    update(f"{PLOT}/{{benchmark}}/{{kind}}/{picture}.csv")
                    for picture in DRAWN * ONE.get("table", False)
                ],
            log:
                f"results/logs/plots/{SCALE}/{{benchmark}}/{{kind}}.log",
            wildcard_constraints:
                benchmark=BENCHMARK,
                kind=KIND,
            conda:
                "../envs/environment.yaml"
            threads: config["threads"]
            resources:
                **(HEAVY if ONE.get("heavy") else {}),
            params:
                names=DRAWN,
                run=f"results/{SCALE}/{BENCHMARK}",
                scale=SCALE,
                seeds=SEEDS,
                methods=ONE.get("methods", lambda b: list(BENCHMARKS[b].methods))(BENCHMARK),
                settings=BENCHMARKS[BENCHMARK].methods if ONE.get("heavy") else None,
                classes=id_classes,
                parts=parts,
                datasets=SETS[BENCHMARK],
                precision=config["precision"],
                **code(f"plots/{KIND}.py"),
            script:
                "../workflow_scripts/plots/{wildcards.kind}.py"
