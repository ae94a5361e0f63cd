"""Configuration, wildcards and the helpers that other rule files use."""

import ast
import functools
import hashlib
import os
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
SCRIPTS = ROOT / "workflow_scripts"
sys.path.insert(0, str(SCRIPTS))

from ood import config as configuration
from ood.errors import InputError
from ood.registry import NOISES, REGISTRY

try:
    LOADER = configuration.Loader(ROOT, config)
    BENCHMARKS = LOADER.benchmarks()
except InputError as error:
    raise WorkflowError(str(error)) from None

SEEDS = config["seeds"]
PROTOCOLS = config["protocols"]
RUN = "results/{benchmark}/seed{seed}"
GPU = 0 if config["device"] == "cpu" or not shutil.which("nvidia-smi") else 1


def names_of(kind, value, section):
    """All names in the benchmarks' `section` whose settings have `kind` equal to `value`."""
    return sorted(
        {
            name
            for benchmark in BENCHMARKS.values()
            for name, settings in getattr(benchmark, section).items()
            if settings[kind] == value
        }
    )


def one_of(names):
    """A wildcard constraint; one that matches nothing where there are no names."""
    return "|".join(names) or "(?!)"


def methods_of(benchmark):
    """The benchmark's methods that the config asks for."""
    chosen = config["methods"]
    return [m for m in BENCHMARKS[benchmark].methods if chosen == "all" or m in chosen]


wildcard_constraints:
    benchmark=one_of(BENCHMARKS),
    seed=r"\d+",
    dataset=one_of(REGISTRY),
    split="train|test",
    shape=r"\d+x\d+x\d+",
    method=one_of({m for b in BENCHMARKS.values() for m in b.methods}),
    model=one_of({m for b in BENCHMARKS.values() for m in b.models}),
    ood=one_of({o for b in BENCHMARKS.values() for o in b.ood}),


def of(wildcards):
    """The benchmark that the wildcards name."""
    return BENCHMARKS[wildcards.benchmark]


def prepared(benchmark, dataset, split):
    """The image set of a dataset in a benchmark's shape, without its suffix."""
    one = BENCHMARKS[benchmark]
    folder = f"sphere_{benchmark}" if dataset == "sphere" else dataset
    return f"data/prepared/{'x'.join(map(str, one.shape))}/{folder}/{split}"


def images(benchmark, dataset, split):
    """Input edges of an image set: the small manifest decides whether it changed."""
    base = prepared(benchmark, dataset, split)
    return {"images": ancient(f"{base}.npz"), "manifest": f"{base}.json"}


def training_images(wildcards):
    return images(wildcards.benchmark, of(wildcards).dataset, "train")


def method_settings(wildcards):
    return of(wildcards).methods[wildcards.method]


def method_models(wildcards):
    """Input edges of the models that a method's settings name: `<key>` and `<key>_config`."""
    folder = f"{RUN}/models".format(**wildcards)
    edges = {}
    for key, name in LOADER.models_of(method_settings(wildcards)).items():
        edges[key] = ancient(f"{folder}/{name}/model.pt")
        edges[f"{key}_config"] = f"{folder}/{name}/config.json"
    return edges


def models_and_images(wildcards):
    """Input edges of a method that is trained on models and on the ID training images."""
    return method_models(wildcards) | training_images(wildcards)


def model_settings(wildcards):
    return of(wildcards).models[wildcards.model]


def id_classes(wildcards):
    return list(of(wildcards).classes)


@functools.cache
def local_sources(path):
    """`path` and every file under `workflow_scripts` that it imports, directly or not."""
    found = {path}
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            base = SCRIPTS.joinpath(*name.split("."))
            for candidate in (base.with_suffix(".py"), base / "__init__.py"):
                if candidate.is_file():
                    found |= local_sources(candidate)
    return frozenset(found)


@functools.cache
def code(*files):
    """A hash of the files and of all that they import: the `code` parameter of a rule.

    It stands in for Snakemake's own trigger, which goes by time and does not follow imports.
    """
    sources = sorted(set().union(*(local_sources(SCRIPTS / file) for file in files)))
    total = hashlib.sha256()
    for source in sources:
        total.update(str(source.relative_to(SCRIPTS)).encode())
        total.update(source.read_bytes())
    return total.hexdigest()[:16]


