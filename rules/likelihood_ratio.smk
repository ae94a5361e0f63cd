"""Likelihood ratios: PixelCNN++ models, choice of the background model, pictures."""


use rule train as train_pixelcnn with:
    "Train a foreground or a background model."
    wildcard_constraints:
        model=models_of_type("pixelcnn"),


def on_validation_set(wildcards):
    """Edges of the validation OOD set, where the method does not take grey ID images."""
    grey = settings_of(wildcards)[1].get("validate_on") == "grey_id"
    return {} if grey else validation_images(wildcards)


use rule fit as fit_likelihood_ratio with:
    "Choose the background model on the validation sets."
    input:
        unpack(models_and_states),
        unpack(id_images),
        unpack(on_validation_set),
    output:
        **DETECTOR,
        selection=update(f"{RUN}/detectors/{{method}}/selection{{chosen}}.csv"),
    wildcard_constraints:
        method=methods_of("likelihood_ratio"),
    params:
        validation=validation_set,


def with_background(benchmark):
    return [m for m, settings in BENCHMARKS[benchmark].methods.items() if "backgrounds" in settings]


PICTURES["samples"] = {
    "names": lambda benchmark: names_of_type(benchmark, "pixelcnn"),
    "inputs": lambda w: id_images(w)
    | {
        "files": [
            path
            for name in names_of_type(w.benchmark, "pixelcnn")
            for path in files_of_model(first_run(w), name, "model.pt", "states.pt")
        ]
    },
    "heavy": True,
}
PICTURES["pixel_maps"] = {
    "names": lambda benchmark: [
        f"{method}/{ood}"
        for method in with_background(benchmark)
        for ood in BENCHMARKS[benchmark].ood
    ],
    "inputs": lambda w: test_sets(w)
    | {"files": [f for m in with_background(w.benchmark) for f in detector(first_run(w), m)]},
    "heavy": True,
}
