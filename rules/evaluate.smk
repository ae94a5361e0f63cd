"""Scores of every method on every image set, and metrics of every pair. No method is named here."""


def pipeline_source(wildcards):
    return f"ood/methods/{method_settings(wildcards)['pipeline']}.py"


def with_snapshots():
    """Methods that keep snapshots, which the oracle protocol chooses from."""
    return sorted(
        {
            name
            for benchmark in BENCHMARKS.values()
            for name, settings in benchmark.methods.items()
            if "snapshot_every" in settings
        }
    )


def scored_images(wildcards):
    return images(wildcards.benchmark, wildcards.dataset, "test")


rule score:
    input:
        unpack(scored_images),
        detector=ancient(f"{RUN}/detectors/{{method}}/detector.pt"),
        config=f"{RUN}/detectors/{{method}}/detector.json",
    output:
        f"{RUN}/scores/{{method}}/{{dataset}}.parquet",
    log:
        "results/logs/score/{benchmark}/seed{seed}/{method}/{dataset}.log",
    benchmark:
        "results/costs/{benchmark}/seed{seed}/scores/{method}/{dataset}.jsonl"
    conda:
        "../envs/environment.yaml"
    resources:
        gpu=GPU,
    params:
        pipeline=lambda w: method_settings(w)["pipeline"],
        classes=id_classes,
        precision=config["precision"],
        code=lambda w: code("score.py", pipeline_source(w)),
    script:
        "../workflow_scripts/score.py"


rule score_snapshots:
    input:
        unpack(scored_images),
        detector=ancient(f"{RUN}/detectors/{{method}}/detector.pt"),
        config=f"{RUN}/detectors/{{method}}/detector.json",
        snapshots=ancient(f"{RUN}/detectors/{{method}}/snapshots.pt"),
    output:
        f"{RUN}/scores/{{method}}/{{dataset}}.oracle.parquet",
    log:
        "results/logs/score_snapshots/{benchmark}/seed{seed}/{method}/{dataset}.log",
    wildcard_constraints:
        method=one_of(with_snapshots()),
    conda:
        "../envs/environment.yaml"
    resources:
        gpu=GPU,
    params:
        pipeline=lambda w: method_settings(w)["pipeline"],
        classes=id_classes,
        precision=config["precision"],
        code=lambda w: code("score.py", pipeline_source(w)),
    script:
        "../workflow_scripts/score.py"


def score_files(suffix):
    def files(wildcards):
        benchmark = of(wildcards)
        folder = f"{RUN}/scores/{wildcards.method}".format(**wildcards)
        return {
            "id": f"{folder}/{benchmark.dataset}{suffix}.parquet",
            "ood": f"{folder}/{benchmark.ood[wildcards.ood].dataset}{suffix}.parquet",
            "config": f"{RUN}/detectors/{wildcards.method}/detector.json".format(**wildcards),
        }

    return files


def pair(wildcards):
    """What `evaluate` must know of a pair."""
    benchmark = of(wildcards)
    ood_set = benchmark.ood[wildcards.ood]
    return {
        "group": ood_set.group,
        "id_dataset": benchmark.dataset,
        "id_classes": list(benchmark.classes),
        "id_stand_in_for": benchmark.stand_in_for,
        "ood_dataset": ood_set.dataset,
        "ood_classes": None if ood_set.classes is None else list(ood_set.classes),
        "ood_stand_in_for": ood_set.stand_in_for,
        "scale": config["scale"],
    }


rule evaluate:
    input:
        unpack(score_files("")),
    output:
        f"{RUN}/metrics/{{method}}/{{ood}}.json",
    log:
        "results/logs/evaluate/{benchmark}/seed{seed}/{method}/{ood}.log",
    conda:
        "../envs/environment.yaml"
    params:
        pair=pair,
        protocol="final",
        bootstrap=config["bootstrap"],
        code=code("evaluate.py"),
    script:
        "../workflow_scripts/evaluate.py"


rule evaluate_oracle:
    input:
        unpack(score_files(".oracle")),
    output:
        f"{RUN}/metrics/{{method}}/{{ood}}.oracle.json",
    log:
        "results/logs/evaluate_oracle/{benchmark}/seed{seed}/{method}/{ood}.log",
    wildcard_constraints:
        method=one_of(with_snapshots()),
    conda:
        "../envs/environment.yaml"
    params:
        pair=pair,
        protocol="oracle",
        bootstrap=config["bootstrap"],
        code=code("evaluate.py"),
    script:
        "../workflow_scripts/evaluate.py"
