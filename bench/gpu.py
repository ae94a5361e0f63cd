"""What a GPU makes of the workflow, in one command of at most eight minutes.

    python bench/gpu.py [--device cuda] [--minutes 8] [--out gpu.json]

It needs the workflow's packages, and says as a table and as JSON:

1. scores: every method's scores on the device against those on the CPU, on models that are trained
   on the CPU at `smoke` scale. A method passes if 99 of 100 differences are below its tolerance, in
   units of the scores' standard deviation; TF32 is off meanwhile. Every detector is also fitted on
   the device.
2. speed: for every model, at `paper` scale or another, training steps per second in the workflow's
   own loop, in float32 (with TF32, as the workflow has it) and bfloat16, as CUDA graphs and
   without, against a minimal loop around the same net, and against a plain port of WRN-28-10 and
   PixelCNN++; memory; how often a step waits for the device, and how many operators it starts; for
   ResNet-18 and WRN-28-10 the share of the device's matrix products per second; how long OODGen
   draws a pool.
   With `--compile` also what `compile: on` makes of it, with `--deterministic` what that costs and
   whether two trainings are equal.
3. hours: what training takes, model by model and for each method, with all that it needs.

What does not fit into the minutes, or fails, is left out by name. `--out` is written as results
come. `--methods` or `--models` without names leaves that part out.
"""

import argparse
import importlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import gpu_plan
import numpy as np
import peers
import timing
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from ood.config.kinds import settings_of
from ood.data.images import ImageSet
from ood.detection import classifier as classifiers
from ood.detection.contract import run as run_detectors
from ood.errors import InputError
from ood.files import atomic
from ood.methods import cmg, csi, leave_out, likelihood_ratio, oodgen, vmdls
from ood.models.pixelcnn import mixture_log_probability
from ood.training import graphs as graphs_module
from ood.training import loop
from ood.training.device import Compute, state_digest
from ood.training.model_files import TrainedModel, restore, save_trained
from ood.training.run import Inputs, Run

PLAN = gpu_plan.plan()
CPU = Compute(torch.device("cpu"))
# of the score's standard deviation; a step along a gradient's sign goes the other way where the
# gradient is 0 but for rounding
TOLERANCE, TOLERANCE_OF_STEPS = 1e-3, 0.1
STEPPING = ("odin", "leave_out")
# what the CPU asks of a GPU
LAUNCHES = ("cudaLaunch", "cuLaunch", "cudaGraphLaunch", "cudaMemcpyAsync", "cudaMemsetAsync")
PAGE = "\n".join(
    [
        "# On a GPU",
        "",
        "Written by `python bench/gpu.py --page docs/gpu.md --read bench/gpu/*.json` from what its "
        "runs left.",
        "",
        "* *graph*, *compiled*, *deterministic*: speed against the same training without graphs, "
        "not compiled, not deterministic. Rates are with graphs.",
        "* *operators per step*: what a training step starts, on a GPU kernels and copies, on a "
        "CPU PyTorch's operators; *with a graph* what is left beside it.",
        "* *hours*: of a whole training; of a method with all models that it needs.",
    ]
)
# nets whose speed is compared with that of matrix products
ROOFLINE = ("resnet18", "wide_resnet")


def pictures(count: int, shape: list[int], classes: int, seed: int = 0) -> ImageSet:
    """Random images, each class around a pattern of its own, in turn."""
    generator = np.random.default_rng(seed)
    patterns = np.random.default_rng(1).integers(0, 200, (classes, *shape), np.uint8)
    labels = np.arange(count) % classes
    blurred = generator.integers(0, 56, (count, *shape), np.uint8)
    blurred += patterns[labels]
    return ImageSet(blurred, labels.astype(np.int64))


class Nothing(graphs_module.CUDA):
    """A graph that computes nothing: what a step does beside it."""

    def __init__(self, device: torch.device):
        pass

    def watched(self, work: Callable, *given: torch.Tensor) -> None:
        work(*given)

    def captured(self, work: Callable, *given: torch.Tensor) -> Callable:
        return lambda: None


