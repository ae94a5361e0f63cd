"""Leave-out ensemble: a member per left-out group, calibrated on the validation sets."""


use rule train as train_leave_out_member with:
    "Train a member, which leaves one group of classes out, or none."
    input:
        unpack(edges(PLAN.id_images, PLAN.validation_images)),
        weights=PLAN.weights,
    wildcard_constraints:
        model=PLAN.models_of_type("leave_out_member", "plain_member"),
    params:
        validation=PLAN.validation_set,


use rule fit as calibrate_leave_out with:
    "Choose temperature and input step on the validation sets."
    input:
        unpack(edges(PLAN.models_and_states, PLAN.id_images, PLAN.validation_images)),
    output:
        **DETECTOR,
        calibration=update(f"{PLAN.run}/detectors/{{method}}/calibration{{chosen}}.csv"),
    wildcard_constraints:
        method=PLAN.methods_of("leave_out"),
    params:
        validation=PLAN.validation_set,


ENSEMBLES = {
    benchmark: PLAN.list_methods(benchmark, lambda settings: settings["pipeline"] == "leave_out")
    for benchmark in PLAN.benchmarks
}
# their files, below the folder of a benchmark
CALIBRATIONS = {
    benchmark: [
        f"seed{seed}/detectors/{method}/calibration{SUFFIXES[protocol]}"
        for method in methods
        for seed in PLAN.seeds
        for protocol in PLAN.protocols_of(benchmark, method)
        if protocol != "oracle"
    ]
    for benchmark, methods in ENSEMBLES.items()
}
PICTURES["calibration"] = {
    "tested": False,
    "names": lambda benchmark: CALIBRATIONS[benchmark],
    "inputs": lambda w: {
        "files": [
            f"results/{PLAN.scale}/{w.benchmark}/{name}.csv" for name in CALIBRATIONS[w.benchmark]
        ]
    },
}
# on a test set only for the oracle protocol, which scores it with every pair of the grid
PICTURES["temperatures"] = {
    "names": lambda benchmark: [
        f"{method}/{ood}"
        for method in ENSEMBLES[benchmark] * ("oracle" in PLAN.protocols)
        for ood in PLAN.ood_names(benchmark)
    ],
    "inputs": lambda w: PLAN.score_files(
        w.benchmark, PLAN.seeds[:1], ENSEMBLES[w.benchmark], ".oracle"
    ),
}
