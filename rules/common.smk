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
from ood.registry import ID_NOISES, NOISES, REGISTRY

try:
    LOADER = configuration.Loader(ROOT, config)
    BENCHMARKS = LOADER.benchmarks()
except InputError as error:
    raise WorkflowError(str(error)) from None

SEEDS = config["seeds"]
PROTOCOLS = config["protocols"]
RUN = "results/{benchmark}/seed{seed}"
# what a cluster must grant a job that trains or scores: minutes and MiB
TRAINING = {
    "runtime": {"smoke": 30, "quick": 240, "paper": 2880}[config["scale"]],
    "mem_mb": 12000,
}
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


def providers(section, what):
    """Names of all models or methods whose rules write `what`, as their schemas say."""
    return sorted(
        {
            name
            for benchmark in BENCHMARKS.values()
            for name, settings in getattr(benchmark, section).items()
            if LOADER.provides(section, settings, what)
        }
    )


# OOD sets that are drawn by a model of the workflow, anew for each seed
GENERATED = {
    ood.dataset: ood.generated_by
    for benchmark in BENCHMARKS.values()
    for ood in benchmark.ood.values()
    if ood.generated_by
}


wildcard_constraints:
    benchmark=one_of(BENCHMARKS),
    seed=r"\d+",
    dataset=one_of([*REGISTRY, *GENERATED]),
    split="train|test",
    shape=r"\d+x\d+x\d+",
    method=one_of({m for b in BENCHMARKS.values() for m in b.methods}),
    model=one_of({m for b in BENCHMARKS.values() for m in b.models}),
    ood=one_of({o for b in BENCHMARKS.values() for o in b.ood}),
    # a detector for the validation protocol, or the one for the others
    chosen=r"(\.validation)?",
    suffix=r"(\.validation|\.oracle)?",


def of(wildcards):
    """The benchmark that the wildcards name."""
    return BENCHMARKS[wildcards.benchmark]


def prepared(benchmark, dataset, split, seed=SEEDS[0]):
    """The image set of a dataset in a benchmark's shape, without its suffix."""
    if dataset in GENERATED:
        return f"results/{benchmark}/seed{seed}/pseudo_ood/{GENERATED[dataset]}/{split}"
    one = BENCHMARKS[benchmark]
    folder = f"{dataset}_{benchmark}" if dataset in ID_NOISES else dataset
    return f"data/prepared/{'x'.join(map(str, one.shape))}/{folder}/{split}"


def images(benchmark, dataset, split, seed=SEEDS[0]):
    """Input edges of an image set: the small manifest decides whether it changed."""
    base = prepared(benchmark, dataset, split, seed)
    return {"images": ancient(f"{base}.npz"), "manifest": f"{base}.json"}


def files_of(wildcards):
    """The dataset under whose name a dataset's raw files lie."""
    return REGISTRY[wildcards.dataset].files_of or wildcards.dataset


def raw_files(wildcards):
    names = REGISTRY[wildcards.dataset].splits[wildcards.split][0]
    return [f"data/raw/{files_of(wildcards)}/{name}" for name in names]


def training_images(wildcards):
    return images(wildcards.benchmark, of(wildcards).dataset, "train")


def method_settings(wildcards):
    return of(wildcards).methods[wildcards.method]


def model_settings(wildcards):
    return of(wildcards).models[wildcards.model]


def models_named_by(wildcards, file="model.pt"):
    """Input edges of the models that a method's or a model's settings name: `<key>` and
    `<key>_config`."""
    if "method" in wildcards.keys():
        named = LOADER.edges("methods", method_settings(wildcards))
    else:
        named = LOADER.edges("models", model_settings(wildcards))
    folder = f"{RUN}/models".format(**wildcards)
    edges = {}
    for key, names in named.items():
        if isinstance(names, list):
            edges[key] = [ancient(f"{folder}/{name}/{file}") for name in names]
            edges[f"{key}_config"] = [f"{folder}/{name}/config.json" for name in names]
        else:
            edges[key] = ancient(f"{folder}/{names}/{file}")
            edges[f"{key}_config"] = f"{folder}/{names}/config.json"
    return edges


def chosen_models(wildcards):
    """The same, of the best epochs on the validation set where the protocol is `validation`."""
    return models_named_by(wildcards, "best.pt" if wildcards.chosen else "model.pt")


def models_and_images(wildcards):
    """Input edges of what is trained on models and on the ID training images."""
    return models_named_by(wildcards) | training_images(wildcards)


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


def test_images(wildcards):
    return images(wildcards.benchmark, of(wildcards).dataset, "test")


def validation_images(wildcards):
    """Input edges of the validation OOD set."""
    found = images(wildcards.benchmark, of(wildcards).validation.dataset, "test")
    return {"validation": found["images"], "validation_manifest": found["manifest"]}


def validation_classes(wildcards):
    """The classes of the validation OOD set; None for all."""
    validation = of(wildcards).validation
    return validation and validation.classes and list(validation.classes)


def on_grey_images(wildcards):
    """Whether a method validates on the grey version of ID images."""
    return method_settings(wildcards).get("validate_on") == "grey_id"


def ood_images(wildcards):
    ood_set = of(wildcards).ood[wildcards.ood]
    return images(wildcards.benchmark, ood_set.dataset, "test", wildcards.seed)


def scored_images(wildcards):
    return images(wildcards.benchmark, wildcards.dataset, "test", wildcards.seed)


def score_files(wildcards):
    """Input edges of a pair's evaluation."""
    benchmark, suffix = of(wildcards), wildcards.suffix
    scores = f"{RUN}/scores/{wildcards.method}".format(**wildcards)
    detector = f"{RUN}/detectors/{wildcards.method}/detector".format(**wildcards)
    return {
        "id": f"{scores}/{benchmark.dataset}{suffix}.parquet",
        "ood": f"{scores}/{benchmark.ood[wildcards.ood].dataset}{suffix}.parquet",
        "config": f"{detector}{suffix.removesuffix('.oracle')}.json",
    }


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
        "validation": benchmark.validation and benchmark.validation.name,
        "on_validation_set": bool(benchmark.validation)
        and configuration.overlap(ood_set, benchmark.validation),
        "scale": config["scale"],
    }