class Bench:
    """One run: a device, a folder for models, and a time by which to end."""

    def __init__(self, device: str, seconds: float, folder: Path, plan: dict = PLAN):
        self.device, self.folder, self.plan = torch.device(device), folder, plan
        self.end = time.monotonic() + seconds
        self.left_out: list[str] = []
        self.runs = 0

    def late(self, name: str) -> bool:
        """Whether there is no time for more; ``name`` is noted then."""
        if time.monotonic() < self.end:
            return False
        self.left_out.append(name)
        return True

    def compute(self, precision: str = "float32", **more) -> Compute:
        return Compute(self.device, precision, **more)

    def run(self, compute: Compute) -> Run:
        # a fit that takes a minute leaves a checkpoint, which is of no other fit
        self.runs += 1
        checkpoint = self.folder / f"checkpoint{self.runs}.pt"
        return Run(0, compute, checkpoint, "", origin=(0, "bench"))

    def fit_model(self, one: dict, images: ImageSet, compute: Compute, folder: Path):
        module = importlib.import_module(one["module"])
        inputs = Inputs(images, validation=images, models=saved(one, folder))
        settings = settings_of("models", one["settings"])
        return module.MODELS[settings.type](settings, inputs, self.run(compute))

    # 1. Scores

    def scores(self, chosen: list[str] | None) -> dict:
        """By method the 99th percentile of the differences, and whether that passes."""
        if chosen == []:
            return {}
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        plan, folder = chosen_of(self.plan["scores"], chosen), self.folder / "scores"
        first = next(iter(plan["models"].values()))["settings"]
        shape, classes = first["shape"], first["n_classes"]
        images = pictures(400, shape, classes)
        judged = ImageSet(
            np.concatenate([pictures(100, shape, classes, 2).images, noise(100, shape)]),
            np.zeros(200, np.int64),
        )
        for name, one in in_order(plan["models"]).items():
            network, trained = self.fit_model(one, images, CPU, folder)
            save_trained(folder / name, one["settings"], network, trained)
        found, generated = {}, set()
        for name, one in plan["methods"].items():
            if self.late(f"scores of {name}"):
                continue
            module = importlib.import_module(one["module"])
            inputs = Inputs(
                images, validation=judged, validation_name="x", models=saved(one, folder)
            )
            settings = settings_of("methods", one["settings"])
            fitted = module.fit(settings, inputs, self.run(CPU))
            own = self.compute()
            try:
                on = {
                    kind: run_detectors({"": module.load(fitted.content, m)}, judged, m)[""]
                    for kind, m in (("cpu", CPU), ("device", own))
                }
            except ModuleNotFoundError as error:
                self.left_out.append(f"scores of {name} ({error})")
                continue
            apart = np.abs(on["cpu"][0] - on["device"][0]) / max(on["cpu"][0].std(), 1e-12)
            tolerance = TOLERANCE_OF_STEPS if steps(one["settings"]) else TOLERANCE
            worst = float(np.quantile(apart, 0.99))
            found[name] = {
                "difference": worst,
                "tolerance": tolerance,
                "same_predictions": float((on["cpu"][1] == on["device"][1]).mean()),
                "passes": worst <= tolerance,
            }
            module.fit(settings, inputs, self.run(own))
            if hasattr(module, "generate") and one["module"] not in generated:
                generated.add(one["module"])
                self.generate(module, one, plan, images, folder)
        return found

    def generate(self, module, one: dict, plan: dict, images: ImageSet, folder: Path) -> None:
        """Pseudo-OOD images on the device, to see that they come."""
        owner = one
        if "cvae" not in one["models"]:
            owner = plan["models"][one["models"]["classifier"]]
        inputs = Inputs(
            images, images, tuple(range(images.labels.max() + 1)), models=saved(owner, folder)
        )
        plain = owner["settings"]
        settings = module.GENERATED_FROM.read(plain.get("generation", plain))
        module.generate(settings, inputs, self.run(self.compute()))

    # 2. Speed

    def speed(
        self,
        seconds: float,
        chosen: list[str] | None,
        compiled: bool = False,
        deterministic: bool = False,
        keep: Callable[[dict], None] = lambda found: None,
    ) -> dict:
        """By model what training it costs.

        :param seconds: for a model, about; 0 counts operators alone
        :param keep: called with what there is after each model
        """
        if chosen == []:
            return {}
        peaks, found = {}, {}
        if seconds:
            peaks = {precision: self.peak(precision) for precision in ("float32", "bfloat16")}
            found = {"matrix products": {"tflops": peaks}}
        for benchmark, plan in self.plan["speed"].items():
            folder = self.folder / benchmark
            for name, one in in_order(plan["models"]).items():
                title = f"{benchmark}/{name}"
                wanted = chosen is None or title in chosen
                if not wanted or self.late(title):
                    continue
                begun = time.monotonic()
                try:
                    for other in one["models"].values():
                        self.prepare(plan["models"], other, folder)
                    found[title] = self.model(one, folder, seconds, peaks, compiled, deterministic)
                except (InputError, RuntimeError) as error:
                    # out of memory; or a generator of a few steps is too poor for others
                    self.left_out.append(f"{title} ({str(error).splitlines()[0]})")
                    continue
                print(f"  {title}: {time.monotonic() - begun:.1f} s", flush=True)
                keep(found)
        return found

    def prepare(self, models: dict, name: str, folder: Path) -> None:
        """A model that another one starts from, after a step or two."""
        one = models[name]
        if not (folder / name / "model.pt").exists():
            # after two steps a VAE can give all images the same latent
            longer = self.device.type == "cuda" or one["settings"]["type"] == "oodgen_cvae"
            images, short = shortened(one, 100 if longer else 2)
            network, trained = self.fit_model(short, images, self.compute(), folder)
            save_trained(folder / name, one["settings"], network, trained)

    def model(
        self,
        one: dict,
        folder: Path,
        seconds: float,
        peaks: dict,
        compiled: bool = False,
        deterministic: bool = False,
    ) -> dict:
        settings, batch = one["settings"], batch_size(one["settings"])
        row: dict = {"batch": batch}
        if not seconds:
            row["operators_per_step"] = self.events(one, folder, False)[1]
            row["operators_with_graph"] = self.events(one, folder, True)[1]
            return row
        cuda = self.device.type == "cuda"
        # a part of the time for each of two epochs in both precisions, as graphs and without, and
        # for the minimal loop; a net whose steps are slow takes one step
        _, rate = self.timed(one, folder, self.compute(), 1)
        count = int(min(max(20 if cuda else 1, rate / batch * seconds / (10 if cuda else 6)), 1500))
        for precision in ("float32", "bfloat16"):
            if cuda:
                torch.cuda.reset_peak_memory_stats()
            compute = self.compute(precision, graphs=cuda)
            _, rate = self.timed(one, folder, compute, count)
            row[precision] = {"steps_per_second": rate / batch, "hours": hours(one, rate)}
            if cuda:
                row[precision]["mib"] = torch.cuda.max_memory_allocated() / 2**20
                _, eager = self.timed(one, folder, self.compute(precision), count)
                row[precision]["graph"] = rate / eager
            if compiled:
                # what was compiled of one net counts against a limit
                torch.compiler.reset()
                compute = self.compute(precision, graphs=cuda, compile=True)
                _, faster = self.timed(one, folder, compute, count)
                row[precision]["compiled"] = faster / rate
            if deterministic:
                row[precision] |= self.repeated(one, folder, precision, count, rate)
            if settings.get("architecture") in ROOFLINE and settings["type"] == "classifier":
                share = self.flops(one) * rate / 1e12 / peaks[precision]
                row[precision]["share_of_products"] = share
        row["waits_per_step"], row["operators_per_step"] = self.events(one, folder, False)
        row["operators_with_graph"] = self.events(one, folder, True)[1]
        if cuda and settings["type"] == "oodgen_classifier":
            row["pool_seconds"] = self.pool_seconds(one, folder)
        network, loss = minimal(one)
        row["minimal_loop"] = self.minimal_rate(network, loss, one, seconds / 3)
        if settings["type"] == "classifier" and settings["architecture"] == "wide_resnet":
            row["plain_port"] = self.minimal_rate(
                peers.wide_resnet(), lambda net, x, y: F.cross_entropy(net(x), y), one, seconds / 3
            )
        if settings["type"] == "pixelcnn":
            channels = settings["shape"][2]
            row["plain_port"] = self.minimal_rate(
                peers.PixelCNN(channels, settings["filters"], settings["residual_layers"]),
                lambda net, x, y: -mixture_log_probability(x * 255, net(x * 255), 1, False).mean(),
                one,
                seconds / 3,
            )
        return row

    def timed(self, one: dict, folder: Path, compute: Compute, count: int):
        """The network after two epochs of so many steps, and images per second of the last."""
        images, short = shortened(one, count)
        network, trained = self.fit_model(short, images, compute, folder)
        return network, trained.history[-1]["images_per_second"]

    def repeated(self, one: dict, folder: Path, precision: str, count: int, rate: float) -> dict:
        """How fast two deterministic trainings are against ``rate``, and whether they are equal; or
        why there are none."""
        fast = torch.backends.cudnn.benchmark
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
        compute = self.compute(precision, graphs=self.device.type == "cuda")
        try:
            runs = [self.timed(one, folder, compute, count) for _ in range(2)]
        except RuntimeError as error:
            return {"deterministic": str(error).splitlines()[0]}
        finally:
            torch.use_deterministic_algorithms(False)
            torch.backends.cudnn.benchmark = fast
        digests = {state_digest(network.state_dict()) for network, _ in runs}
        fastest = max(speed for _, speed in runs)
        return {"deterministic": fastest / rate, "equal": len(digests) == 1}

    def pool_seconds(self, one: dict, folder: Path) -> float:
        """A pool of OODGen's type I, the second of two; random images."""
        settings = settings_of("models", one["settings"])
        saved_vae = saved(one, folder)["vae"]
        cvae = restore(oodgen.build_cvae, saved_vae.content, self.compute())
        count = settings.pool_size
        base = oodgen.encode(cvae, pictures(count, settings.shape, settings.n_classes))
        generator = oodgen.Generator(cvae, settings.generation, [], base)
        for _ in range(2):
            timing.wait(self.device.type)
            begun = time.perf_counter()
            generator.type1(generator.sample(count))
            timing.wait(self.device.type)
        return time.perf_counter() - begun

    def minimal_rate(self, network, loss, one: dict, seconds: float) -> float:
        """Steps per second of a minimal loop."""
        settings, batch = one["settings"], batch_size(one["settings"])
        # whole batches: for another size a GPU would look for algorithms anew
        count = batch * -(-2000 // batch)
        images = pictures(count, settings["shape"], settings["n_classes"])
        stored = torch.from_numpy(images.images).permute(0, 3, 1, 2).contiguous()
        labels = torch.from_numpy(images.labels)
        taken = peers.minimal_steps(
            network.to(self.device).train(),
            loss,
            stored,
            labels,
            settings_of("models", settings).optimizer,
            self.device,
            batch,
        )
        for _ in range(3):
            next(taken)
        timing.wait(self.device.type)
        begun, count = time.perf_counter(), 0
        while (passed := time.perf_counter() - begun) < seconds / 2 or count < 2:
            next(taken)
            count += 1
        return count / passed

    def events(self, one: dict, folder: Path, graphs: bool) -> tuple[int, int]:
        """Of a training step: how often it waits for the device, on a CPU how often it reads a
        number; and how many operators it starts, on a GPU kernels, copies and graphs. What would be
        a graph on a GPU counts for nothing on a CPU."""
        kinds, names = (
            [torch.profiler.ProfilerActivity.CPU],
            [("aten::_local_scalar_dense",), ("aten::",)],
        )
        if self.device.type == "cuda":
            kinds.append(torch.profiler.ProfilerActivity.CUDA)
            names = [("cudaStreamSynchronize",), LAUNCHES]
        original, capture, counts, taken = loop._Training._step, loop.CUDA, [], []

        def profiled(training, *arguments):
            taken.append(1)
            # once a graph is there
            if len(taken) != graphs_module.WARM_UP + 2:
                return original(training, *arguments)
            with torch.profiler.profile(activities=kinds) as profile:
                original(training, *arguments)
            events = profile.key_averages()
            counts.extend(sum(e.count for e in events if e.key.startswith(name)) for name in names)

        loop._Training._step = profiled
        if self.device.type == "cpu":
            loop.CUDA = Nothing
        try:
            if self.device.type == "cpu":
                # as many operators as in a whole batch
                one = one | {"settings": one["settings"] | small_batch(one["settings"])}
            images, short = shortened(one, graphs_module.WARM_UP + 2, epochs=1)
            self.fit_model(short, images, self.compute(graphs=graphs), folder)
        finally:
            loop._Training._step, loop.CUDA = original, capture
        return tuple(counts)

    def flops(self, one: dict) -> float:
        """Of a training step, for each image."""
        network = classifiers.build(settings_of("models", one["settings"]))
        height, width, channels = one["settings"]["shape"]
        with FlopCounterMode(display=False) as counter:
            network(torch.rand(2, channels, height, width)).sum().backward()
        return counter.get_total_flops() / 2

    def peak(self, precision: str) -> float:
        """Tera floating-point operations per second of a large product of matrices."""
        size = 8192 if self.device.type == "cuda" else 1024
        one = torch.randn(size, size, device=self.device, dtype=getattr(torch, precision))
        taken = timing.alternate({"": lambda: one @ one}, 10, self.device.type)[""]
        return 2 * size**3 / taken / 1e12


def chosen_of(plan: dict, methods: list[str] | None) -> dict:
    """The plan for some methods, with the models that they need."""
    if methods is None:
        return plan
    chosen = {name: plan["methods"][name] for name in methods}
    needed, waiting = set(), list(chosen.values())
    while waiting:
        for named in waiting.pop()["models"].values():
            names = [named] if isinstance(named, str) else named
            needed |= set(names)
            waiting += [plan["models"][name] for name in names]
    models = {name: one for name, one in plan["models"].items() if name in needed}
    return {"models": models, "methods": chosen}


def noise(count: int, shape: list[int]) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, *shape), np.uint8)


