"""Tables over all pairs and plots per benchmark."""

# relative, so that the finished workflow can be moved
PUBLISHED = os.path.relpath(ROOT / "benchmarks" / "published.csv")
PAIRS = [
    (benchmark, seed, method, ood)
    for benchmark in BENCHMARKS
    for seed in SEEDS
    for method in methods_of(benchmark)
    for ood in BENCHMARKS[benchmark].ood
]
METRICS = [
    f"results/{b}/seed{s}/metrics/{m}/{o}{suffix}.json"
    for b, s, m, o in PAIRS
    for protocol, suffix in (("final", ""), ("oracle", ".oracle"))
    if protocol in PROTOCOLS and (protocol == "final" or m in with_snapshots())
]
TABLES = [
    f"results/tables/{name}"
    for name in (
        "metrics.csv",
        "summary.csv",
        "leaderboard.csv",
        "leaderboard.md",
        "published.csv",
        "costs.csv",
    )
]
SETS = {
    benchmark: sorted({one.dataset, *(ood.dataset for ood in one.ood.values())})
    for benchmark, one in BENCHMARKS.items()
}


def plots(benchmark, kind, names):
    return [f"results/plots/{benchmark}/{kind}/{name}.png" for name in names]


def pseudo_ood_grids(benchmark):
    return [
        f"results/{benchmark}/seed{SEEDS[0]}/pseudo_ood/{method}/grid.png"
        for method in methods_of(benchmark)
        if "sigma" in BENCHMARKS[benchmark].methods[method]
    ]


PLOTS = [
    path
    for benchmark in BENCHMARKS
    for path in (
        *plots(benchmark, "roc", BENCHMARKS[benchmark].ood),
        *plots(benchmark, "histograms", methods_of(benchmark)),
        f"results/plots/{benchmark}/heatmap.png",
        f"results/plots/{benchmark}/image_sets.png",
        *pseudo_ood_grids(benchmark),
    )
]


def plot_inputs(benchmark, methods, oods):
    """Score files of the given methods, for the ID set and the given OOD sets, over all seeds."""
    one = BENCHMARKS[benchmark]
    datasets = dict.fromkeys([one.dataset, *(one.ood[name].dataset for name in oods)])
    return [
        f"results/{benchmark}/seed{seed}/scores/{method}/{dataset}.parquet"
        for seed in SEEDS
        for method in methods
        for dataset in datasets
    ]


def layout(wildcards):
    """What plots of scores must know of a benchmark."""
    one = of(wildcards)
    return {
        "seeds": SEEDS,
        "methods": methods_of(wildcards.benchmark),
        "id": {"dataset": one.dataset, "classes": list(one.classes)},
        "ood": {
            name: {"dataset": ood.dataset, "classes": ood.classes and list(ood.classes)}
            for name, ood in one.ood.items()
        },
    }


rule tables:
    input:
        metrics=METRICS,
        published=PUBLISHED,
    output:
        report(
            TABLES,
            caption="captions/tables.rst",
            category="tables",
        ),
    log:
        "results/logs/tables.log",
    conda:
        "../envs/environment.yaml"
    params:
        metrics=METRICS,
        costs=[f"results/costs/{b}/seed{s}" for b in BENCHMARKS for s in SEEDS],
        code=code("tables.py"),
    script:
        "../workflow_scripts/tables.py"


# a target of its own: the tables of whatever exists, for a run in which some jobs failed
rule available:
    input:
        published=PUBLISHED,
    output:
        [path.replace("/tables/", "/available/") for path in TABLES],
    log:
        "results/logs/available.log",
    conda:
        "../envs/environment.yaml"
    params:
        metrics=[path for path in METRICS if os.path.exists(path)],
        costs=[f"results/costs/{b}/seed{s}" for b in BENCHMARKS for s in SEEDS],
        code=code("tables.py"),
    script:
        "../workflow_scripts/tables.py"


rule plot_roc:
    input:
        lambda w: plot_inputs(w.benchmark, methods_of(w.benchmark), [w.ood]),
    output:
        report(
            "results/plots/{benchmark}/roc/{ood}.png",
            caption="captions/roc.rst",
            category="{benchmark}",
            subcategory="ROC curves",
        ),
    log:
        "results/logs/plot_roc/{benchmark}/{ood}.log",
    conda:
        "../envs/environment.yaml"
    params:
        layout=layout,
        code=code("plot_roc.py"),
    script:
        "../workflow_scripts/plot_roc.py"


rule plot_histograms:
    input:
        lambda w: plot_inputs(w.benchmark, [w.method], of(w).ood),
    output:
        report(
            "results/plots/{benchmark}/histograms/{method}.png",
            caption="captions/histograms.rst",
            category="{benchmark}",
            subcategory="score histograms",
        ),
    log:
        "results/logs/plot_histograms/{benchmark}/{method}.log",
    conda:
        "../envs/environment.yaml"
    params:
        layout=layout,
        code=code("plot_histograms.py"),
    script:
        "../workflow_scripts/plot_histograms.py"


rule plot_heatmap:
    input:
        "results/tables/summary.csv",
    output:
        report(
            "results/plots/{benchmark}/heatmap.png",
            caption="captions/heatmap.rst",
            category="{benchmark}",
        ),
    log:
        "results/logs/plot_heatmap/{benchmark}.log",
    conda:
        "../envs/environment.yaml"
    params:
        layout=layout,
        code=code("plot_heatmap.py"),
    script:
        "../workflow_scripts/plot_heatmap.py"


rule plot_image_sets:
    input:
        images=lambda w: [
            ancient(f"{prepared(w.benchmark, dataset, 'test')}.npz")
            for dataset in SETS[w.benchmark]
        ],
        manifests=lambda w: [
            f"{prepared(w.benchmark, dataset, 'test')}.json" for dataset in SETS[w.benchmark]
        ],
    output:
        report(
            "results/plots/{benchmark}/image_sets.png",
            caption="captions/image_sets.rst",
            category="{benchmark}",
        ),
    log:
        "results/logs/plot_image_sets/{benchmark}.log",
    conda:
        "../envs/environment.yaml"
    params:
        layout=layout,
        datasets=lambda w: SETS[w.benchmark],
        code=code("plot_image_sets.py"),
    script:
        "../workflow_scripts/plot_image_sets.py"
