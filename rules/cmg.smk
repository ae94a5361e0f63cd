"""CMG: stage 1 (CVAE), pseudo-OOD images to look at, stage 2 (fine-tuning)."""


rule train_cmg_cvae:
    input:
        unpack(training_images),
    output:
        model=f"{RUN}/models/{{model}}/model.pt",
        config=f"{RUN}/models/{{model}}/config.json",
        history=f"{RUN}/models/{{model}}/history.csv",
    log:
        "results/logs/train_cmg_cvae/{benchmark}/seed{seed}/{model}.log",
    benchmark:
        "results/costs/{benchmark}/seed{seed}/models/{model}.jsonl"
    wildcard_constraints:
        model=one_of(names_of("type", "cmg_cvae", "models")),
    conda:
        "../envs/environment.yaml"
    threads: config["threads"]
    resources:
        **TRAINING,
        gpu=GPU,
    params:
        settings=model_settings,
        classes=id_classes,
        precision=config["precision"],
        code=code("train_cmg_cvae.py"),
    script:
        "../workflow_scripts/train_cmg_cvae.py"


rule generate_cmg:
    input:
        unpack(models_named_by),
    output:
        samples=f"{RUN}/pseudo_ood/{{method}}/samples.npz",
        grid=report(
            f"{RUN}/pseudo_ood/{{method}}/grid.png",
            caption="captions/pseudo_ood.rst",
            category="{benchmark}",
            subcategory="pseudo-OOD",
        ),
    log:
        "results/logs/generate_cmg/{benchmark}/seed{seed}/{method}.log",
    wildcard_constraints:
        method=one_of(names_of("pipeline", "cmg", "methods")),
    conda:
        "../envs/environment.yaml"
    params:
        sigma=lambda w: method_settings(w)["sigma"],
        code=code("generate_cmg.py"),
    script:
        "../workflow_scripts/generate_cmg.py"


# the heads that the oracle protocol chooses from are kept only when it is asked for
rule fine_tune_cmg:
    input:
        unpack(models_and_images),
    output:
        **(
            {"snapshots": f"{RUN}/detectors/{{method}}/snapshots.pt"}
            if "oracle" in PROTOCOLS
            else {}
        ),
        detector=f"{RUN}/detectors/{{method}}/detector.pt",
        config=f"{RUN}/detectors/{{method}}/detector.json",
        history=f"{RUN}/detectors/{{method}}/history.csv",
    log:
        "results/logs/fine_tune_cmg/{benchmark}/seed{seed}/{method}.log",
    benchmark:
        "results/costs/{benchmark}/seed{seed}/detectors/{method}.jsonl"
    wildcard_constraints:
        method=one_of(names_of("pipeline", "cmg", "methods")),
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
        code=code("fine_tune_cmg.py"),
    script:
        "../workflow_scripts/fine_tune_cmg.py"
