"""What the workflow computes, against the libraries and the plain ways that do the same, on a CPU.

    make bench        # writes docs/speed.md
    python bench/cpu.py [--only metrics training ...] [--out docs/speed.md]

The ways of a comparison take turns in one process with one thread; a figure is the median. PyTorch
flushes denormal numbers to zero, as the workflow lets it, but where a row says otherwise.
"""

import argparse
import json
import os
import tempfile
import tracemalloc
from dataclasses import replace
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import gpu_plan
import numpy as np
import peers
import timing
import torch
import torch.nn.functional as F
from gpu import minimal

from ood.augmentations.crop_flip import crop_flip
from ood.augmentations.views import Views
from ood.config.kinds import settings_of
from ood.data.images import to_unit
from ood.detection import classifier as classifiers
from ood.evaluation import metrics, open_set, tables
from ood.methods import baselines, cmg, oodgen, vmdls
from ood.models import densenet, wide_resnet
from ood.models.base import Classifier, Normalized
from ood.models.pixelcnn import PixelCNN, mixture_log_probability
from ood.models.vae import OneHotCVAE
from ood.settings.baselines import Baselines
from ood.settings.training import SGD as SGDSettings
from ood.settings.training import Adam, Steps
from ood.training.batches import Batches
from ood.training.device import Compute
from ood.training.loop import train
from ood.training.optimizers import build_optimizer
from ood.training.run import Run

CPU = Compute(torch.device("cpu"))
HALF = Compute(torch.device("cpu"), "bfloat16")
PAPER = gpu_plan.plan()["speed"]
# of a training that is timed
STEPS = 8
# of each kind that takes long on a CPU
COMPILED = [
    ("mnist", "classifier"),
    ("mnist", "cvae"),
    ("mnist", "foreground"),
    ("mnist", "oodgen_vae"),
    ("mnist", "small_classifier"),
    ("mnist", "vmdls_autoencoder"),
    ("mnist", "csi_encoder"),
    ("cifar10", "classifier"),
    ("cifar10", "wide_member_group_0"),
]
ADAM = Adam(name="adam", learning_rate=1e-3)
SGD = SGDSettings(name="sgd", learning_rate=0.1, momentum=0.9, nesterov=False, weight_decay=5e-4)


def of_paper(model: str, benchmark: str = "mnist"):
    """A model's settings at `paper` scale."""
    return settings_of("models", PAPER[benchmark]["models"][model]["settings"])


class Report:
    """Rows of a table: what, ours, a peer, and how many times as long it takes."""

    def __init__(self) -> None:
        self.rows: list[list[str]] = []

    def compare(self, what: str, ways: dict, repeats: int = 5, per: float = 1) -> dict:
        """Time the ways; the first is ours.

        :param per: parts of the work, a figure is of one of them
        """
        found = timing.alternate(ways, repeats)
        ours = next(iter(found))
        for name in list(found)[1:]:
            ratio = f"{found[name] / found[ours]:.2f}"
            line = [what, duration(found[ours] / per), name, duration(found[name] / per), ratio]
            self.rows.append(line)
            print(" | ".join(line), flush=True)
        return found

    def compare_memory(self, what: str, ways: dict) -> None:
        """The largest memory of arrays and objects while each works; the first is ours."""
        found = {}
        for name, way in ways.items():
            tracemalloc.start()
            way()
            found[name] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        ours = next(iter(found))
        for name in list(found)[1:]:
            line = [f"{what}, memory", f"{found[ours] / 2**20:.0f} MiB", name]
            line += [f"{found[name] / 2**20:.0f} MiB", f"{found[name] / found[ours]:.2f}"]
            self.rows.append(line)
            print(" | ".join(line), flush=True)


def duration(seconds: float) -> str:
    units = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))
    unit, size = next((one for one in units if seconds >= one[1]), units[-1])
    return f"{seconds / size:.3g} {unit}"


