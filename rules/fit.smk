"""What training, generating and fitting have in common: each method's rules are made from these."""


rule train:
    "Template: train a model."
    input:
        unpack(edges(PLAN.models_and_images)),
        weights=PLAN.weights,
    output:
        model=update(f"{PLAN.run}/models/{{model}}/model.pt"),
        model_digest=update(f"{PLAN.run}/models/{{model}}/model.pt.sha256"),
        states=update(f"{PLAN.run}/models/{{model}}/states.pt"),
        states_digest=update(f"{PLAN.run}/models/{{model}}/states.pt.sha256"),
        config=update(f"{PLAN.run}/models/{{model}}/config.json"),
        history=update(f"{PLAN.run}/models/{{model}}/history.csv"),
    log:
        f"{PLAN.log}/models/{{model}}.log",
    benchmark:
        f"{PLAN.cost}/models/{{model}}.jsonl"
    wildcard_constraints:
        model="(?!)",
    conda:
        "../envs/environment.yaml"
    threads: config["threads"]
    resources:
        **requests("train"),
    params:
        **PLAN.code("models/train.py"),
        module=PLAN.module,
        settings=PLAN.settings,
        models=PLAN.edges,
        snapshots=PLAN.keeps_snapshots,
        classes=PLAN.classes,
        validation=None,
        precision=config["precision"],
        chosen=PLAN.chosen_code("models/train.py"),
    script:
        "../workflow_scripts/models/train.py"


use rule train as train_classifier with:
    "Train a plain classifier that methods share."
    wildcard_constraints:
        model=PLAN.models_of_type("classifier"),


rule generate:
    "Template: draw pseudo-OOD images."
    input:
        unpack(edges(PLAN.models_and_images)),
    output:
        samples=update(f"{PLAN.run}/pseudo_ood/{{method}}/samples.npz"),
        grid=report(
            update(f"{PLAN.run}/pseudo_ood/{{method}}/grid.png"),
            caption="captions/pseudo_ood.rst",
            category="{benchmark}",
            subcategory="pseudo-OOD",
            labels={"picture": "{method}"},
        ),
    log:
        f"{PLAN.log}/pseudo_ood/{{method}}.log",
    benchmark:
        f"{PLAN.cost}/pseudo_ood/{{method}}.jsonl"
    wildcard_constraints:
        method="(?!)",
    group:
        "generate"
    conda:
        "../envs/environment.yaml"
    threads: config["threads"]
    resources:
        **requests("score"),
    params:
        **PLAN.code("models/generate.py"),
        module=PLAN.module,
        settings=PLAN.settings,
        models=PLAN.edges,
        classes=PLAN.classes,
        validation=None,
        precision=config["precision"],
        chosen=PLAN.chosen_code("models/generate.py"),
    script:
        "../workflow_scripts/models/generate.py"


DETECTOR = {
    "detector": update(f"{PLAN.run}/detectors/{{method}}/detector{{chosen}}.pt"),
    "detector_digest": update(f"{PLAN.run}/detectors/{{method}}/detector{{chosen}}.pt.sha256"),
    "snapshots": update(f"{PLAN.run}/detectors/{{method}}/snapshots{{chosen}}.pt"),
    "snapshots_digest": update(f"{PLAN.run}/detectors/{{method}}/snapshots{{chosen}}.pt.sha256"),
    "config": update(f"{PLAN.run}/detectors/{{method}}/detector{{chosen}}.json"),
}


rule fit:
    "Template: fit a detector."
    input:
        unpack(edges(PLAN.models_and_images)),
    output:
        **DETECTOR,
    log:
        f"{PLAN.log}/detectors/{{method}}{{chosen}}.log",
    benchmark:
        f"{PLAN.cost}/detectors/{{method}}{{chosen}}.jsonl"
    wildcard_constraints:
        method="(?!)",
    group:
        "score"
    conda:
        "../envs/environment.yaml"
    threads: config["threads"]
    resources:
        **requests("train"),
    params:
        **PLAN.code("models/fit.py"),
        module=PLAN.module,
        settings=PLAN.settings,
        models=PLAN.edges,
        snapshots=PLAN.keeps_snapshots,
        classes=PLAN.classes,
        validation=None,
        precision=config["precision"],
        chosen=PLAN.chosen_code("models/fit.py"),
    script:
        "../workflow_scripts/models/fit.py"
