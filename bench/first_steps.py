"""What the first steps at `paper` scale leave of each model, on a CPU and at full width.

    python bench/first_steps.py --rows rows.json [--seconds 90] [--out docs/first_steps.md]

Three tables. CMG's CVAE on five splits of MNIST, as published and with the learning rate warmed up
over one epoch; the same CVAE trained to its end at `quick` scale, at two weights of the KL term;
and every model of two benchmarks. It needs prepared image sets, see `--data`. Rows are kept beside
the page, in a file, as they come; what is there is not measured again. `--only` takes one table.
"""

import argparse
import importlib
import json
import logging
import tempfile
import time
from pathlib import Path

import gpu_plan
import timing
import torch
from gpu import in_order, saved

from ood.config.kinds import settings_of
from ood.data.images import ImageSet, to_tensor, to_unit
from ood.methods import cmg
from ood.training import loop
from ood.training.device import Compute
from ood.training.health import flags_of
from ood.training.model_files import save_trained
from ood.training.run import Inputs, Run

SPLITS = [f"mnist_partition{number}" for number in range(1, 6)]
# of training images of six digits, in batches of 512, one epoch is a hundredth of the steps
CURES = {"published": None, "warmup": {"start": 0.0, "share": 0.01}}
CMG_STEPS = {"published": 50, "warmup": 100}
QUICK_SEEDS = (0,)
BENCHMARKS = ("mnist", "cifar10")
STEPS, SHOWN = 40, 500
# what is done once an epoch or before it, for fewer images
SMALLER = {"pool_size": 512, "validation_images": 200, "frozen_epochs": 0}
COMPUTE = Compute(torch.device("cpu"), "bfloat16")


class FirstSteps(loop._Training):
    """A training that ends early, at the learning rates of the whole."""

    limit, seconds, done = STEPS, float("inf"), 0

    def run_to_the_end(self):
        per_epoch = self.length.steps(1)
        begun = self._begin(1, per_epoch)
        for number in range(self.limit):
            inside = number % per_epoch
            if number and not inside:
                self.data.shuffle(per_epoch if self.length.by_steps else None)
            self._step(number - inside, inside, begun)
            FirstSteps.done = number + 1
            if time.perf_counter() - begun > self.seconds:
                break
        means = loop.mean_terms(self.progress.sums, self.progress.images)
        self.progress.history.append({"epoch": 1, "step": self.done, **means})
        return loop.TrainingResult(self.progress.history, 1, health={"last": self._look()})


def first_steps(one: dict, images: ImageSet, folder: Path, steps: int, name: str) -> dict:
    """Facts of a model's health after so many steps; it is kept in ``folder``."""
    FirstSteps.limit, FirstSteps.done = steps, 0
    module = importlib.import_module(one["module"])
    plain = one["settings"] | {k: v for k, v in SMALLER.items() if k in one["settings"]}
    settings = settings_of("models", plain)
    inputs = Inputs(images, validation=images, models=saved(one, folder))
    run = Run(0, COMPUTE, folder / "checkpoint.pt", "", origin=(0, name))
    begun = time.perf_counter()
    network, trained = module.MODELS[settings.type](settings, inputs, run)
    facts = trained.health["last"]
    if measure := getattr(module, "HEALTH", {}).get(settings.type):
        facts = facts | measure(network, settings, images.spread(SHOWN), COMPUTE)
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    save_trained(folder / name, plain, network, trained, [])
    known = {"type": settings.type, "steps": FirstSteps.done, "flags": flags_of(facts)}
    return known | {"facts": facts, "seconds": time.perf_counter() - begun}


class Rows:
    """What was measured, by name, in a file."""

    def __init__(self, path: Path):
        self.path = path
        self.found = json.loads(path.read_text()) if path.exists() else {}

    def measure(self, name: str, work) -> None:
        if name not in self.found:
            self.found[name] = work()
            self.path.write_text(json.dumps(self.found, indent=1) + "\n")
            print(name, {k: v for k, v in self.found[name].items() if k != "facts"}, flush=True)


def images_of(
    data: Path, settings: dict, dataset: str, classes: list[int] | None, part: str = "train"
) -> ImageSet:
    shape = "x".join(map(str, settings["shape"]))
    found = ImageSet.load(data / shape / dataset / f"{part}.npz")
    return found if classes is None else found.renumbered(classes)


def cmg_rows(rows: Rows, data: Path, folder: Path) -> None:
    for number, split in enumerate(SPLITS):
        one = gpu_plan.entries(split, "paper")["models"]["cvae"]
        images = images_of(data, one["settings"], "mnist", list(range(number, number + 6)))
        for cure, warmup in CURES.items():
            optimizer = one["settings"]["optimizer"] | ({"warmup": warmup} if warmup else {})
            changed = one | {"settings": one["settings"] | {"optimizer": optimizer}}
            steps = CMG_STEPS[cure]
            rows.measure(
                f"{split} {cure}",
                lambda c=changed, i=images, s=steps: first_steps(c, i, folder, s, "cvae"),
            )


