"""Leave-out ensemble: a member per left-out group, calibrated on the validation sets."""


use rule train as train_leave_out_member with:
    "Train a member, which leaves one group of classes out, or none."
    input:
        unpack(edges(INPUTS.id_images, INPUTS.validation_images)),
        weights=INPUTS.weights,
    wildcard_constraints:
        model=PLAN.models_of_type("leave_out_member", "plain_member"),
    params:
        validation=PARAMS.validation_set,


use rule fit as calibrate_leave_out with:
    "Choose temperature and input step on the validation sets."
    input:
        unpack(edges(INPUTS.models_and_states, INPUTS.id_images, INPUTS.validation_images)),
    output:
        **DETECTOR,
        calibration=update(RUN.detector("{method}", "calibration{chosen}.csv")),
    wildcard_constraints:
        method=PLAN.methods_of("leave_out"),
    params:
        validation=PARAMS.validation_set,


ENSEMBLES = {
    benchmark: PLAN.list_methods(benchmark, lambda one: one.pipeline == "leave_out")
    for benchmark in PLAN.benchmarks
}
# their files, below the folder of a benchmark
CALIBRATIONS = {
    benchmark: [
        f"seed{seed}/detectors/{method}/calibration{SUFFIXES[protocol]}"
        for method in methods
        for seed in PLAN.config.seeds
        for protocol in JOBS.protocols_of(benchmark, method)
        if protocol != "oracle"
    ]
    for benchmark, methods in ENSEMBLES.items()
}
PICTURES["calibration"] = {
    "tested": False,
    "names": lambda benchmark: CALIBRATIONS[benchmark],
    "inputs": lambda w: {
        "files": [
            f"{layout.RESULTS}/{PLAN.config.scale}/{w.benchmark}/{name}.csv"
            for name in CALIBRATIONS[w.benchmark]
        ]
    },
}
# on a test set only for the oracle protocol, which scores it with every pair of the grid
PICTURES["temperatures"] = {
    "names": lambda benchmark: [
        f"{method}/{ood}"
        for method in ENSEMBLES[benchmark] * ("oracle" in PLAN.config.protocols)
        for ood in FIGURES.ood_names(benchmark)
    ],
    "inputs": lambda w: INPUTS.score_files(
        w.benchmark, PLAN.config.seeds[:1], ENSEMBLES[w.benchmark], ".oracle"
    ),
}
