"""Likelihood ratios: PixelCNN++ models, choice of the background model, pictures."""


use rule train as train_pixelcnn with:
    "Train a foreground or a background model."
    wildcard_constraints:
        model=PLAN.models_of_type("pixelcnn"),


use rule fit as fit_likelihood_ratio with:
    "Choose the background model on the validation sets."
    input:
        unpack(edges(INPUTS.models_and_states, INPUTS.id_images, INPUTS.validation_images)),
    output:
        **DETECTOR,
        selection=update(RUN.detector("{method}", "selection{chosen}.csv")),
    wildcard_constraints:
        method=PLAN.methods_of("likelihood_ratio"),
    params:
        validation=PARAMS.validation_set,


WITH_BACKGROUND = {
    benchmark: PLAN.list_methods(
        benchmark,
        lambda one: one.pipeline == "likelihood_ratio" and one.backgrounds is not None,
    )
    for benchmark in PLAN.benchmarks
}
PICTURES["samples"] = {
    "names": lambda benchmark: PLAN.list_models(benchmark, "pixelcnn"),
    "tested": False,
    "inputs": lambda w: INPUTS.id_images(w)
    | INPUTS.model_files(w, "pixelcnn", "model.pt", "states.pt"),
    "heavy": True,
}
PICTURES["pixel_maps"] = {
    "names": lambda benchmark: [
        f"{method}/{ood}"
        for method in WITH_BACKGROUND[benchmark]
        for ood in FIGURES.ood_names(benchmark)
    ],
    "inputs": lambda w: INPUTS.test_sets(w)
    | INPUTS.detector_files(w.benchmark, PLAN.config.seeds[0], WITH_BACKGROUND[w.benchmark]),
    "heavy": True,
}
