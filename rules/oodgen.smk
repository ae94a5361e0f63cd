"""OODGen: conditional VAE, type I and type II images, classifier with a reject class."""


use rule train as train_oodgen_cvae with:
    "Train OODGen's conditional VAE."
    wildcard_constraints:
        model=models_of_type("oodgen_cvae"),


use rule train as train_oodgen_classifier with:
    "Train the classifier with a reject class."
    wildcard_constraints:
        model=models_of_type("oodgen_classifier"),


# the test side is an OOD set of the benchmark: `generated_by` in its file
use rule generate as generate_oodgen with:
    "Draw type I and type II images."
    input:
        unpack(models_and_images),
        unpack(id_test_images),
    output:
        type1=update(f"{RUN}/pseudo_ood/{{model}}/type1.npz"),
        type2=update(f"{RUN}/pseudo_ood/{{model}}/type2.npz"),
        test=update(f"{RUN}/pseudo_ood/{{model}}/test.npz"),
        manifest=update(f"{RUN}/pseudo_ood/{{model}}/test.json"),
        grid=report(
            update(f"{RUN}/pseudo_ood/{{model}}/grid.png"),
            caption="captions/type1_type2.rst",
            category="{benchmark}",
            subcategory="pseudo-OOD",
        ),
        latents=report(
            update(f"{RUN}/pseudo_ood/{{model}}/latents.png"),
            caption="captions/latents.rst",
            category="{benchmark}",
            subcategory="pseudo-OOD",
        ),
    log:
        f"{LOG}/pseudo_ood/{{model}}.log",
    benchmark:
        f"{COST}/pseudo_ood/{{model}}.jsonl"
    wildcard_constraints:
        model=models_of_type("oodgen_classifier"),
    params:
        # not those of training
        settings=lambda w: {"generation": settings_of(w)[1]["generation"]},
        models=lambda w: {"vae": settings_of(w)[1]["vae"]},
