"""Models that several methods share."""


rule train_classifier:
    input:
        unpack(training_images),
    output:
        model=f"{RUN}/models/{{model}}/model.pt",
        config=f"{RUN}/models/{{model}}/config.json",
        history=f"{RUN}/models/{{model}}/history.csv",
    log:
        "results/logs/train_classifier/{benchmark}/seed{seed}/{model}.log",
    benchmark:
        "results/costs/{benchmark}/seed{seed}/models/{model}.jsonl"
    wildcard_constraints:
        model=one_of(names_of("type", "classifier", "models")),
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
        code=code("train_classifier.py"),
    script:
        "../workflow_scripts/train_classifier.py"
