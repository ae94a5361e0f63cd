"""Configuration, wildcards and the helpers that other rule files use."""

import os
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
SCRIPTS = ROOT / "workflow_scripts"
sys.path.insert(0, str(SCRIPTS))
# scripts in folders of their own find the library too
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(SCRIPTS), *filter(None, [os.environ.get("PYTHONPATH")])]
)

from ood import config as configuration
from ood import lineage
from ood.errors import InputError
from ood.provenance import made_from
from ood.registry import ID_NOISES, NOISES, REGISTRY

try:
    LOADER = configuration.Loader(ROOT, config)
    BENCHMARKS = LOADER.benchmarks()
except InputError as error:
    raise WorkflowError(str(error)) from None

SEEDS, PROTOCOLS, SCALE = config["seeds"], config["protocols"], config["scale"]
# below results/, results/logs/ and results/costs/ the same paths
SEED = f"{SCALE}/{{benchmark}}/seed{{seed}}"
RUN, LOG, COST = f"results/{SEED}", f"results/logs/{SEED}", f"results/costs/{SEED}"
PLOT = f"results/plots/{SCALE}"
# what a cluster must grant a job that trains or scores: minutes and MiB
HEAVY = {
    "runtime": {"smoke": 30, "quick": 240, "paper": 2880}[SCALE],
    "mem_mb": 12000,
    "gpu": 0 if config["device"] == "cpu" or not shutil.which("nvidia-smi") else 1,
}


def one_of(names):
    """A wildcard constraint; one that matches nothing where there are no names."""
    return "|".join(names) or "(?!)"


def named(section, fits):
    """A wildcard constraint: the models or methods whose settings `fits` accepts."""
    return one_of(
        sorted(
            {
                name
                for benchmark in BENCHMARKS.values()
                for name, settings in getattr(benchmark, section).items()
                if fits(settings)
            }
        )
    )


def models_of_type(kind):
    return named("models", lambda settings: settings["type"] == kind)


def methods_of(pipeline):
    return named("methods", lambda settings: settings["pipeline"] == pipeline)


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
    method=named("methods", bool),
    model=named("models", bool),
    # a detector for the validation protocol, or the one for the others
    chosen=r"(\.validation)?",


def of(wildcards):
    """The benchmark that the wildcards name."""
    return BENCHMARKS[wildcards.benchmark]


def settings_of(wildcards):
    """Section and settings of the model or method that the wildcards name."""
    if "method" in wildcards.keys():
        return "methods", of(wildcards).methods[wildcards.method]
    return "models", of(wildcards).models[wildcards.model]


def prepared(benchmark, dataset, split, seed=SEEDS[0]):
    """The image set of a dataset in a benchmark's shape, without its suffix."""
    if dataset in GENERATED:
        return f"results/{SCALE}/{benchmark}/seed{seed}/pseudo_ood/{GENERATED[dataset]}/{split}"
    one = BENCHMARKS[benchmark]
    folder = f"{dataset}_{benchmark}" if dataset in ID_NOISES else dataset
    return f"data/prepared/{'x'.join(map(str, one.shape))}/{folder}/{split}"


def image_set(name, wildcards, dataset, split):
    """Input edges of an image set: the small manifest decides whether it changed."""
    base = prepared(wildcards.benchmark, dataset, split, wildcards.get("seed", SEEDS[0]))
    return {name: ancient(f"{base}.npz"), f"{name}_manifest": f"{base}.json"}


def id_images(wildcards):
    return image_set("images", wildcards, of(wildcards).dataset, "train")


def id_test_images(wildcards):
    return image_set("test", wildcards, of(wildcards).dataset, "test")


def validation_images(wildcards):
    return image_set("validation", wildcards, of(wildcards).validation.dataset, "test")


def validation_set(wildcards):
    """Name and classes (None for all) of the validation OOD set; None where there is none."""
    one = of(wildcards).validation
    return one and {"name": one.name, "classes": one.classes and list(one.classes)}


def files_of_model(folder, name, *files):
    """A model's files; the digest beside each decides whether it changed."""
    paths = [f"{folder}/models/{name}/{file}" for file in files or ["model.pt"]]
    return [*map(ancient, paths), *(f"{path}.sha256" for path in paths)]


def models(wildcards, *files):
    """Input edges of the models that the settings of a model or method name."""
    folder, found = RUN.format(**wildcards), {}
    for key, chosen in LOADER.edges(*settings_of(wildcards)).items():
        listed = chosen if isinstance(chosen, list) else [chosen]
        found[key] = [ancient(f"{folder}/models/{name}/model.pt") for name in listed]
        found[f"{key}_files"] = [
            path for name in listed for path in files_of_model(folder, name, *files)
        ]
    return found


def models_and_states(wildcards):
    """The same, with the best state and the snapshots of each."""
    return models(wildcards, "model.pt", "states.pt")


def models_and_images(wildcards):
    """What is trained or fitted on models and on the ID training images."""
    return models(wildcards) | id_images(wildcards)


def id_classes(wildcards):
    return list(of(wildcards).classes)


def code(*names):
    """What scripts, and modules that they import, mean: parameters of a rule, one for each file.

    They stand in for Snakemake's own trigger, which goes by time and does not follow imports; the
    reason for a rerun shows the files that changed.
    """
    return {
        "code_" + re.sub(r"\W", "_", file): f"{file} {meaning}"
        for file, meaning in lineage.code(SCRIPTS, *names).items()
    }


def chosen_code(script, wildcards):
    """The same of what is chosen by name: the module of a model or method, its net, its
    augmentation; without what the script imports anyway."""
    section, settings = settings_of(wildcards)
    return files_beyond(script, LOADER.chosen_modules(section, settings))


def files_beyond(script, modules):
    anyway = lineage.code(SCRIPTS, script)
    found = lineage.code(SCRIPTS, *modules).items()
    return [f"{file} {meaning}" for file, meaning in found if file not in anyway]


def module_of(wildcards):
    section, settings = settings_of(wildcards)
    return LOADER.modules[section][settings[configuration.KINDS[section]]]


def keeps_snapshots(wildcards):
    """Whether to leave what the oracle protocol chooses from; what is costly only if asked for."""
    section, settings = settings_of(wildcards)
    if LOADER.provides(section, settings, "costly_snapshots"):
        return "oracle" in PROTOCOLS
    return LOADER.provides(section, settings, "snapshots")


def part(ood_set):
    """Which images of which dataset an OOD set is."""
    return {"dataset": ood_set.dataset, "classes": ood_set.classes and list(ood_set.classes)}


def parts(wildcards):
    """The ID images and the OOD sets of a benchmark."""
    one = of(wildcards)
    known = {"dataset": one.dataset, "classes": list(one.classes)}
    return {"id": known} | {name: part(ood_set) for name, ood_set in one.ood.items()}
