"""VMDLS: encoder with a metric-learned latent space, auto-encoder, Gaussians, pictures."""


use rule train as train_vmdls_encoder with:
    "Train the latent space, from scratch or from a classifier's backbone."
    input:
        unpack(edges(PLAN.models_and_images, PLAN.validation_images)),
        weights=PLAN.weights,
    wildcard_constraints:
        model=PLAN.models_of_type("vmdls_encoder"),
    params:
        validation=PLAN.validation_set,


use rule train as train_vmdls_autoencoder with:
    "Train the net whose reconstruction error weighs the scores."
    wildcard_constraints:
        model=PLAN.models_of_type("vmdls_autoencoder"),


use rule fit as fit_gaussians with:
    "Fit a Gaussian to the features of every class."
    input:
        unpack(edges(PLAN.models_and_states, PLAN.id_images)),
    wildcard_constraints:
        method=PLAN.methods_of("vmdls"),
    params:
        validation=PLAN.validation_set,


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
    "inputs": lambda w: PLAN.id_images(w)
    | PLAN.test_sets(w)
    | PLAN.detector_files(w.benchmark, PLAN.seeds[0], WITH_LATENTS[w.benchmark]),
    "heavy": True,
}
PICTURES["reconstructions"] = {
    "names": lambda benchmark: PLAN.list_models(benchmark, "vmdls_autoencoder"),
    "inputs": lambda w: PLAN.test_sets(w) | PLAN.model_files(w, "vmdls_autoencoder"),
    "heavy": True,
}
