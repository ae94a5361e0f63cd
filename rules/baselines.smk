"""Baselines: statistics of the ID training set, if any; no training."""


rule fit_baseline:
    input:
        unpack(
            lambda w: (
                models_and_images(w)
                if method_settings(w)["score"] in ("mahalanobis", "knn")
                else models_named_by(w)
            )
        ),
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
        **TRAINING,
        gpu=GPU,
    params:
        settings=method_settings,
        classes=id_classes,
        precision=config["precision"],
        code=code("fit_baseline.py"),
    script:
        "../workflow_scripts/fit_baseline.py"