def pipeline_source(wildcards):
    return f"ood/methods/{method_settings(wildcards)['pipeline']}.py"


# methods that keep snapshots, which the oracle protocol chooses from
WITH_SNAPSHOTS = {
    name
    for benchmark in BENCHMARKS.values()
    for name, settings in benchmark.methods.items()
    if "snapshot_every" in settings
}


def scored_images(wildcards):
    return images(wildcards.benchmark, wildcards.dataset, "test")


def score_files(suffix):
    def files(wildcards):
        benchmark = of(wildcards)
        folder = f"{RUN}/scores/{wildcards.method}".format(**wildcards)
        return {
            "id": f"{folder}/{benchmark.dataset}{suffix}.parquet",
            "ood": f"{folder}/{benchmark.ood[wildcards.ood].dataset}{suffix}.parquet",
            "config": f"{RUN}/detectors/{wildcards.method}/detector.json".format(**wildcards),
        }

    return files


def pair(wildcards):
    """What `evaluate` must know of a pair."""
    benchmark = of(wildcards)
    ood_set = benchmark.ood[wildcards.ood]
    return {
        "group": ood_set.group,
        "id_dataset": benchmark.dataset,
        "id_classes": list(benchmark.classes),
        "id_stand_in_for": benchmark.stand_in_for,
        "ood_dataset": ood_set.dataset,
        "ood_classes": None if ood_set.classes is None else list(ood_set.classes),
        "ood_stand_in_for": ood_set.stand_in_for,
        "scale": config["scale"],
    }


# relative, so that the finished workflow can be moved
PUBLISHED = os.path.relpath(ROOT / "benchmarks" / "published.csv")
PAIRS = [
    (benchmark, seed, method, ood)
    for benchmark in BENCHMARKS
    for seed in SEEDS
    for method in methods_of(benchmark)
    for ood in BENCHMARKS[benchmark].ood
]
METRICS = [
    f"results/{b}/seed{s}/metrics/{m}/{o}{suffix}.json"
    for b, s, m, o in PAIRS
    for protocol, suffix in (("final", ""), ("oracle", ".oracle"))
    if protocol in PROTOCOLS and (protocol == "final" or m in WITH_SNAPSHOTS)
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
    if config["reference"] in (methods := methods_of(benchmark)) and len(methods) > 1
]


def plots(benchmark, kind, names):
    return [f"results/plots/{benchmark}/{kind}/{name}.png" for name in names]


def pseudo_ood_grids(benchmark):
    return [
        f"results/{benchmark}/seed{SEEDS[0]}/pseudo_ood/{method}/grid.png"
        for method in methods_of(benchmark)
        if "sigma" in BENCHMARKS[benchmark].methods[method]
    ]


def training_curves(benchmark):
    """Curves of every model and method that is trained."""
    one = BENCHMARKS[benchmark]
    methods = {name: one.methods[name] for name in methods_of(benchmark)}
    used = {m for settings in methods.values() for m in LOADER.models_of(settings).values()}
    trained = [f"models/{name}" for name in one.models if name in used]
    trained += [f"detectors/{name}" for name in methods if "epochs" in methods[name]]
    return [
        f"results/{benchmark}/seed{seed}/{name}/curves.png" for seed in SEEDS for name in trained
    ]


PLOTS = [
    path
    for benchmark in BENCHMARKS
    for path in (
        *plots(benchmark, "roc", BENCHMARKS[benchmark].ood),
        *plots(benchmark, "histograms", methods_of(benchmark)),
        f"results/plots/{benchmark}/heatmap.png",
        f"results/plots/{benchmark}/image_sets.png",
        *pseudo_ood_grids(benchmark),
        *training_curves(benchmark),
    )
]


def plot_inputs(benchmark, seeds, methods, oods):
    """Score files of the given methods, for the ID set and the given OOD sets."""
    one = BENCHMARKS[benchmark]
    datasets = dict.fromkeys([one.dataset, *(one.ood[name].dataset for name in oods)])
    return [
        f"results/{benchmark}/seed{seed}/scores/{method}/{dataset}.parquet"
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
