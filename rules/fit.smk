"""What training, generating and fitting have in common: each method's rules are made from these."""


rule train:
    "Template: train a model."
    input:
        unpack(models_and_images),
    output:
        model=update(f"{RUN}/models/{{model}}/model.pt"),
        model_digest=update(f"{RUN}/models/{{model}}/model.pt.sha256"),
        states=update(f"{RUN}/models/{{model}}/states.pt"),
        states_digest=update(f"{RUN}/models/{{model}}/states.pt.sha256"),
        config=update(f"{RUN}/models/{{model}}/config.json"),
        history=update(f"{RUN}/models/{{model}}/history.csv"),
    log:
        f"{LOG}/models/{{model}}.log",
    benchmark:
        f"{COST}/models/{{model}}.jsonl"
    wildcard_constraints:
        model="(?!)",
    conda:
        "../envs/environment.yaml"
    threads: config["threads"]
    resources:
        **HEAVY,
    params:
        module=module_of,
        settings=lambda w: settings_of(w)[1],
        models=lambda w: LOADER.edges(*settings_of(w)),
        snapshots=keeps_snapshots,
        classes=id_classes,
        validation=None,
        precision=config["precision"],
        chosen=lambda w: chosen_code("train.py", w),
        **code("train.py"),
    script:
        "../workflow_scripts/train.py"


use rule train as train_classifier with:
    "Train a plain classifier that methods share."
    wildcard_constraints:
        model=models_of_type("classifier"),


rule generate:
    "Template: draw pseudo-OOD images."
    input:
        unpack(models_and_images),
    output:
        samples=update(f"{RUN}/pseudo_ood/{{method}}/samples.npz"),
        grid=report(
            update(f"{RUN}/pseudo_ood/{{method}}/grid.png"),
            caption="captions/pseudo_ood.rst",
            category="{benchmark}",
            subcategory="pseudo-OOD",
        ),
    log:
        f"{LOG}/pseudo_ood/{{method}}.log",
    benchmark:
        f"{COST}/pseudo_ood/{{method}}.jsonl"
    wildcard_constraints:
        method="(?!)",
    conda:
        "../envs/environment.yaml"
    threads: config["threads"]
    resources:
        **HEAVY,
    params:
        module=module_of,
        settings=lambda w: settings_of(w)[1],
        models=lambda w: LOADER.edges(*settings_of(w)),
        classes=id_classes,
        validation=None,
        precision=config["precision"],
        chosen=lambda w: chosen_code("generate.py", w),
        **code("generate.py"),
    script:
        "../workflow_scripts/generate.py"


DETECTOR = {
    "detector": update(f"{RUN}/detectors/{{method}}/detector{{chosen}}.pt"),
    "detector_digest": update(f"{RUN}/detectors/{{method}}/detector{{chosen}}.pt.sha256"),
    "snapshots": update(f"{RUN}/detectors/{{method}}/snapshots{{chosen}}.pt"),
    "snapshots_digest": update(f"{RUN}/detectors/{{method}}/snapshots{{chosen}}.pt.sha256"),
    "config": update(f"{RUN}/detectors/{{method}}/detector{{chosen}}.json"),
}


rule fit:
    "Template: fit a detector."
    input:
        unpack(models_and_images),
    output:
        **DETECTOR,
    log:
        f"{LOG}/detectors/{{method}}{{chosen}}.log",
    benchmark:
        f"{COST}/detectors/{{method}}{{chosen}}.jsonl"
    wildcard_constraints:
        method="(?!)",
    conda:
        "../envs/environment.yaml"
    threads: config["threads"]
    resources:
        **HEAVY,
    params:
        module=module_of,
        settings=lambda w: settings_of(w)[1],
        models=lambda w: LOADER.edges(*settings_of(w)),
        snapshots=keeps_snapshots,
        classes=id_classes,
        validation=None,
        precision=config["precision"],
        chosen=lambda w: chosen_code("fit.py", w),
        **code("fit.py"),
    script:
        "../workflow_scripts/fit.py"