def steps(settings: dict) -> bool:
    """Whether a score takes a step along a gradient's sign."""
    return settings.get("score", settings["pipeline"]) in STEPPING


def saved(one: dict, folder: Path) -> dict:
    """The models that an entry names, from a folder."""
    return {
        key: [TrainedModel(folder / name) for name in named]
        if isinstance(named, list)
        else TrainedModel(folder / named)
        for key, named in one["models"].items()
    }


def in_order(models: dict) -> dict:
    """Those that others start from first."""
    return dict(sorted(models.items(), key=lambda item: bool(item[1]["models"])))


def batch_size(settings: dict) -> int:
    if "batch_size" in settings:
        return settings["batch_size"]
    classes = min(settings["classes_per_batch"], settings["n_classes"])
    return classes * settings["images_per_class"]


def small_batch(settings: dict) -> dict:
    """Settings for few images in a step."""
    if "batch_size" not in settings:
        return {"images_per_class": 2}
    counts = {"type1_per_batch": 2, "type2_per_batch": 2, "pseudo_per_batch": 2}
    return {"batch_size": 4} | {name: n for name, n in counts.items() if name in settings}


def kept_share(settings: dict) -> float:
    """Of the ID images, those that a training epoch goes through."""
    share = 1 - settings.get("validation_share", 0)
    if settings["type"] == "leave_out_member":
        share *= 1 - 1 / settings["groups"]
    return share