def compare_metrics(report: Report) -> None:
    from pytorch_ood.metrics import OODMetrics
    from sklearn import metrics as theirs
    from torchmetrics.functional.classification import (
        binary_auroc,
        binary_average_precision,
        binary_roc,
    )

    generator = np.random.default_rng(0)
    known, unknown = generator.normal(size=10_000), generator.normal(1, 1, 10_000)
    joined, labels = np.append(known, unknown), np.repeat([0, 1], 10_000)
    tensors = torch.from_numpy(joined), torch.from_numpy(labels)

    def sklearn():
        theirs.roc_auc_score(labels, joined)
        theirs.roc_curve(labels, joined)
        theirs.average_precision_score(labels, joined)
        theirs.average_precision_score(1 - labels, -joined)

    def torchmetrics():
        # probabilities, or it takes the sigmoid, which ties what is far out
        probabilities = tensors[0].sigmoid()
        binary_auroc(probabilities, tensors[1])
        binary_roc(probabilities, tensors[1])
        binary_average_precision(probabilities, tensors[1])
        binary_average_precision(1 - probabilities, 1 - tensors[1])

    def pytorch_ood():
        counter = OODMetrics()
        counter.update(tensors[0], -tensors[1])
        counter.compute()

    ways = {"ours": partial(metrics.evaluate, known, unknown), "pytorch-ood": pytorch_ood}
    ways |= {"torchmetrics": torchmetrics, "scikit-learn": sklearn}
    report.compare("all metrics of 20,000 scores", ways)

    def again():
        drawn = np.random.default_rng(0)
        for _ in range(20):
            metrics.evaluate(drawn.choice(known, 10_000), drawn.choice(unknown, 10_000))

    ranking = metrics.Ranking(known, unknown)
    ways = {"ours": partial(metrics.bootstrap, ranking, 20), "sorting each resample": again}
    report.compare("a bootstrap resample of 20,000 scores", ways, per=20)

    count, classes = 500_000, list(range(10))
    scores = [generator.normal(mean, 1, count) for mean in (0, 1)]
    drawn = [generator.integers(0, 10, count) for _ in range(3)]
    decisions = open_set.Decisions.joined((scores[0], *drawn[:2]), (scores[1], drawn[2]))
    truth = decisions.labels

    def at_one_threshold():
        accepted = np.where(decisions.scores <= 1.6, decisions.predictions, -1)
        theirs.f1_score(truth, accepted, labels=[*classes, -1], average="macro")

    ways = {"ours": partial(open_set.open_set, decisions, classes)}
    ways |= {"scikit-learn's f1_score at one threshold": at_one_threshold}
    what = "open-set metrics of 1,000,000 scores at every threshold"
    report.compare(what, ways, 3)
    report.compare_memory(what, ways)


def compare_scores(report: Report) -> None:
    from pytorch_ood import detector as theirs
    from sklearn.neighbors import NearestNeighbors

    torch.manual_seed(0)
    hidden, known = torch.randn(500, 512), torch.randn(10_000, 512)
    labels = torch.arange(10_000) % 10
    other = theirs.Mahalanobis(lambda x: x)
    other.fit_features(known, labels)
    means = torch.stack([known[labels == k].double().mean(0) for k in range(10)])
    factor = torch.linalg.cholesky(torch.cov(known.double().T))
    whitening = torch.linalg.inv(factor).T
    precision = whitening @ whitening.T

    def product():
        offsets = hidden.double()[:, None] - means
        return 0.5 * ((offsets @ precision) * offsets).sum(2).min(1).values

    ours = partial(baselines.mahalanobis, hidden, means @ whitening, whitening)
    ways = {"ours": ours, "a product with the precision for each class": product}
    ways["pytorch-ood (float32)"] = partial(other.predict_features, hidden)
    report.compare("Mahalanobis scores of 500 images, D = 512, K = 10", ways, per=500)

    hidden, known = F.normalize(hidden, dim=1), F.normalize(known, dim=1)
    neighbours = NearestNeighbors(n_neighbors=50).fit(known.numpy())
    ways = {"ours": partial(baselines.neighbour_distance, hidden, known, 50)}
    ways["scikit-learn"] = partial(neighbours.kneighbors, hidden.numpy())
    report.compare("the 50th of 10,000 neighbours, 500 images, D = 512", ways, per=500)

    classifier = (
        classifiers.build(of_paper("small_classifier")).eval().to(memory_format=torch.channels_last)
    )
    model = baselines.IDLogits(classifier, 10)
    plain = {"pipeline": "baselines", "score": "odin", "classifier": "classifier"}
    settings = Baselines.read(plain | {"temperature": 1000, "epsilon": 0.0014})
    one = baselines.Baseline(settings, model, {})
    other, images = theirs.ODIN(model, eps=0.0014, temperature=1000), torch.rand(500, 1, 28, 28)

    def ours():
        with torch.no_grad():
            return one.detect(images)

    def plain():
        with torch.no_grad():
            return other.predict(images), model(images).argmax(1)

    report.compare("ODIN and predictions, 28×28", {"ours": ours, "pytorch-ood": plain}, per=500)


