"""OODGen: conditional VAE, type I and type II images, classifier with a reject class."""


use rule train as train_oodgen_cvae with:
    "Train OODGen's conditional VAE."
    wildcard_constraints:
        model=PLAN.models_of_type("oodgen_cvae"),


use rule train as train_oodgen_classifier with:
    "Train the classifier with a reject class."
    wildcard_constraints:
        model=PLAN.models_of_type("oodgen_classifier"),


# the test side is an OOD set of the benchmark: `generated_by` in its file
use rule generate as generate_oodgen with:
    "Draw type I and type II images."
    input:
        unpack(edges(INPUTS.models_and_images, INPUTS.id_test_images)),
    output:
        type1=update(RUN.pseudo_ood("{model}", "type1.npz")),
        type2=update(RUN.pseudo_ood("{model}", "type2.npz")),
        test=update(RUN.pseudo_ood("{model}", "test.npz")),
        manifest=update(RUN.pseudo_ood("{model}", "test.json")),
        grid=report(
            update(RUN.pseudo_ood("{model}", "grid.png")),
            caption="captions/type1_type2.rst",
            category="{benchmark}",
            subcategory="pseudo-OOD",
            labels={"picture": "{model}"},
        ),
        latents=report(
            update(RUN.pseudo_ood("{model}", "latents.png")),
            caption="captions/latents.rst",
            category="{benchmark}",
            subcategory="pseudo-OOD",
            labels={"picture": "{model}, latents"},
        ),
    log:
        f"{LOG.folder}/pseudo_ood/{{model}}.log",
    benchmark:
        f"{COST.folder}/pseudo_ood/{{model}}.jsonl"
    wildcard_constraints:
        model=PLAN.models_of_type("oodgen_classifier"),
    params:
        # not those of training
        settings=lambda w: PLAN.settings(w)["generation"],
        models=lambda w: {"vae": PLAN.settings(w)["vae"]},


PICTURES["interpolations"] = {
    "tested": False,
    "names": lambda benchmark: PLAN.list_models(benchmark, "oodgen_cvae"),
    "inputs": lambda w: INPUTS.id_images(w) | INPUTS.model_files(w, "oodgen_cvae"),
    "heavy": True,
}
