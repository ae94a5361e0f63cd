"""What the scripts of training rules share: machine, identity of a run, and its outputs."""

import csv
import os
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch

from ood import training
from ood.detector import Record
from ood.files import atomic, load_json, save_json
from ood.images import ImageSet
from ood.lineage import digest, lineage


def manifests(snakemake) -> dict[str, dict]:
    """The small JSON files among the inputs, which tell what the large ones hold."""
    return {path: load_json(path) for path in map(str, snakemake.input) if path.endswith(".json")}


@contextmanager
def machine(snakemake):
    """The device that the config asks for, with the rule's threads."""
    torch.set_num_threads(snakemake.threads)
    with training.machine(
        snakemake.config["device"], snakemake.params.precision, Path(".snakemake/gpu_locks")
    ) as chosen:
        yield chosen


def training_run(snakemake, chosen: training.Machine, name: str) -> training.Run:
    """The run of the model or method ``name``: its seed, checkpoint and identity."""
    seed = snakemake.wildcards.seed
    identity = digest(
        dict(snakemake.params.items()),
        {path: one["sha256"] for path, one in manifests(snakemake).items()},
        [seed, name, chosen.device.type, snakemake.threads],
        torch.__version__,
    )
    checkpoint = Path(snakemake.output[0]).parent / "checkpoint.pt"
    return training.Run(training.derive_seed(seed, name), chosen, checkpoint, identity)


def id_images(snakemake) -> ImageSet:
    """The ID training images with labels 0 .. K - 1.

    :raises InputError: if a class has no image
    """
    return ImageSet.load(snakemake.input.images).renumbered(snakemake.params.classes)


def validation_images(snakemake) -> ImageSet:
    """The benchmark's validation OOD set."""
    images = ImageSet.load(snakemake.input.validation)
    return images.select(snakemake.params.validation_classes)


def save_config(
    snakemake, path: str, parameters: int, chosen: training.Machine | None, **more
) -> None:
    """The JSON beside a model or a detector: size, lineage and the SHA-256 of its weights.

    :param chosen: None for a job that computes nothing
    """
    found = {name: one["sha256"] for name, one in manifests(snakemake).items()}
    record = lineage(dict(snakemake.params.items()), found, int(snakemake.wildcards.seed))
    if chosen is not None:
        cuda = chosen.device.type == "cuda"
        name = torch.cuda.get_device_name(chosen.device) if cuda else os.uname().machine
        record |= {"device": chosen.device.type, "device_name": name, "threads": snakemake.threads}
    save_json(path, {"parameters": parameters, "lineage": record, **more})


def save_detector(
    snakemake,
    content: dict,
    states: list[dict[str, torch.Tensor]],
    parameters: int,
    record: Record,
    chosen: training.Machine | None = None,
    **more,
) -> None:
    """``detector.pt`` and the JSON beside it.

    :param states: what the SHA-256 is taken of
    :param chosen: None for a job that only puts files together
    """
    joined = {f"{i}.{name}": value for i, one in enumerate(states) for name, value in one.items()}
    training.save_model(snakemake.output.detector, content)
    save_config(
        snakemake,
        snakemake.output.config,
        parameters,
        chosen,
        sha256=training.state_digest(joined),
        record=asdict(record),
        **more,
    )


def save_history(path: str, history: list[dict]) -> None:
    """``history.csv``: a row per epoch."""
    with atomic(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)


def train_model(snakemake, fit) -> None:
    """Train one model with ``fit(settings, image_set, run)`` and write its outputs."""
    settings = dict(snakemake.params.settings)
    with machine(snakemake) as chosen:
        run = training_run(snakemake, chosen, snakemake.wildcards.model)
        network, trained = fit(settings, id_images(snakemake), run)
    state = training.cpu_state(network)
    training.save_model(snakemake.output.model, {"settings": settings, "state": state})
    save_config(
        snakemake,
        snakemake.output.config,
        sum(value.numel() for value in network.parameters()),
        chosen,
        sha256=training.state_digest(state),
        kept_epoch=trained.kept_epoch,
    )
    if "best" in snakemake.output.keys():
        best = {"settings": settings, "state": trained.best_state, "epoch": trained.best_epoch}
        training.save_model(snakemake.output.best, best)
    if "snapshots" in snakemake.output.keys():
        training.save_model(snakemake.output.snapshots, trained.snapshots)
    save_history(snakemake.output.history, trained.history)
    for checkpoint in run.checkpoint.parent.glob("checkpoint*.pt"):
        checkpoint.unlink()