def compare_losses(report: Report) -> None:
    from pytorch_metric_learning.losses import TripletMarginLoss

    def backward(loss, latents):
        loss(latents.requires_grad_()).backward()

    theirs = TripletMarginLoss(margin=vmdls.TRIPLET_MARGIN)
    for count in (200, 500):
        latents, labels = torch.randn(count, 32), torch.arange(count) % 10
        ways = {
            "ours": partial(backward, lambda x, y=labels: vmdls.metric_loss(x, y, 0, True)),
            "pytorch-metric-learning": partial(backward, lambda x, y=labels: theirs(x, y)),
        }
        ways = {name: partial(way, latents) for name, way in ways.items()}
        report.compare(f"triplet loss and gradient, batch of {count}", ways)


def compare_training(report: Report) -> None:
    images = torch.randint(0, 256, (2560, 1, 28, 28), dtype=torch.uint8)
    labels = torch.arange(2560) % 10

    def ours(build, loss, settings, compute=CPU):
        torch.manual_seed(0)
        network = build(settings).to(memory_format=torch.channels_last).train()
        data = Batches(images, labels, settings.batch_size)
        chosen = Steps(steps=STEPS, evaluate_every=STEPS, batch_size=64, optimizer=ADAM)
        with tempfile.TemporaryDirectory() as folder:
            run = Run(0, compute, Path(folder) / "checkpoint.pt", "")
            train(network, partial(loss, network), data, chosen, run)

    def minimal(build, loss, settings, fused):
        network = build(settings).to(memory_format=torch.channels_last).train()
        taken = peers.minimal_steps(
            network,
            lambda net, x, y: loss(net, x, y)["loss"],
            images,
            labels,
            ADAM,
            torch.device("cpu"),
            settings.batch_size,
            fused=fused,
        )
        for _ in range(STEPS):
            next(taken)

    def cross_entropy(network, batch, targets):
        return {"loss": F.cross_entropy(network(batch).float(), targets)}

    def error(network, batch, targets):
        return {"loss": (network(batch).float() - batch).square().mean()}

    def cvae_loss(module):
        return lambda network, x, y: module.cvae_loss(x, *network(x, y))

    kinds = {
        "classifier": (classifiers.build, cross_entropy),
        "small_classifier": (classifiers.build, cross_entropy),
        "backbone_classifier": (classifiers.build, cross_entropy),
        "oodgen_vae": (oodgen.build_cvae, cvae_loss(oodgen)),
        "cvae": (partial(with_small_maps, cmg.build_cvae), cvae_loss(cmg)),
        "vmdls_autoencoder": (vmdls.build_autoencoder, error),
    }
    for name, (build, loss) in kinds.items():
        settings = of_paper(name).model_copy(update={"batch_size": 64})
        ways = {
            "ours": partial(ours, build, loss, settings),
            "a minimal loop": partial(minimal, build, loss, settings, True),
            "a minimal loop, the optimiser not fused": partial(
                minimal, build, loss, settings, False
            ),
            "ours in bfloat16": partial(ours, build, loss, settings, HALF),
        }
        what = f"training step of MNIST's {name}, 64 images"
        report.compare(what, ways, 3, per=STEPS)


def with_small_maps(build, settings):
    """The published padding of 15 makes a net of 103 million parameters."""
    return build(settings.model_copy(update={"padding": 1}))


def compare_compiled(report: Report) -> None:
    """Steps of nets that take long on a CPU, at `quick` scale, and scoring; compiling takes some
    minutes in all."""

    def steps(one, compute):
        torch.manual_seed(0)
        settings = settings_of("models", one["settings"])
        network, loss = minimal(one)
        network = network.to(memory_format=torch.channels_last).train()
        computed = compute.compiled(partial(loss, network))
        optimizer = build_optimizer(list(network.parameters()), settings.optimizer)
        height, width, channels = settings.shape
        batch = torch.rand(settings.batch_size, channels, height, width)
        labels = torch.arange(len(batch)) % settings.n_classes
        while True:
            with compute.autocast():
                value = computed(batch, labels)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            yield

    plans = gpu_plan.plan("quick")["speed"]
    for benchmark, name in COMPILED:
        # what was compiled of one net counts against a limit
        torch.compiler.reset()
        one = plans[benchmark]["models"][name]
        runs = {
            "ours": steps(one, CPU),
            "compiled": steps(one, replace(CPU, compile=True)),
            "bfloat16": steps(one, HALF),
            "bfloat16, compiled": steps(one, replace(HALF, compile=True)),
        }
        ways = {kind: partial(next, taken) for kind, taken in runs.items()}
        report.compare(f"training step of `{benchmark}/{name}` at `quick`", ways)
    compare_scoring(report, compiled=True)


