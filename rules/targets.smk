"""What is built: scores, metrics, tables and pictures of the config's benchmarks."""

# the protocol in a file's name: none for final
SUFFIXES = {"final": "", "validation": ".validation", "oracle": ".oracle"}
# what a method's jobs must leave so that a protocol can judge it
NEEDED = {"validation": "validation", "oracle": "snapshots"}
# by kind, each a script in plots/: what its pictures are called, and the input edges of all
PICTURES = {}
SETS = {
    benchmark: sorted({one.dataset, *(ood.dataset for ood in one.ood.values())})
    for benchmark, one in BENCHMARKS.items()
}


def protocols_of(benchmark, method):
    """The protocols of the config under which a method can be evaluated."""
    settings = BENCHMARKS[benchmark].methods[method]
    return [
        protocol
        for protocol in PROTOCOLS
        if protocol == "final" or LOADER.provides("methods", settings, NEEDED[protocol])
    ]


def judged(benchmark, protocol):
    """The methods that a protocol can judge."""
    methods = BENCHMARKS[benchmark].methods
    return [method for method in methods if protocol in protocols_of(benchmark, method)]


def scoring_jobs():
    """Benchmark, methods that one job scores, and the protocol in the files' names."""
    return [
        (name, methods, SUFFIXES[protocol])
        for name, benchmark in BENCHMARKS.items()
        for group in LOADER.scored_together(benchmark)
        for protocol in PROTOCOLS
        if (methods := [one for one in group if one in judged(name, protocol)])
    ]


def evaluation_jobs():
    """Benchmark and protocol in the files' names."""
    return [(b, SUFFIXES[p]) for b in BENCHMARKS for p in PROTOCOLS if judged(b, p)]


def rule_name(kind, *parts):
    return re.sub(r"\W+", "_", "_".join([kind, *parts]))


def first_run(wildcards):
    return RUN.format(benchmark=wildcards.benchmark, seed=SEEDS[0])


def names_of_type(benchmark, kind):
    models = BENCHMARKS[benchmark].models.items()
    return [name for name, settings in models if settings["type"] == kind]


def detector(folder, method, suffix="", snapshots=False):
    """Files of a method's detector, or of the models that it is, if it needs no fitting."""
    benchmark = BENCHMARKS[Path(folder).parent.name]
    settings = benchmark.methods[method]
    if not LOADER.fits(settings, "fitted"):
        files = ["model.pt", *(["states.pt"] if snapshots else [])]
        return [
            path
            for name in LOADER.models_of("methods", settings)
            for path in files_of_model(folder, name, *files)
        ]
    base = f"{folder}/detectors/{method}"
    found = [f"{base}/detector{suffix}.pt"] + [f"{base}/snapshots.pt"] * snapshots
    digests = [f"{path}.sha256" for path in found]
    return [*map(ancient, found), *digests, f"{base}/detector{suffix}.json"]


def test_sets(wildcards):
    """Input edges of the image sets of a benchmark, in the order of `SETS`."""
    found = [image_set("set", wildcards, one, "test") for one in SETS[wildcards.benchmark]]
    return {
        "sets": [one["set"] for one in found],
        "manifests": [one["set_manifest"] for one in found],
    }


def score_files(benchmark, seeds, methods, suffix=""):
    return [
        f"results/{SCALE}/{benchmark}/seed{seed}/scores/{method}/{dataset}{suffix}.parquet"
        for seed in seeds
        for method in methods
        for dataset in SETS[benchmark]
    ]


METRICS = [
    f"results/{SCALE}/{benchmark}/seed{seed}/metrics/{method}/{name}{SUFFIXES[protocol]}.json"
    for benchmark, one in BENCHMARKS.items()
    for seed in SEEDS
    for method in one.methods
    for protocol in protocols_of(benchmark, method)
    for name in [*one.ood, "made_from"]
]
# benchmarks whose methods can be compared with the reference method
COMPARED = [b for b, one in BENCHMARKS.items() if config["reference"] in one.methods]
COMPARISONS = [
    f"results/{SCALE}/{benchmark}/seed{seed}/metrics/{method}/against_reference.json"
    for benchmark in COMPARED
    for seed in SEEDS
    for method in BENCHMARKS[benchmark].methods
    if method != config["reference"]
]
NAMES = ["metrics.csv", "summary.csv", "leaderboard.csv", "leaderboard.md"]
NAMES += ["comparisons.csv", "published.csv", "costs.csv"]
TABLES = [f"results/tables/{name}" for name in NAMES]


def pseudo_ood(benchmark):
    """Pictures of generated images, which their jobs draw themselves."""
    return [
        f"results/{SCALE}/{benchmark}/seed{SEEDS[0]}/pseudo_ood/{name}/grid.png"
        for section in ("models", "methods")
        for name, settings in getattr(BENCHMARKS[benchmark], section).items()
        if LOADER.provides(section, settings, "pseudo_ood")
    ]


def all_pictures():
    found = [path for benchmark in BENCHMARKS for path in pseudo_ood(benchmark)]
    return found + [
        f"{PLOT}/{benchmark}/{kind}/{name}.png"
        for benchmark in BENCHMARKS
        for kind, one in PICTURES.items()
        for name in one["names"](benchmark)
    ]
