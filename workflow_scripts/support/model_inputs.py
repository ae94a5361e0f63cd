"""What the scripts that train, fit, generate and score share: compute, run, inputs."""

import os
from contextlib import contextmanager
from pathlib import Path

import torch

from ood.data.images import ImageSet
from ood.layout import COMPILED
from ood.provenance import digest
from ood.training.device import Compute, compute_for
from ood.training.model_files import TrainedModel
from ood.training.run import Inputs, Run, derive_seed
from support.job import Work

# of this machine: others may share the folder
LOCKS = Path(".snakemake/gpu_locks") / os.uname().nodename


@contextmanager
def compute(snakemake):
    """The device that the config asks for, with the rule's threads."""
    torch.set_num_threads(snakemake.threads)
    config, params = snakemake.config, snakemake.params
    options = {"precision": params.precision, "scoring_batch": config["scoring_batch"]}
    if params.get("compile"):
        # read when the compiler is first used; it would take all cores
        os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = str(snakemake.threads)
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.abspath(COMPILED))
        options["compile"] = True
    options["deterministic"] = bool(params.get("deterministic"))
    options["graphs"] = config["graphs"]
    with compute_for(config["device"], LOCKS, **options) as chosen:
        yield chosen


def device(chosen: Compute, threads: int) -> dict:
    """Where something was computed, for its record."""
    cuda = chosen.device.type == "cuda"
    name = torch.cuda.get_device_name(chosen.device) if cuda else os.uname().machine
    return {"device": chosen.device.type, "device_name": name, "threads": threads}


def run(snakemake, work: Work, chosen: Compute, name: str, folder: Path) -> Run:
    """The run of the model or method ``name``: its seed, checkpoint and identity."""
    seed = snakemake.wildcards.seed
    identity = digest(work.key(), [chosen.device.type, snakemake.threads])
    return Run(
        derive_seed(seed, name),
        chosen,
        folder / "checkpoint.pt",
        identity,
        snakemake.params.get("snapshots", False),
        (seed, name),
    )


def image_set(path: str, classes: list[int]) -> ImageSet:
    """The images of the ID classes with labels 0 .. K - 1.

    :raises InputError: if a class has no image
    """
    return ImageSet.load(path).renumbered(classes)


def inputs(snakemake, best: bool = False) -> Inputs:
    """What a rule says under ``input``: ID images (``images``, ``test``), the ``validation`` OOD
    set, a file of ``weights``, and the models that its settings name.

    :param best: take the models' best states on the validation OOD set
    """
    given, params = snakemake.input, snakemake.params
    classes = params.classes
    validation = given.get("validation")
    models = {}
    for key, named in params.models.items():
        # a list of one comes as a string
        paths = [given[key]] if isinstance(given[key], str) else given[key]
        found = [TrainedModel(Path(path).parent, best) for path in paths]
        models[key] = found if isinstance(named, list) else found[0]
    return Inputs(
        images=image_set(given.images, classes) if given.get("images") else None,
        test=image_set(given.test, classes) if given.get("test") else None,
        classes=tuple(classes),
        validation=validation
        and ImageSet.load(validation).select(params.validation and params.validation["classes"]),
        validation_name=params.get("validation") and params.validation["name"],
        models=models,
        file=Path(str(given.weights)) if given.get("weights") else None,
    )


def test_images(snakemake) -> dict[str, ImageSet]:
    """The image sets of a benchmark, for pictures."""
    return {
        dataset: ImageSet.load(path)
        for dataset, path in zip(snakemake.params.datasets, snakemake.input.sets, strict=True)
    }


def training_images(snakemake) -> ImageSet:
    """The ID training images, for pictures."""
    return image_set(snakemake.input.images, snakemake.params.classes)