def compare_scoring(report: Report, compiled: bool = False) -> None:
    images = torch.rand(500, 1, 28, 28)

    def score(network, compute):
        with torch.no_grad(), compute.autocast():
            network(images)

    for name in ("classifier", "small_classifier", "backbone_classifier"):
        network = classifiers.build(of_paper(name)).eval().to(memory_format=torch.channels_last)
        ways = {"float32": partial(score, network, CPU), "bfloat16": partial(score, network, HALF)}
        if compiled:
            torch.compiler.reset()
            fast = torch.compile(network, dynamic=False)
            ways["float32, compiled"] = partial(score, fast, CPU)
            ways["bfloat16, compiled"] = partial(score, fast, HALF)
        report.compare(f"scoring with MNIST's {name}", ways, per=500)


def compare_generation(report: Report) -> None:
    cvae = OneHotCVAE((28, 28, 1), 10).to(memory_format=torch.channels_last)
    cvae.eval().requires_grad_(False)
    latents, count = torch.randn(32, 8), 32
    one_hot = cvae.one_hot(torch.arange(count) % 10)
    chunk = oodgen.JACOBIAN_CHUNK

    def ours():
        with torch.no_grad():
            for z, y in zip(latents.split(chunk), one_hot.split(chunk), strict=True):
                oodgen.projected_directions(oodgen.decoder_jacobian(cvae, z, y))

    ways = {
        "ours": ours,
        "a gradient for each pixel": lambda: oodgen.projected_directions(
            peers.jacobian_by_pixel(cvae, latents, one_hot)
        ),
        "autograd.functional.jacobian and a full SVD": lambda: peers.null_space_one_by_one(
            cvae, latents, one_hot
        ),
    }
    report.compare("OODGen's type I direction, 28×28, L = 8", ways, 3, per=count)


def compare_pixelcnn(report: Report) -> None:
    torch.manual_seed(0)
    plain, own = peers.PixelCNN(), PixelCNN((28, 28, 1)).to(memory_format=torch.channels_last)
    batch = torch.randint(0, 256, (32, 1, 28, 28)).float()
    optimizers = {
        id(plain): torch.optim.Adam(plain.parameters(), lr=1e-4),
        id(own): build_optimizer(own.parameters(), ADAM.model_copy(update={"learning_rate": 1e-4})),
    }

    def step(network, flush, compute=CPU):
        torch.set_flush_denormal(flush)
        with compute.autocast():
            outputs = network(batch)
        loss = -mixture_log_probability(batch, outputs.float(), 1, False).sum((1, 2)).mean()
        optimizers[id(network)].zero_grad(set_to_none=True)
        loss.backward()
        optimizers[id(network)].step()
        torch.set_flush_denormal(True)

    def score(network):
        with torch.no_grad():
            mixture_log_probability(batch.double(), network(batch).double(), 1, False)

    ways = {
        "ours": partial(step, own, True),
        "a plain port": partial(step, plain, False),
        "a plain port, denormal numbers flushed": partial(step, plain, True),
        "ours in bfloat16": partial(step, own, True, HALF),
    }
    report.compare("PixelCNN++ of the paper, training, an image", ways, 3, per=32)
    ways = {"ours": partial(score, own), "a plain port": partial(score, plain)}
    report.compare("PixelCNN++ of the paper, scoring, an image", ways, 3, per=32)


