"""VMDLS: encoder with a metric-learned latent space, auto-encoder, Gaussians, pictures."""


use rule train as train_vmdls_encoder with:
    "Train the latent space, from scratch or from a classifier's backbone."
    input:
        unpack(edges(INPUTS.models_and_images, INPUTS.validation_images)),
        weights=INPUTS.weights,
    wildcard_constraints:
        model=PLAN.models_of_type("vmdls_encoder"),
    params:
        validation=PARAMS.validation_set,


use rule train as train_vmdls_autoencoder with:
    "Train the net whose reconstruction error weighs the scores."
    wildcard_constraints:
        model=PLAN.models_of_type("vmdls_autoencoder"),


use rule fit as fit_gaussians with:
    "Fit a Gaussian to the features of every class."
    input:
        unpack(edges(INPUTS.models_and_states, INPUTS.id_images)),
    wildcard_constraints:
        method=PLAN.methods_of("vmdls"),
    params:
        validation=PARAMS.validation_set,


# the first method that uses each encoder
WITH_LATENTS = {
    name: list(
        {
            settings["encoder"]: method
            for method, settings in reversed(benchmark.methods.items())
            if settings["pipeline"] == "vmdls"
        }.values()
    )
    for name, benchmark in PLAN.benchmarks.items()
}
PICTURES["vmdls_latents"] = {
    "names": lambda benchmark: WITH_LATENTS[benchmark],
    "inputs": lambda w: INPUTS.id_images(w)
    | INPUTS.test_sets(w)
    | INPUTS.detector_files(w.benchmark, PLAN.config.seeds[0], WITH_LATENTS[w.benchmark]),
    "heavy": True,
}
PICTURES["reconstructions"] = {
    "names": lambda benchmark: PLAN.list_models(benchmark, "vmdls_autoencoder"),
    "inputs": lambda w: INPUTS.test_sets(w) | INPUTS.model_files(w, "vmdls_autoencoder"),
    "heavy": True,
}