def quick_rows(rows: Rows, data: Path, folder: Path) -> None:
    """Whole trainings: the squared error is that of test images."""
    one = gpu_plan.entries(SPLITS[0], "quick")["models"]["cvae"]
    plain, digits = one["settings"], list(range(6))
    images = images_of(data, plain, "mnist", digits)
    test = images_of(data, plain, "mnist", digits, "test")
    for seed in QUICK_SEEDS:
        for weight in (1.0, plain["kl_weight"]):
            for cure in CURES:
                warmup = {"warmup": {"start": 0.0, "share": 1 / plain["epochs"]}}
                optimizer = plain["optimizer"] | (warmup if cure == "warmup" else {})
                settings = settings_of(
                    "models", plain | {"kl_weight": weight, "optimizer": optimizer}
                )

                def work(settings=settings, seed=seed):
                    run = Run(seed, COMPUTE, folder / "checkpoint.pt", "")
                    begun = time.perf_counter()
                    network, trained = cmg.fit_cvae(settings, Inputs(images), run)
                    (folder / "checkpoint.pt").unlink(missing_ok=True)
                    facts = trained.health["last"]
                    facts |= cmg.cvae_health(network, settings, test.spread(SHOWN), COMPUTE)
                    shown = to_unit(to_tensor(test.images))
                    labels = torch.from_numpy(test.labels)
                    with torch.no_grad():
                        drawn = network.decode(network.encode(shown)[0], network.embed(labels))
                    facts["squared_error"] = float((drawn - shown).square().mean())
                    known = {"type": "cmg_cvae", "steps": trained.history[-1]["step"]}
                    known |= {"flags": flags_of(facts), "facts": facts}
                    return known | {"seconds": time.perf_counter() - begun}

                rows.measure(f"quick {weight:g} {cure} {seed}", work)


def model_rows(rows: Rows, data: Path, folder: Path, stand_ins: dict[str, str]) -> None:
    for benchmark in BENCHMARKS:
        models = gpu_plan.speed(benchmark)["models"]
        for name, one in in_order(models).items():
            dataset = stand_ins.get(benchmark, benchmark)
            images = images_of(data, one["settings"], dataset, None)
            title, place = f"{benchmark}/{name}", folder / benchmark
            place.mkdir(exist_ok=True)

            def work(one=one, images=images, place=place, name=name, models=models):
                for other in one["models"].values():
                    for needed in [other] if isinstance(other, str) else other:
                        if not (place / needed / "model.pt").exists():
                            first_steps(models[needed], images, place, 2, needed)
                return first_steps(one, images, place, STEPS, name)

            rows.measure(title, work)


# how a fact is written
FORMS = {"dead_units": ".2f", "kl_nats": ".3f", "used_latents": "d", "output_spread": ".3g"}
FORMS["squared_error"] = ".4f"


def line(row: dict, *names: str) -> list[str]:
    """Steps, some facts and flags of a row."""
    facts = [format(row["facts"][n], FORMS[n]) if n in row["facts"] else "" for n in names]
    return [str(row["steps"]), *facts, "; ".join(row["flags"])]


def page(found: dict) -> str:
    """The three tables."""
    cmg = [
        [*name.split(), *line(row, "dead_units", "kl_nats", "used_latents")]
        for name, row in found.items()
        if name.startswith("mnist_")
    ]
    quick = [
        [*name.split()[1:], *line(row, "dead_units", "kl_nats", "used_latents", "squared_error")]
        for name, row in found.items()
        if name.startswith("quick ")
    ]
    models = [
        [name, row["type"], *line(row, "dead_units", "output_spread", "kl_nats")]
        for name, row in found.items()
        if "/" in name
    ]
    head = ["split", "learning rate", "steps", "dead units", "KL, nats", "latents used", "flags"]
    first = timing.table(head, cmg)
    head = ["KL weight", "learning rate", "seed", "steps", "dead units", "KL, nats"]
    second = timing.table([*head, "latents used", "squared error", "flags"], quick)
    head = ["model", "type", "steps", "dead units", "output spread", "KL, nats", "flags"]
    return (
        "# The first steps at `paper` scale\n\n"
        "Written by `bench/first_steps.py`, in bfloat16 on a CPU, one seed. Dead units: the share "
        "of the worst ReLU layer's that no image of a batch makes positive. A flag is as in the "
        "tables of a run.\n\n"
        "## CMG's CVAE on five splits of MNIST\n\n"
        "Batches of 512, as published; with `warmup` the learning rate rises in a straight line "
        f"over the first epoch, 71 steps.\n\n{first}\n\n"
        "## The same at `quick` scale\n\n"
        "Trained to the end on the first split; KL and squared error of test images. The warm-up "
        f"is one epoch.\n\n{second}\n\n"
        "## Every model\n\n"
        "As many steps, up to 40, as fit into a time. A model that has just begun may well be no "
        "better than chance, and its views alike; dead units and constant outputs are what stays."
        f"\n\n{timing.table(head, models)}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/prepared"))
    parser.add_argument("--stand-in", nargs="*", default=[], help="benchmark=image set")
    parser.add_argument("--seconds", type=float, default=90, help="for each of all models")
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--only", choices=["quick", "cmg", "models"])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    rows = Rows(given.rows)
    with tempfile.TemporaryDirectory() as folder:
        if given.only in (None, "quick"):
            quick_rows(rows, given.data, Path(folder))
        loop._Training = FirstSteps
        if given.only in (None, "cmg"):
            cmg_rows(rows, given.data, Path(folder))
        FirstSteps.seconds = given.seconds
        if given.only in (None, "models"):
            stand_ins = dict(one.split("=") for one in given.stand_in)
            model_rows(rows, given.data, Path(folder), stand_ins)
    if given.out:
        given.out.write_text(page(rows.found))


if __name__ == "__main__":
    main()