def compare_backbones(report: Report) -> None:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (2000, 3, 32, 32), dtype=torch.uint8)
    labels, batch = torch.randint(0, 10, (2000,)), 16

    def own_steps(features, compute):
        net = Classifier(Normalized(features, peers.MEAN, peers.SD), None, 10)
        net = net.to(memory_format=torch.channels_last).train()
        augment, optimizer = crop_flip(), build_optimizer(net.parameters(), SGD)
        while True:
            chosen = torch.randint(0, len(images), (batch,))
            with compute.autocast():
                logits = net(augment(to_unit(images[chosen])))
            loss = F.cross_entropy(logits.float(), labels[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            yield

    nets = {
        "DenseNet-BC-100-12": (peers.densenet, densenet.Features),
        "WRN-28-10": (peers.wide_resnet, wide_resnet.Features),
    }
    for name, (plain, features) in nets.items():
        runs = {
            "ours": own_steps(features((32, 32, 3)), CPU),
            "a plain net, PIL transforms in a DataLoader": peers.picture_steps(
                plain().train(), images, labels, batch
            ),
            "ours in bfloat16": own_steps(features((32, 32, 3)), HALF),
        }
        ways = {kind: partial(next, steps) for kind, steps in runs.items()}
        report.compare(f"{name}, training, an image", ways, 2, per=batch)


def compare_layouts(report: Report) -> None:
    batch, labels = torch.rand(32, 3, 32, 32), torch.arange(32) % 10

    def steps(name, layout, compute):
        changes = {"architecture": name, "width": 0.5}
        settings = of_paper("classifier", "cifar10").model_copy(update=changes)
        network = classifiers.build(settings).to(memory_format=layout).train()
        optimizer = build_optimizer(network.parameters(), ADAM)
        while True:
            with compute.autocast():
                loss = F.cross_entropy(network(batch).float(), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            yield

    last, first = torch.channels_last, torch.contiguous_format
    for name in ("resnet18", "vgg"):
        runs = {
            "ours": steps(name, last, CPU),
            "channels first": steps(name, first, CPU),
            "ours in bfloat16": steps(name, last, HALF),
        }
        ways = {kind: partial(next, one) for kind, one in runs.items()}
        report.compare(f"{name}, half width, training, an image", ways, 3, per=32)


def compare_views(report: Report) -> None:
    images, turns = torch.rand(256, 3, 32, 32), torch.arange(4).repeat_interleave(64)
    jitter = dict.fromkeys(("value", "contrast", "saturation"), 0.4) | {"hue": 0.0708}
    views = Views(True, (0.08, 1.0), jitter)

    def ours():
        views.apply(images, views.draw(256, (32, 32), images.device), turns)

    ways = {
        "ours": ours,
        "the published chain, step by step": partial(
            peers.views_step_by_step, images, 4, 0.0708, 0.4
        ),
        "torchvision's transforms, image by image": partial(
            peers.views_one_by_one, images, 4, 0.0708, 0.4
        ),
    }
    report.compare("256 views of CSI, 32×32×3", ways, 5)


def compare_tables(report: Report) -> None:
    import pandas as pd

    row = metrics.evaluate(np.arange(300.0), np.arange(100.0, 400.0), 10)
    row |= dict.fromkeys(tables.KEYS, "x") | {"seed": 0}
    row["provenance"] = {"inputs": {f"results/quick/x/{n}": "0" * 64 for n in range(60)}}

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.json" for number in range(2000)]
        for path in paths:
            path.write_text(json.dumps(row))
        ways = {
            "ours": partial(tables.metrics_table, paths),
            "pandas with all that the files hold": lambda: pd.DataFrame(
                [json.loads(path.read_text()) for path in paths]
            ),
        }
        report.compare("a cell of metrics.csv", ways, 3, per=len(paths))
        report.compare_memory("2,000 cells of metrics.csv", ways)


PARTS = {
    "metrics": compare_metrics,
    "scores": compare_scores,
    "losses": compare_losses,
    "training": compare_training,
    "compiled": compare_compiled,
    "scoring": compare_scoring,
    "generation": compare_generation,
    "pixelcnn": compare_pixelcnn,
    "backbones": compare_backbones,
    "layouts": compare_layouts,
    "views": compare_views,
    "tables": compare_tables,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    usual = [name for name in PARTS if name != "compiled"]
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=usual)
    parser.add_argument("--out", type=Path, help="where to write the table")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    report = Report()
    for name in chosen.only:
        PARTS[name](report)
    if chosen.out:
        header = ["what", "ours", "against", "takes", "times as long"]
        title, how = "Speed", "make bench"
        if chosen.only == ["compiled"]:
            title, how = "Compiled steps", "python bench/cpu.py --only compiled"
        text = (
            f"# {title}\n\nWritten by `{how}`: the ways of a row take turns in one process with "
            f"one thread, a figure is the median. {timing.processor()}; PyTorch "
            f"{torch.__version__}.\n\n"
        )
        chosen.out.write_text(text + timing.table(header, report.rows) + "\n")


if __name__ == "__main__":
    main()
