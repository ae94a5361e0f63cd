"""Leave-out ensemble: a member per left-out group, calibration, detector."""


rule train_leave_out_member:
    input:
        unpack(training_images),
        unpack(validation_images),
    output:
        best=f"{RUN}/models/{{model}}/best.pt",
        model=f"{RUN}/models/{{model}}/model.pt",
        config=f"{RUN}/models/{{model}}/config.json",
        history=f"{RUN}/models/{{model}}/history.csv",
    log:
        "results/logs/train_leave_out_member/{benchmark}/seed{seed}/{model}.log",
    benchmark:
        "results/costs/{benchmark}/seed{seed}/models/{model}.jsonl"
    wildcard_constraints:
        model=one_of(names_of("type", "leave_out_member", "models")),
    conda:
        "../envs/environment.yaml"
    threads: config["threads"]
    resources:
        **TRAINING,
        gpu=GPU,
    params:
        settings=model_settings,
        classes=id_classes,
        validation_classes=validation_classes,
        precision=config["precision"],
        code=code("train_leave_out_member.py"),
    script:
        "../workflow_scripts/train_leave_out_member.py"


rule calibrate_leave_out:
    input:
        unpack(chosen_models),
        unpack(training_images),
        unpack(validation_images),
    output:
        table=f"{RUN}/detectors/{{method}}/calibration{{chosen}}.csv",
        histograms=report(
            f"{RUN}/detectors/{{method}}/calibration{{chosen}}.png",
            caption="captions/calibration.rst",
            category="{benchmark}",
            subcategory="calibration",
        ),
    log:
        "results/logs/calibrate_leave_out/{benchmark}/seed{seed}/{method}{chosen}.log",
    benchmark:
        "results/costs/{benchmark}/seed{seed}/calibration/{method}{chosen}.jsonl"
    wildcard_constraints:
        method=one_of(names_of("pipeline", "leave_out", "methods")),
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
        code=code("calibrate_leave_out.py"),
    script:
        "../workflow_scripts/calibrate_leave_out.py"


rule fit_leave_out:
    input:
        unpack(chosen_models),
        calibration=f"{RUN}/detectors/{{method}}/calibration{{chosen}}.csv",
    output:
        detector=f"{RUN}/detectors/{{method}}/detector{{chosen}}.pt",
        config=f"{RUN}/detectors/{{method}}/detector{{chosen}}.json",
        snapshots=f"{RUN}/detectors/{{method}}/snapshots{{chosen}}.pt",
    log:
        "results/logs/fit_leave_out/{benchmark}/seed{seed}/{method}{chosen}.log",
    wildcard_constraints:
        method=one_of(names_of("pipeline", "leave_out", "methods")),
    conda:
        "../envs/environment.yaml"
    params:
        settings=method_settings,
        validation=lambda w: of(w).validation.name,
        precision=config["precision"],
        code=code("fit_leave_out.py"),
    script:
        "../workflow_scripts/fit_leave_out.py"


# on a test set only for the oracle protocol, which scores it with every pair of the grid
rule plot_temperatures:
    input:
        lambda w: plot_inputs(w.benchmark, SEEDS[:1], [w.method], [w.ood], ".oracle"),
    output:
        report(
            "results/plots/{benchmark}/temperatures/{method}/{ood}.png",
            caption="captions/temperatures.rst",
            category="{benchmark}",
            subcategory="temperature and epsilon",
        ),
    log:
        "results/logs/plot_temperatures/{benchmark}/{method}/{ood}.log",
    wildcard_constraints:
        method=one_of(names_of("pipeline", "leave_out", "methods")),
    conda:
        "../envs/environment.yaml"
    params:
        seed=SEEDS[0],
        columns=lambda w: len(method_settings(w)["epsilons"]),
        parts=lambda w: image_parts(w.benchmark, [w.ood]),
        code=code("plot_temperatures.py"),
    script:
        "../workflow_scripts/plot_temperatures.py"


PLOTS += [
    f"results/{benchmark}/seed{seed}/detectors/{method}/calibration{SUFFIXES[protocol]}.png"
    for benchmark, one in BENCHMARKS.items()
    for method, settings in one.methods.items()
    if settings["pipeline"] == "leave_out"
    for seed in SEEDS
    for protocol in protocols_of(method)
    if protocol != "oracle"
]
PLOTS += [
    f"results/plots/{benchmark}/temperatures/{method}/{ood}.png"
    for benchmark, one in BENCHMARKS.items()
    for method, settings in one.methods.items()
    if settings["pipeline"] == "leave_out" and "oracle" in PROTOCOLS
    for ood in one.ood
]
