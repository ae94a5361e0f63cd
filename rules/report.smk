"""Tables over all pairs and plots per benchmark."""


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


rule compare:
    input:
        [
            path
            for benchmark in COMPARED
            for path in plot_inputs(
                benchmark, SEEDS, BENCHMARKS[benchmark].methods, BENCHMARKS[benchmark].ood
            )
        ],
    output:
        report(
            "results/tables/comparisons.csv",
            caption="captions/comparisons.rst",
            category="tables",
        ),
    log:
        "results/logs/compare.log",
    conda:
        "../envs/environment.yaml"
    params:
        reference=config["reference"],
        seeds=SEEDS,
        benchmarks={
            benchmark: {
                "methods": list(BENCHMARKS[benchmark].methods),
                "parts": {
                    ood: list(image_parts(benchmark, [ood]).values())
                    for ood in BENCHMARKS[benchmark].ood
                },
            }
            for benchmark in COMPARED
        },
        code=code("compare.py"),
    script:
        "../workflow_scripts/compare.py"


# a target of its own: the tables of whatever exists, for a run in which some jobs failed
rule available:
    input:
        published=PUBLISHED,
    output:
        [f"results/available/{name}" for name in NAMES],
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


rule plot_curves:
    input:
        f"{RUN}/{{part}}/{{name}}/history.csv",
    output:
        report(
            f"{RUN}/{{part}}/{{name}}/curves.png",
            caption="captions/curves.rst",
            category="{benchmark}",
            subcategory="training",
        ),
    log:
        "results/logs/plot_curves/{benchmark}/seed{seed}/{part}/{name}.log",
    wildcard_constraints:
        part="models|detectors",
        name="[a-z0-9_]+",
    conda:
        "../envs/environment.yaml"
    params:
        code=code("plot_curves.py"),
    script:
        "../workflow_scripts/plot_curves.py"


rule plot_roc:
    input:
        lambda w: plot_inputs(w.benchmark, SEEDS, of(w).methods, [w.ood]),
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
        seeds=SEEDS,
        methods=lambda w: list(of(w).methods),
        parts=lambda w: image_parts(w.benchmark, [w.ood]),
        code=code("plot_roc.py"),
    script:
        "../workflow_scripts/plot_roc.py"


rule plot_f1:
    input:
        lambda w: plot_inputs(w.benchmark, SEEDS, PREDICTED[w.benchmark], [w.ood]),
    output:
        plot=report(
            "results/plots/{benchmark}/f1/{ood}.png",
            caption="captions/f1.rst",
            category="{benchmark}",
            subcategory="F1 over thresholds",
        ),
        table="results/plots/{benchmark}/f1/{ood}.csv",
    log:
        "results/logs/plot_f1/{benchmark}/{ood}.log",
    conda:
        "../envs/environment.yaml"
    params:
        seeds=SEEDS,
        methods=lambda w: PREDICTED[w.benchmark],
        classes=id_classes,
        parts=lambda w: image_parts(w.benchmark, [w.ood]),
        code=code("plot_f1.py"),
    script:
        "../workflow_scripts/plot_f1.py"


rule plot_trajectory:
    input:
        lambda w: plot_inputs(w.benchmark, SEEDS, with_trajectory(w.benchmark), [w.ood], ".oracle"),
    output:
        report(
            "results/plots/{benchmark}/trajectory/{ood}.png",
            caption="captions/trajectory.rst",
            category="{benchmark}",
            subcategory="AUROC over training",
        ),
    log:
        "results/logs/plot_trajectory/{benchmark}/{ood}.log",
    conda:
        "../envs/environment.yaml"
    params:
        seeds=SEEDS,
        methods=lambda w: with_trajectory(w.benchmark),
        parts=lambda w: image_parts(w.benchmark, [w.ood]),
        code=code("plot_trajectory.py"),
    script:
        "../workflow_scripts/plot_trajectory.py"


rule plot_histograms:
    input:
        lambda w: plot_inputs(w.benchmark, SEEDS[:1], [w.method], of(w).ood),
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
        seed=SEEDS[0],
        parts=lambda w: image_parts(w.benchmark, of(w).ood),
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
        ood_sets=lambda w: list(of(w).ood),
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
        parts=lambda w: image_parts(w.benchmark, of(w).ood),
        datasets=lambda w: SETS[w.benchmark],
        code=code("plot_image_sets.py"),
    script:
        "../workflow_scripts/plot_image_sets.py"