def hours(one: dict, rate: float) -> float:
    """Of a whole training at so many images per second."""
    settings = one["settings"]
    if "steps" in settings:
        return settings["steps"] * settings["batch_size"] / rate / 3600
    return settings["epochs"] * one["images"] * kept_share(settings) / rate / 3600


def shortened(one: dict, count: int, epochs: int = 2) -> tuple[ImageSet, dict]:
    """Images for epochs of so many steps (at most those of a whole one), and the entry with
    settings for as many epochs."""
    settings = dict(one["settings"])
    if "validation_share" in settings:
        # of few images some of each class have to validate
        settings["validation_share"] = max(0.3, settings["validation_share"])
    wanted = int(np.ceil((count + 0.5) * batch_size(settings) / kept_share(settings)))
    number = min(max(wanted, 200), one["images"])
    images = pictures(number, settings["shape"], settings["n_classes"])
    if "steps" in settings:
        settings |= {"steps": epochs * count, "evaluate_every": count}
    else:
        settings["epochs"] = epochs
    if "frozen_epochs" in settings:
        # what is released is what takes long
        settings |= {"frozen_epochs": 1, "epochs": 1 + epochs}
    # what is done once an epoch belongs to a whole one
    share = len(images) / one["images"]
    for name in ("validation_images", "pool_size"):
        if name in settings:
            settings[name] = max(50, int(settings[name] * share))
    return images, one | {"settings": settings}


