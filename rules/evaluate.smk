"""Scores of every method on every image set, and metrics of every pair. No method is named here."""


rule score:
    input:
        unpack(scored_images),
        detector=ancient(f"{RUN}/detectors/{{method}}/detector{{chosen}}.pt"),
        config=f"{RUN}/detectors/{{method}}/detector{{chosen}}.json",
    output:
        f"{RUN}/scores/{{method}}/{{dataset}}{{chosen}}.parquet",
    log:
        "results/logs/score/{benchmark}/seed{seed}/{method}/{dataset}{chosen}.log",
    benchmark:
        "results/costs/{benchmark}/seed{seed}/scores/{method}/{dataset}{chosen}.jsonl"
    conda:
        "../envs/environment.yaml"
    resources:
        **TRAINING,
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
        method=one_of(WITH_SNAPSHOTS),
    conda:
        "../envs/environment.yaml"
    resources:
        **TRAINING,
        gpu=GPU,
    params:
        pipeline=lambda w: method_settings(w)["pipeline"],
        classes=id_classes,
        precision=config["precision"],
        code=lambda w: code("score.py", pipeline_source(w)),
    script:
        "../workflow_scripts/score.py"


rule evaluate:
    input:
        unpack(score_files),
    output:
        f"{RUN}/metrics/{{method}}/{{ood}}{{suffix}}.json",
    log:
        "results/logs/evaluate/{benchmark}/seed{seed}/{method}/{ood}{suffix}.log",
    conda:
        "../envs/environment.yaml"
    params:
        pair=pair,
        protocol=lambda w: w.suffix.removeprefix(".") or "final",
        bootstrap=config["bootstrap"],
        code=code("evaluate.py"),
    script:
        "../workflow_scripts/evaluate.py"
