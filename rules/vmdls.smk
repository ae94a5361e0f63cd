"""VMDLS: encoder with a metric-learned latent space, auto-encoder, Gaussians, pictures."""


use rule train as train_vmdls_encoder with:
    "Train the latent space, from scratch or from a classifier's backbone."
    input:
        unpack(models_and_images),
        weights=lambda w: settings_of(w)[1].get("weights", []),
    wildcard_constraints:
        model=models_of_type("vmdls_encoder"),


use rule train as train_vmdls_autoencoder with:
    "Train the net whose reconstruction error weighs the scores."
    wildcard_constraints:
        model=models_of_type("vmdls_autoencoder"),


use rule fit as fit_gaussians with:
    "Fit a Gaussian to the features of every class."
    wildcard_constraints:
        method=methods_of("vmdls"),


def with_latents(benchmark):
    """The first method that uses each encoder."""
    methods = BENCHMARKS[benchmark].methods.items()
    first = {
        settings["encoder"]: name
        for name, settings in reversed(methods)
        if settings["pipeline"] == "vmdls"
    }
    return list(first.values())


PICTURES["vmdls_latents"] = {
    "names": with_latents,
    "inputs": lambda w: id_images(w)
    | test_sets(w)
    | {"files": [f for m in with_latents(w.benchmark) for f in detector(first_run(w), m)]},
    "heavy": True,
}
PICTURES["reconstructions"] = {
    "names": lambda benchmark: names_of_type(benchmark, "vmdls_autoencoder"),
    "inputs": lambda w: test_sets(w)
    | {
        "files": [
            path
            for name in names_of_type(w.benchmark, "vmdls_autoencoder")
            for path in files_of_model(first_run(w), name)
        ]
    },
    "heavy": True,
}
