"""Leave-out ensemble: a member per left-out group, calibrated on the validation sets."""


use rule train as train_leave_out_member with:
    "Train a member, which leaves one group of classes out."
    input:
        unpack(id_images),
        unpack(validation_images),
    wildcard_constraints:
        model=models_of_type("leave_out_member"),
    params:
        validation=validation_set,


use rule fit as calibrate_leave_out with:
    "Choose temperature and input step on the validation sets."
    input:
        unpack(models_and_states),
        unpack(id_images),
        unpack(validation_images),
    output:
        **DETECTOR,
        calibration=update(f"{RUN}/detectors/{{method}}/calibration{{chosen}}.csv"),
        panels=update(f"{RUN}/detectors/{{method}}/calibration{{chosen}}.npz"),
    wildcard_constraints:
        method=methods_of("leave_out"),
    params:
        validation=validation_set,


def calibrated(benchmark):
    """Seed and method, with the suffix of the validation protocol, of every calibration."""
    return [
        f"seed{seed}/{method}{SUFFIXES[protocol]}"
        for method, settings in BENCHMARKS[benchmark].methods.items()
        if settings["pipeline"] == "leave_out"
        for seed in SEEDS
        for protocol in protocols_of(benchmark, method)
        if protocol != "oracle"
    ]


def calibration(wildcards):
    folder = f"results/{SCALE}/{wildcards.benchmark}"
    names = (name.split("/") for name in calibrated(wildcards.benchmark))
    return {
        "files": [
            f"{folder}/{seed}/detectors/{method.removesuffix('.validation')}/calibration"
            f"{'.validation' * method.endswith('.validation')}.npz"
            for seed, method in names
        ]
    }


PICTURES["calibration"] = {"names": calibrated, "inputs": calibration}


def on_a_grid(benchmark):
    chosen = "oracle" in PROTOCOLS
    methods = BENCHMARKS[benchmark].methods.items()
    return [m for m, settings in methods if chosen and settings["pipeline"] == "leave_out"]


# on a test set only for the oracle protocol, which scores it with every pair of the grid
PICTURES["temperatures"] = {
    "names": lambda benchmark: [
        f"{method}/{ood}" for method in on_a_grid(benchmark) for ood in BENCHMARKS[benchmark].ood
    ],
    "inputs": lambda w: {
        "files": score_files(w.benchmark, SEEDS[:1], on_a_grid(w.benchmark), ".oracle")
    },
}
