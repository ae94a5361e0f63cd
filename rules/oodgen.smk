"""OODGen: conditional VAE, type I and type II images, classifier with a reject class, two scores."""


rule train_oodgen_cvae:
    input:
        unpack(training_images),
    output:
        model=f"{RUN}/models/{{model}}/model.pt",
        config=f"{RUN}/models/{{model}}/config.json",
        history=f"{RUN}/models/{{model}}/history.csv",
    log:
        "results/logs/train_oodgen_cvae/{benchmark}/seed{seed}/{model}.log",
    benchmark:
        "results/costs/{benchmark}/seed{seed}/models/{model}.jsonl"
    wildcard_constraints:
        model=one_of(names_of("type", "oodgen_cvae", "models")),
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
        code=code("train_oodgen_cvae.py"),
    script:
        "../workflow_scripts/train_oodgen_cvae.py"


# the test side is an OOD set of the benchmark: `generated_by` in its file
rule generate_oodgen:
    input:
        unpack(models_and_images),
        test=lambda w: test_images(w)["images"],
        test_manifest=lambda w: test_images(w)["manifest"],
    output:
        type1=f"{RUN}/pseudo_ood/{{model}}/type1.npz",
        type2=f"{RUN}/pseudo_ood/{{model}}/type2.npz",
        test=f"{RUN}/pseudo_ood/{{model}}/test.npz",
        manifest=f"{RUN}/pseudo_ood/{{model}}/test.json",
        grid=report(
            f"{RUN}/pseudo_ood/{{model}}/grid.png",
            caption="captions/type1_type2.rst",
            category="{benchmark}",
            subcategory="pseudo-OOD",
        ),
        latents=report(
            f"{RUN}/pseudo_ood/{{model}}/latents.png",
            caption="captions/latents.rst",
            category="{benchmark}",
            subcategory="pseudo-OOD",
        ),
    log:
        "results/logs/generate_oodgen/{benchmark}/seed{seed}/{model}.log",
    benchmark:
        "results/costs/{benchmark}/seed{seed}/pseudo_ood/{model}.jsonl"
    wildcard_constraints:
        model=one_of(names_of("type", "oodgen_classifier", "models")),
    conda:
        "../envs/environment.yaml"
    threads: config["threads"]
    resources:
        **TRAINING,
        gpu=GPU,
    params:
        settings=lambda w: model_settings(w)["generation"],
        classes=id_classes,
        precision=config["precision"],
        code=code("generate_oodgen.py"),
    script:
        "../workflow_scripts/generate_oodgen.py"


# the states that the oracle protocol chooses from are kept only when it is asked for
rule train_oodgen_classifier:
    input:
        unpack(models_and_images),
    output:
        **({"snapshots": f"{RUN}/models/{{model}}/snapshots.pt"} if "oracle" in PROTOCOLS else {}),
        model=f"{RUN}/models/{{model}}/model.pt",
        config=f"{RUN}/models/{{model}}/config.json",
        history=f"{RUN}/models/{{model}}/history.csv",
    log:
        "results/logs/train_oodgen_classifier/{benchmark}/seed{seed}/{model}.log",
    benchmark:
        "results/costs/{benchmark}/seed{seed}/models/{model}.jsonl"
    wildcard_constraints:
        model=one_of(names_of("type", "oodgen_classifier", "models")),
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
        code=code("train_oodgen_classifier.py"),
    script:
        "../workflow_scripts/train_oodgen_classifier.py"


rule fit_oodgen:
    input:
        unpack(models_named_by),
        **(
            {"snapshots": lambda w: models_named_by(w, "snapshots.pt")["classifier"]}
            if "oracle" in PROTOCOLS
            else {}
        ),
    output:
        **(
            {"snapshots": f"{RUN}/detectors/{{method}}/snapshots.pt"}
            if "oracle" in PROTOCOLS
            else {}
        ),
        detector=f"{RUN}/detectors/{{method}}/detector.pt",
        config=f"{RUN}/detectors/{{method}}/detector.json",
    log:
        "results/logs/fit_oodgen/{benchmark}/seed{seed}/{method}.log",
    wildcard_constraints:
        method=one_of(names_of("pipeline", "oodgen", "methods")),
    conda:
        "../envs/environment.yaml"
    params:
        settings=method_settings,
        precision=config["precision"],
        code=code("fit_oodgen.py"),
    script:
        "../workflow_scripts/fit_oodgen.py"
