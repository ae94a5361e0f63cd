"""VMDLS: encoder with a metric-learned latent space, auto-encoder, Gaussians, pictures."""


rule train_vmdls_encoder:
    input:
        unpack(models_and_images),
        weights=lambda w: model_settings(w).get("weights", []),
    output:
        model=f"{RUN}/models/{{model}}/model.pt",
        config=f"{RUN}/models/{{model}}/config.json",
        history=f"{RUN}/models/{{model}}/history.csv",
    log:
        "results/logs/train_vmdls_encoder/{benchmark}/seed{seed}/{model}.log",
    benchmark:
        "results/costs/{benchmark}/seed{seed}/models/{model}.jsonl"
    wildcard_constraints:
        model=one_of(names_of("type", "vmdls_encoder", "models")),
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
        code=code("train_vmdls_encoder.py"),
    script:
        "../workflow_scripts/train_vmdls_encoder.py"


rule train_vmdls_autoencoder:
    input:
        unpack(training_images),
    output:
        model=f"{RUN}/models/{{model}}/model.pt",
        config=f"{RUN}/models/{{model}}/config.json",
        history=f"{RUN}/models/{{model}}/history.csv",
    log:
        "results/logs/train_vmdls_autoencoder/{benchmark}/seed{seed}/{model}.log",
    benchmark:
        "results/costs/{benchmark}/seed{seed}/models/{model}.jsonl"
    wildcard_constraints:
        model=one_of(names_of("type", "vmdls_autoencoder", "models")),
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
        code=code("train_vmdls_autoencoder.py"),
    script:
        "../workflow_scripts/train_vmdls_autoencoder.py"


rule fit_gaussians:
    input:
        unpack(models_and_images),
    output:
        detector=f"{RUN}/detectors/{{method}}/detector.pt",
        config=f"{RUN}/detectors/{{method}}/detector.json",
    log:
        "results/logs/fit_gaussians/{benchmark}/seed{seed}/{method}.log",
    benchmark:
        "results/costs/{benchmark}/seed{seed}/detectors/{method}.jsonl"
    wildcard_constraints:
        method=one_of(names_of("pipeline", "vmdls", "methods")),
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
        code=code("fit_gaussians.py"),
    script:
        "../workflow_scripts/fit_gaussians.py"


rule plot_latents:
    input:
        unpack(training_images),
        detector=ancient(f"{RUN}/detectors/{{method}}/detector.pt"),
        config=f"{RUN}/detectors/{{method}}/detector.json",
        sets=lambda w: [
            ancient(f"{prepared(w.benchmark, dataset, 'test', w.seed)}.npz")
            for dataset in SETS[w.benchmark]
        ],
        manifests=lambda w: [
            f"{prepared(w.benchmark, dataset, 'test', w.seed)}.json"
            for dataset in SETS[w.benchmark]
        ],
    output:
        report(
            "results/plots/{benchmark}/latents/seed{seed}/{method}.png",
            caption="captions/vmdls_latents.rst",
            category="{benchmark}",
            subcategory="latents",
        ),
    log:
        "results/logs/plot_latents/{benchmark}/seed{seed}/{method}.log",
    wildcard_constraints:
        method=one_of(names_of("pipeline", "vmdls", "methods")),
    conda:
        "../envs/environment.yaml"
    threads: config["threads"]
    resources:
        **TRAINING,
        gpu=GPU,
    params:
        classes=id_classes,
        datasets=lambda w: SETS[w.benchmark],
        parts=lambda w: image_parts(w.benchmark, of(w).ood),
        precision=config["precision"],
        code=code("plot_latents.py"),
    script:
        "../workflow_scripts/plot_latents.py"


rule plot_reconstructions:
    input:
        model=ancient(f"{RUN}/models/{{model}}/model.pt"),
        config=f"{RUN}/models/{{model}}/config.json",
        sets=lambda w: [
            ancient(f"{prepared(w.benchmark, dataset, 'test', w.seed)}.npz")
            for dataset in SETS[w.benchmark]
        ],
        manifests=lambda w: [
            f"{prepared(w.benchmark, dataset, 'test', w.seed)}.json"
            for dataset in SETS[w.benchmark]
        ],
    output:
        report(
            f"{RUN}/models/{{model}}/reconstructions.png",
            caption="captions/reconstructions.rst",
            category="{benchmark}",
            subcategory="samples",
        ),
    log:
        "results/logs/plot_reconstructions/{benchmark}/seed{seed}/{model}.log",
    wildcard_constraints:
        model=one_of(names_of("type", "vmdls_autoencoder", "models")),
    conda:
        "../envs/environment.yaml"
    params:
        datasets=lambda w: SETS[w.benchmark],
        parts=lambda w: image_parts(w.benchmark, of(w).ood),
        precision=config["precision"],
        code=code("plot_reconstructions.py"),
    script:
        "../workflow_scripts/plot_reconstructions.py"


# an encoder's picture is that of the first method that uses it
PLOTS += [
    f"results/plots/{benchmark}/latents/seed{SEEDS[0]}/{method}.png"
    for benchmark, one in BENCHMARKS.items()
    for method in {
        settings["encoder"]: name
        for name, settings in reversed(one.methods.items())
        if settings["pipeline"] == "vmdls"
    }.values()
]
PLOTS += [
    f"results/{benchmark}/seed{SEEDS[0]}/models/{model}/reconstructions.png"
    for benchmark, one in BENCHMARKS.items()
    for model, settings in one.models.items()
    if settings["type"] == "vmdls_autoencoder"
]
