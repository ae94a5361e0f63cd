"""Configuration, wildcards and the helpers that other rule files use."""

import ast
import functools
import hashlib
import os
import re
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
GPU = 0 if config["device"] == "cpu" or not os.path.exists("/dev/nvidiactl") else 1


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
    protocol="final|oracle",


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


def model(name):
    """Input edges of a trained model, called `<name>` and `<name>_config`."""

    def edges(wildcards, settings):
        folder = f"{RUN}/models/{settings[name]}".format(**wildcards)
        return {name: ancient(f"{folder}/model.pt"), f"{name}_config": f"{folder}/config.json"}

    return edges


def method_settings(wildcards):
    return of(wildcards).methods[wildcards.method]


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
        total.update(str(source.relative_to(SCRIPTS)).encode() + b"\0" + source.read_bytes())
    return total.hexdigest()[:16]
