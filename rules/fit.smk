"""What training, generating and fitting have in common: each method's rules are made from these."""


rule train:
    "Template: train a model."
    input:
        unpack(edges(INPUTS.models_and_images)),
        weights=INPUTS.weights,
    output:
        model=update(RUN.model("{model}", "model.pt")),
        model_digest=update(RUN.model("{model}", "model.pt.sha256")),
        states=update(RUN.model("{model}", "states.pt")),
        states_digest=update(RUN.model("{model}", "states.pt.sha256")),
        config=update(RUN.model("{model}", "config.json")),
        history=update(RUN.model("{model}", "history.csv")),
    log:
        f"{LOG.folder}/models/{{model}}.log",
    benchmark:
        f"{COST.folder}/models/{{model}}.jsonl"
    wildcard_constraints:
        model="(?!)",
    conda:
        "../envs/environment.yaml"
    threads: config["threads"]
    resources:
        **requests("train"),
    params:
        **CODE.of("models/train.py"),
        **COMPUTING,
        module=PARAMS.module,
        settings=PLAN.settings,
        models=PARAMS.edges,
        snapshots=PARAMS.keeps_snapshots,
        classes=PARAMS.classes,
        validation=None,
        chosen=CODE.chosen("models/train.py"),
    script:
        "../workflow_scripts/models/train.py"


use rule train as train_classifier with:
    "Train a plain classifier that methods share."
    wildcard_constraints:
        model=PLAN.models_of_type("classifier"),


rule generate:
    "Template: draw pseudo-OOD images."
    input:
        unpack(edges(INPUTS.models_and_images)),
    output:
        samples=update(RUN.pseudo_ood("{method}", "samples.npz")),
        grid=report(
            update(RUN.pseudo_ood("{method}", "grid.png")),
            caption="captions/pseudo_ood.rst",
            category="{benchmark}",
            subcategory="pseudo-OOD",
            labels={"picture": "{method}"},
        ),
    log:
        f"{LOG.folder}/pseudo_ood/{{method}}.log",
    benchmark:
        f"{COST.folder}/pseudo_ood/{{method}}.jsonl"
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
        **CODE.of("models/generate.py"),
        **COMPUTING,
        module=PARAMS.module,
        settings=PLAN.settings,
        models=PARAMS.edges,
        classes=PARAMS.classes,
        validation=None,
        chosen=CODE.chosen("models/generate.py"),
    script:
        "../workflow_scripts/models/generate.py"


DETECTOR = {
    "detector": update(RUN.detector("{method}", "detector{chosen}.pt")),
    "detector_digest": update(RUN.detector("{method}", "detector{chosen}.pt.sha256")),
    "snapshots": update(RUN.detector("{method}", "snapshots{chosen}.pt")),
    "snapshots_digest": update(RUN.detector("{method}", "snapshots{chosen}.pt.sha256")),
    "config": update(RUN.detector("{method}", "detector{chosen}.json")),
}


rule fit:
    "Template: fit a detector."
    input:
        unpack(edges(INPUTS.models_and_images)),
    output:
        **DETECTOR,
    log:
        f"{LOG.folder}/detectors/{{method}}{{chosen}}.log",
    benchmark:
        f"{COST.folder}/detectors/{{method}}{{chosen}}.jsonl"
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
        **CODE.of("models/fit.py"),
        **COMPUTING,
        module=PARAMS.module,
        settings=PLAN.settings,
        models=PARAMS.edges,
        snapshots=PARAMS.keeps_snapshots,
        classes=PARAMS.classes,
        validation=None,
        chosen=CODE.chosen("models/fit.py"),
    script:
        "../workflow_scripts/models/fit.py"
