"""What is built: metrics, tables and plots of the config's benchmarks. Method files add plots."""

# methods by what stands beside detector.pt: states or settings (snapshots.pt) that the oracle
# protocol chooses from, taken over training or not, and a detector that was chosen on the
# validation OOD set (detector.validation.pt)
WITH_SNAPSHOTS = providers("methods", "snapshots")
WITH_TRAJECTORY = providers("methods", "trajectory")
WITH_VALIDATION = providers("methods", "validation")
# the protocol in a file's name: none for final
SUFFIXES = {"final": "", "validation": ".validation", "oracle": ".oracle"}


def protocols_of(method):
    """The protocols of the config under which a method can be evaluated."""
    able = {"final": True, "validation": method in WITH_VALIDATION}
    able["oracle"] = method in WITH_SNAPSHOTS
    return [protocol for protocol in PROTOCOLS if able[protocol]]


# relative, so that the finished workflow can be moved
PUBLISHED = os.path.relpath(ROOT / "benchmarks" / "published.csv")
PAIRS = [
    (benchmark, seed, method, ood)
    for benchmark in BENCHMARKS
    for seed in SEEDS
    for method in BENCHMARKS[benchmark].methods
    for ood in BENCHMARKS[benchmark].ood
]
METRICS = [
    f"results/{b}/seed{s}/metrics/{m}/{o}{SUFFIXES[protocol]}.json"
    for b, s, m, o in PAIRS
    for protocol in protocols_of(m)
]
NAMES = ["metrics.csv", "summary.csv", "leaderboard.csv", "leaderboard.md"]
NAMES += ["published.csv", "costs.csv"]
TABLES = [f"results/tables/{name}" for name in NAMES]
SETS = {
    benchmark: sorted({one.dataset, *(ood.dataset for ood in one.ood.values())})
    for benchmark, one in BENCHMARKS.items()
}


# benchmarks whose methods can be compared with the reference method
COMPARED = [
    benchmark
    for benchmark in BENCHMARKS
    if config["reference"] in (methods := BENCHMARKS[benchmark].methods) and len(methods) > 1
]


def with_trajectory(benchmark):
    """The benchmark's methods with scores at several steps of training."""
    asked = WITH_TRAJECTORY if "oracle" in PROTOCOLS else []
    return [method for method in BENCHMARKS[benchmark].methods if method in asked]


def plots(benchmark, kind, names):
    return [f"results/plots/{benchmark}/{kind}/{name}.png" for name in names]


def pseudo_ood_grids(benchmark):
    one = BENCHMARKS[benchmark]
    return [
        f"results/{benchmark}/seed{SEEDS[0]}/pseudo_ood/{name}/grid.png"
        for section in ("models", "methods")
        for name, settings in getattr(one, section).items()
        if LOADER.provides(section, settings, "pseudo_ood")
    ]


def training_curves(benchmark):
    """Curves of every model and method that is trained."""
    one = BENCHMARKS[benchmark]
    trained = [f"models/{name}" for name in one.models]
    trained += [f"detectors/{name}" for name in one.methods if "epochs" in one.methods[name]]
    return [
        f"results/{benchmark}/seed{seed}/{name}/curves.png" for seed in SEEDS for name in trained
    ]


# methods that name a class, by benchmark
PREDICTED = {
    benchmark: [name for name, settings in one.methods.items() if LOADER.fits(settings, "predicts")]
    for benchmark, one in BENCHMARKS.items()
}
PLOTS = [
    path
    for benchmark in BENCHMARKS
    for path in (
        *plots(benchmark, "roc", BENCHMARKS[benchmark].ood),
        *plots(benchmark, "f1", BENCHMARKS[benchmark].ood if PREDICTED[benchmark] else []),
        *plots(benchmark, "histograms", BENCHMARKS[benchmark].methods),
        *plots(benchmark, "trajectory", with_trajectory(benchmark) and BENCHMARKS[benchmark].ood),
        f"results/plots/{benchmark}/heatmap.png",
        f"results/plots/{benchmark}/image_sets.png",
        *pseudo_ood_grids(benchmark),
        *training_curves(benchmark),
    )
]


def plot_inputs(benchmark, seeds, methods, oods, suffix=""):
    """Score files of the given methods, for the ID set and the given OOD sets."""
    one = BENCHMARKS[benchmark]
    datasets = dict.fromkeys([one.dataset, *(one.ood[name].dataset for name in oods)])
    return [
        f"results/{benchmark}/seed{seed}/scores/{method}/{dataset}{suffix}.parquet"
        for seed in seeds
        for method in methods
        for dataset in datasets
    ]


def image_parts(benchmark, oods):
    """Which images of which dataset are ID and OOD."""
    one = BENCHMARKS[benchmark]
    return {"id": {"dataset": one.dataset, "classes": list(one.classes)}} | {
        name: {
            "dataset": one.ood[name].dataset,
            "classes": one.ood[name].classes and list(one.ood[name].classes),
        }
        for name in oods
    }
