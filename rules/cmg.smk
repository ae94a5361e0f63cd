"""CMG: stage 1 (CVAE), pseudo-OOD images to look at, stage 2 (fine-tuning)."""


use rule train as train_cmg_cvae with:
    "Train CMG's conditional VAE (stage 1)."
    wildcard_constraints:
        model=PLAN.models_of_type("cmg_cvae"),


use rule generate as generate_cmg with:
    "Draw class-mixed images as fine-tuning sees them."
    input:
        unpack(edges(INPUTS.models)),
    wildcard_constraints:
        method=PLAN.methods_of("cmg"),


use rule fit as fine_tune_cmg with:
    "Fine-tune the classifier's head on ID and class-mixed images (CMG, stage 2)."
    output:
        **DETECTOR,
        history=update(RUN.detector("{method}", "history{chosen}.csv")),
    wildcard_constraints:
        method=PLAN.methods_of("cmg"),
    # a training, and a submission of its own
    group:
        "fine_tune"
