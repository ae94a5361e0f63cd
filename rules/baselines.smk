"""Baselines: statistics of the ID training set, if any; no training."""


def baseline_inputs(wildcards):
    settings = method_settings(wildcards)
    edges = {}
    if "classifier" in settings:
        edges |= model("classifier")(wildcards, settings)
    if settings["score"] in ("mahalanobis", "knn"):
        edges |= training_images(wildcards)
    return edges


rule fit_baseline:
    input:
        unpack(baseline_inputs),
    output:
        detector=f"{RUN}/detectors/{{method}}/detector.pt",
        config=f"{RUN}/detectors/{{method}}/detector.json",
    log:
        "results/logs/fit_baseline/{benchmark}/seed{seed}/{method}.log",
    benchmark:
        "results/costs/{benchmark}/seed{seed}/detectors/{method}.jsonl"
    wildcard_constraints:
        method=one_of(names_of("pipeline", "baselines", "methods")),
    conda:
        "../envs/environment.yaml"
    threads: config["threads"]
    resources:
        gpu=GPU,
    params:
        settings=method_settings,
        classes=id_classes,
        precision=config["precision"],
        code=code("fit_baseline.py"),
    script:
        "../workflow_scripts/fit_baseline.py"
