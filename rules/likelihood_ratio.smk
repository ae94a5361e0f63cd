"""Likelihood ratios: PixelCNN++ models, choice of the background model, pictures."""


use rule train as train_pixelcnn with:
    "Train a foreground or a background model."
    wildcard_constraints:
        model=PLAN.models_of_type("pixelcnn"),


use rule fit as fit_likelihood_ratio with:
    "Choose the background model on the validation sets."
    input:
        unpack(edges(PLAN.models_and_states, PLAN.id_images, PLAN.validation_images)),
    output:
        **DETECTOR,
        selection=update(f"{PLAN.run}/detectors/{{method}}/selection{{chosen}}.csv"),
    wildcard_constraints:
        method=PLAN.methods_of("likelihood_ratio"),
    params:
        validation=PLAN.validation_set,


WITH_BACKGROUND = {
    benchmark: PLAN.list_methods(benchmark, lambda settings: "backgrounds" in settings)
    for benchmark in PLAN.benchmarks
}
PICTURES["samples"] = {
    "names": lambda benchmark: PLAN.list_models(benchmark, "pixelcnn"),
    "tested": False,
    "inputs": lambda w: PLAN.id_images(w)
    | PLAN.model_files(w, "pixelcnn", "model.pt", "states.pt"),
    "heavy": True,
}
PICTURES["pixel_maps"] = {
    "names": lambda benchmark: [
        f"{method}/{ood}"
        for method in WITH_BACKGROUND[benchmark]
        for ood in PLAN.ood_names(benchmark)
    ],
    "inputs": lambda w: PLAN.test_sets(w)
    | PLAN.detector_files(w.benchmark, PLAN.seeds[0], WITH_BACKGROUND[w.benchmark]),
    "heavy": True,
}
