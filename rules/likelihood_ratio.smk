"""Likelihood ratios: PixelCNN++ models, choice of the background model, detector, pixel maps."""


rule train_pixelcnn:
    input:
        unpack(training_images),
    output:
        snapshots=f"{RUN}/models/{{model}}/snapshots.pt",
        model=f"{RUN}/models/{{model}}/model.pt",
        config=f"{RUN}/models/{{model}}/config.json",
        history=f"{RUN}/models/{{model}}/history.csv",
    log:
        "results/logs/train_pixelcnn/{benchmark}/seed{seed}/{model}.log",
    benchmark:
        "results/costs/{benchmark}/seed{seed}/models/{model}.jsonl"
    wildcard_constraints:
        model=one_of(names_of("type", "pixelcnn", "models")),
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
        code=code("train_pixelcnn.py"),
    script:
        "../workflow_scripts/train_pixelcnn.py"


rule sample_pixelcnn:
    input:
        unpack(training_images),
        model=ancient(f"{RUN}/models/{{model}}/model.pt"),
        snapshots=ancient(f"{RUN}/models/{{model}}/snapshots.pt"),
        config=f"{RUN}/models/{{model}}/config.json",
    output:
        report(
            f"{RUN}/models/{{model}}/samples.png",
            caption="captions/samples.rst",
            category="{benchmark}",
            subcategory="samples",
        ),
    log:
        "results/logs/sample_pixelcnn/{benchmark}/seed{seed}/{model}.log",
    wildcard_constraints:
        model=one_of(names_of("type", "pixelcnn", "models")),
    conda:
        "../envs/environment.yaml"
    threads: config["threads"]
    resources:
        **TRAINING,
        gpu=GPU,
    params:
        classes=id_classes,
        precision=config["precision"],
        code=code("sample_pixelcnn.py"),
    script:
        "../workflow_scripts/sample_pixelcnn.py"


rule select_background:
    input:
        unpack(models_and_images),
        unpack(lambda w: {} if on_grey_images(w) else validation_images(w)),
    output:
        f"{RUN}/detectors/{{method}}/selection.csv",
    log:
        "results/logs/select_background/{benchmark}/seed{seed}/{method}.log",
    wildcard_constraints:
        method=one_of(names_of("pipeline", "likelihood_ratio", "methods")),
    conda:
        "../envs/environment.yaml"
    threads: config["threads"]
    resources:
        **TRAINING,
        gpu=GPU,
    params:
        settings=method_settings,
        classes=id_classes,
        validation_classes=validation_classes,
        precision=config["precision"],
        code=code("select_background.py"),
    script:
        "../workflow_scripts/select_background.py"


rule fit_likelihood_ratio:
    input:
        unpack(models_named_by),
        snapshots=lambda w: [
            f"{RUN}/models/{name}/snapshots.pt".format(**w)
            for name in LOADER.models_of("methods", method_settings(w))
        ],
        selection=lambda w: (
            f"{RUN}/detectors/{w.method}/selection.csv".format(**w)
            if "backgrounds" in method_settings(w)
            else []
        ),
    output:
        detector=f"{RUN}/detectors/{{method}}/detector.pt",
        config=f"{RUN}/detectors/{{method}}/detector.json",
        snapshots=f"{RUN}/detectors/{{method}}/snapshots.pt",
    log:
        "results/logs/fit_likelihood_ratio/{benchmark}/seed{seed}/{method}.log",
    wildcard_constraints:
        method=one_of(names_of("pipeline", "likelihood_ratio", "methods")),
    conda:
        "../envs/environment.yaml"
    params:
        settings=method_settings,
        validation=lambda w: (
            "grey ID images" if on_grey_images(w) else of(w).validation and of(w).validation.name
        ),
        precision=config["precision"],
        code=code("fit_likelihood_ratio.py"),
    script:
        "../workflow_scripts/fit_likelihood_ratio.py"


rule plot_pixel_maps:
    input:
        detector=ancient(f"{RUN}/detectors/{{method}}/detector.pt"),
        config=f"{RUN}/detectors/{{method}}/detector.json",
        known=lambda w: test_images(w)["images"],
        known_manifest=lambda w: test_images(w)["manifest"],
        unknown=lambda w: ood_images(w)["images"],
        unknown_manifest=lambda w: ood_images(w)["manifest"],
    output:
        report(
            "results/plots/{benchmark}/pixel_maps/seed{seed}/{method}/{ood}.png",
            caption="captions/pixel_maps.rst",
            category="{benchmark}",
            subcategory="pixel maps",
        ),
    log:
        "results/logs/plot_pixel_maps/{benchmark}/seed{seed}/{method}/{ood}.log",
    wildcard_constraints:
        method=one_of(names_of("pipeline", "likelihood_ratio", "methods")),
    conda:
        "../envs/environment.yaml"
    resources:
        **TRAINING,
        gpu=GPU,
    params:
        parts=lambda w: image_parts(w.benchmark, [w.ood]),
        precision=config["precision"],
        code=code("plot_pixel_maps.py"),
    script:
        "../workflow_scripts/plot_pixel_maps.py"


PLOTS += [
    f"results/{benchmark}/seed{SEEDS[0]}/models/{model}/samples.png"
    for benchmark, one in BENCHMARKS.items()
    for model, settings in one.models.items()
    if settings["type"] == "pixelcnn"
]
PLOTS += [
    f"results/plots/{benchmark}/pixel_maps/seed{SEEDS[0]}/{method}/{ood}.png"
    for benchmark, one in BENCHMARKS.items()
    for method, settings in one.methods.items()
    if "backgrounds" in settings
    for ood in one.ood
]