def minimal(one: dict):
    """The same net and loss without the workflow around them."""
    settings = settings_of("models", one["settings"])
    kind, classes = settings.type, settings.n_classes
    if kind in ("classifier", "oodgen_classifier"):
        # as many images beside the ID images as OODGen puts there
        beside = (getattr(settings, f"type{n}_per_batch", 0) for n in (1, 2))
        more = sum(beside) / settings.batch_size

        def loss(net, x, y):
            repeats = -(-int(len(x) * (1 + more)) // len(x))
            many = x.repeat(repeats, 1, 1, 1)[: int(len(x) * (1 + more))]
            return F.cross_entropy(net(many)[: len(x)], y)

        return classifiers.build(settings), loss
    if kind == "leave_out_member":
        network = leave_out.Member(settings)

        def loss(net, x, y):
            logits = net(torch.cat([x, x]))
            kept = y % logits.shape[1]
            return leave_out.margin_loss(logits[: len(x)], kept, logits[len(x) :], 0.4, 0.2)["loss"]

        return network, loss
    if kind in ("cmg_cvae", "oodgen_cvae"):
        module = cmg if kind == "cmg_cvae" else oodgen
        return module.build_cvae(settings), lambda net, x, y: module.cvae_loss(x, *net(x, y))[
            "loss"
        ]
    if kind == "pixelcnn":
        network = likelihood_ratio.build(settings)
        return network, lambda net, x, y: -net.log_probability(x * 255).sum((1, 2)).mean()
    if kind == "vmdls_autoencoder":
        network = vmdls.build_autoencoder(settings)
        return network, lambda net, x, y: (net(x) - x).square().mean()
    if kind == "csi_encoder":

        def loss(net, x, y):
            batch, _ = csi.draw_views(x, csi.views_of(settings), settings.shift, 2)
            return csi.similarity_loss(net(batch)[0], settings.temperature)

        return csi.Encoder(settings), loss
    if kind == "csi_classifier":
        return csi.build_head(settings), lambda net, x, y: F.cross_entropy(net(x), y)
    if kind == "vmdls_encoder":

        def loss(net, x, y):
            mean, log_variance = net(x)
            centres = torch.zeros(classes, mean.shape[1], device=mean.device)[y]
            metric = vmdls.metric_loss(mean, y, 0.15, False)
            return metric + vmdls.kl_term(mean, mean, log_variance, centres)

        return vmdls.Encoder(settings), loss
    raise ValueError(f"no minimal loop for models of type {kind}")


def summary(found: dict) -> str:
    """The tables."""
    parts = []
    speed = dict(found["speed"])
    if peaks := speed.pop("matrix products", {}).get("tflops"):
        parts.append(
            f"Matrix products: {peaks['float32']:.1f} TFLOP/s in float32, "
            f"{peaks['bfloat16']:.1f} in bfloat16."
        )
    parts += [filled(rows) for rows in (speed_rows(speed), step_rows(speed)) if rows]
    lines = [
        [name, *(f"{row[precision]:.2f}" for precision in ("float32", "bfloat16"))]
        for name, row in found["hours"].items()
    ]
    if lines:
        parts.append(timing.table(["hours", "float32", "bfloat16"], lines))
    for name, row in speed.items():
        if "pool_seconds" in row:
            parts.append(f"A pool of type I for {name}: {row['pool_seconds']:.1f} s.")
    if rows := found.get("scores"):
        lines = [
            [name, f"{r['difference']:.1e}", f"{r['tolerance']:g}", "yes" if r["passes"] else "NO"]
            for name, r in rows.items()
        ]
        parts.append(timing.table(["scores of", "99 % below", "tolerance", "passes"], lines))
    if found["left_out"]:
        parts.append("Left out: " + ", ".join(found["left_out"]))
    return "\n\n".join(parts)


def speed_rows(speed: dict) -> list[dict[str, str]]:
    """What is known of each model's speed in each precision, by column."""
    rows = []
    for name, row in speed.items():
        for precision in ("float32", "bfloat16"):
            if not (one := row.get(precision)):
                continue
            rate = one["steps_per_second"]
            cells = {"model": name, "precision": precision, "batch": str(row["batch"])}
            cells |= {"steps/s": f"{rate:.1f}", "hours": f"{one['hours']:.2f}"}
            for kind in ("graph", "compiled"):
                if kind in one:
                    cells[kind] = f"{one[kind]:.2f} x"
            if "deterministic" in one:
                cells["deterministic"] = repeated(one)
            if "share_of_products" in one:
                cells["of products"] = f"{100 * one['share_of_products']:.0f} %"
            if "mib" in one:
                cells["MiB"] = f"{one['mib']:.0f}"
            for kind in ("plain_port", "minimal_loop"):
                if kind in row and precision == "float32":
                    cells[f"{kind.replace('_', ' ')}, steps/s"] = f"{row[kind]:.1f}"
            rows.append(cells)
    return rows


def step_rows(speed: dict) -> list[dict[str, str]]:
    """What a step of each model starts, by column."""
    return [
        {
            "model": name,
            "operators per step": str(row["operators_per_step"]),
            "with a graph": str(row["operators_with_graph"]),
        }
        | ({"waits per step": str(row["waits_per_step"])} if "waits_per_step" in row else {})
        for name, row in speed.items()
    ]


def filled(rows: list[dict[str, str]]) -> str:
    """A table of the columns that any row has."""
    header = list(dict.fromkeys(name for row in rows for name in row))
    return timing.table(header, [[row.get(name, "") for name in header] for row in rows])


def page(files: list[Path]) -> str:
    """What files of ``--out`` hold."""
    parts = [PAGE]
    for path in files:
        found = json.loads(path.read_text())
        head = f"## {found['device']}, `{found['scale']}` scale, PyTorch {found['torch']}"
        parts += [head, summary(found)]
    return "\n\n".join(parts) + "\n"


def repeated(row: dict) -> str:
    """What ``deterministic: on`` costs in one precision."""
    found = row.get("deterministic", "")
    if isinstance(found, str):
        return found
    return f"{found:.2f} x, {'equal' if row['equal'] else 'NOT EQUAL'}"


def hours_of_methods(speed: dict, plans: dict) -> dict:
    """Of the methods all of whose models were measured.

    :param plans: by benchmark
    """
    found = {}
    for benchmark, plan in plans.items():
        for method, counts in plan["methods"].items():
            rows = {f"{benchmark}/{name}": count for name, count in counts.items()}
            if all("float32" in speed.get(name, {}) for name in rows):
                found[f"{benchmark}/{method}"] = {
                    precision: sum(n * speed[name][precision]["hours"] for name, n in rows.items())
                    for precision in ("float32", "bfloat16")
                }
    return found


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument(
        "--seconds", type=float, default=6, help="for each model; 0: operators alone"
    )
    parser.add_argument("--compile", action="store_true", help="also measure compile: on")
    parser.add_argument("--deterministic", action="store_true", help="and deterministic: on")
    parser.add_argument("--scale", default="paper", choices=["smoke", "quick", "paper"])
    parser.add_argument("--models", nargs="*", help="<benchmark>/<model>; all by default")
    parser.add_argument("--methods", nargs="*", help="whose scores to compare; all by default")
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    parser.add_argument("--page", type=Path, help="only write a page of files of --out")
    parser.add_argument("--read", type=Path, nargs="+", help="the files of --page")
    chosen = parser.parse_args(arguments)
    if chosen.page:
        with atomic(chosen.page) as temporary:
            temporary.write_text(page(chosen.read))
        return {"scores": {}}
    logging.disable(logging.INFO)
    if chosen.deterministic:
        # read when the first product is computed
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        # the last half minute is for what is under way
        plan = gpu_plan.plan(chosen.scale)
        bench = Bench(chosen.device, 60 * chosen.minutes - 30, Path(folder), plan)
        cuda = chosen.device == "cuda"
        found: dict = {
            "device": torch.cuda.get_device_name() if cuda else timing.processor(),
            "torch": torch.__version__,
            "scale": chosen.scale,
            "scores": {},
            "speed": {},
        }

        def keep(part: str, rows: dict) -> None:
            found[part] = rows
            found["hours"] = hours_of_methods(found["speed"], plan["speed"])
            found["left_out"] = bench.left_out
            if chosen.out:
                with atomic(chosen.out) as temporary:
                    temporary.write_text(json.dumps(found, indent=1) + "\n")

        keep("scores", bench.scores(chosen.methods))
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
        speed = bench.speed(
            chosen.seconds,
            chosen.models,
            chosen.compile,
            chosen.deterministic,
            lambda rows: keep("speed", rows),
        )
        keep("speed", speed)
    print(summary(found))
    print(json.dumps(found))
    return found


if __name__ == "__main__":
    found = main()
    raise SystemExit(not all(row["passes"] for row in found["scores"].values()))
