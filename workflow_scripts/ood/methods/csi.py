"""CSI, contrasting shifted instances (Tack, Mo, Jeong, Shin, NeurIPS 2020, arXiv 2007.08176).

An encoder is trained so that two views of an image lie close together and views of all others far
away. A *shift*, a quarter turn or a swap of halves, makes another instance of an image: its shifted
views count among the others, and a head learns to tell which shift was applied. The score of an
image, over all shifts: the cosine to the nearest training image times the projection's length, and
the logit of the right shift, each divided by its mean over the training images.

With labels the views of one class and one shift belong together. Then linear heads are trained on
the frozen trunk: one for the classes, which with the trunk is an ordinary classifier (that CMG can
fine-tune), and one for all pairs of class and shift, whose softmax is averaged over the shifts.
"""

import logging

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ood.augmentations.views import Views
from ood.data.images import ImageSet, to_tensor, to_unit
from ood.detection import classifier as classifiers
from ood.detection.contract import Detector, FeatureCache, Fitted
from ood.detection.logit_scores import largest_probability
from ood.errors import InputError
from ood.models.base import Classifier, Head
from ood.settings.csi import CSI, CSIClassifier, CSIEncoder
from ood.training.batches import Batches, batches, tensors
from ood.training.device import Compute, state_digest
from ood.training.health import class_health
from ood.training.loop import train
from ood.training.model_files import TrainingResult, restore
from ood.training.run import Inputs, Run, derive_seed

log = logging.getLogger(__name__)

# images in one pass on a CPU where a whole set is looked at
CHUNK = 200
# shifts by name
SHIFTS = {"none": 1, "rotation": 4, "cutperm": 4}


# Shifts


def shifted(images: Tensor, kind: str, shift: int) -> Tensor:
    """``[N, C, H, W]`` in a shift of ``kind``; 0 is the image itself. ``rotation``: quarter turns
    counter-clockwise. ``cutperm``: 2 a + b swaps upper and lower half if a, left and right if b.

    :raises InputError: where halves cannot be swapped
    """
    if kind == "cutperm":
        height, width = images.shape[2:]
        if height % 2 or width % 2:
            raise InputError("shift 'cutperm' needs images of even height and width")
        return images.roll((shift // 2 * (height // 2), shift % 2 * (width // 2)), (2, 3))
    return torch.rot90(images, shift, (2, 3))


# The encoder


class Encoder(nn.Module):
    """A trunk with a projection head (linear, ReLU, linear) and a shift head (linear).

    ``forward`` maps images ``[N, C, H, W]`` in [0, 1] to projections ``[N, P]``, not of length 1,
    and shift logits ``[N, K]``.
    """

    def __init__(self, settings: CSIEncoder):
        super().__init__()
        self.features = classifiers.build_features(settings)
        width = self.features.out_features
        self.projection = Head(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, settings.projection)
        )
        self.shift = Head(nn.Linear(width, SHIFTS[settings.shift]))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.features(images)
        return self.projection(hidden), self.shift(hidden)


def views_of(settings: CSIEncoder) -> Views:
    """What an encoder's views are drawn from."""
    jitter = settings.jitter.plain()
    return Views(settings.flip, tuple(settings.crop), jitter, size=settings.resize)


def draw_views(images: Tensor, views: Views, kind: str, copies: int) -> tuple[Tensor, Tensor]:
    """Views of images ``[B, C, H, W]``: copy by copy, in each shift by shift, in each image by
    image. The shifted forms of one copy share the flip.

    :return: views ``[copies * K * B, C, S, S]`` and their shifts, int64
    """
    shifts, batch = SHIFTS[kind], len(images)
    count = copies * shifts * batch
    drawn = views.draw(count, images.shape[2:], images.device)
    flips = drawn["flip"].view(copies, shifts, batch)[:, :1]
    drawn["flip"] = flips.expand(copies, shifts, batch).flatten()
    order = torch.arange(shifts, device=images.device).repeat_interleave(batch).repeat(copies)
    if kind == "cutperm":
        moved = [shifted(images, kind, shift) for shift in range(shifts)]
        return views.apply(torch.cat(moved * copies), drawn, torch.zeros_like(order)), order
    return views.apply(images.repeat(copies * shifts, 1, 1, 1), drawn, order), order


def cosines(projections: Tensor, temperature: float) -> Tensor:
    """s_ij / temperature of all pairs of views, -inf of a view with itself, ``[M, M]``."""
    unit = F.normalize(projections, dim=1)
    found = unit @ unit.T / temperature
    return found.masked_fill(torch.eye(len(unit), dtype=torch.bool, device=unit.device), -torch.inf)


def similarity_loss(projections: Tensor, temperature: float) -> Tensor:
    """NT-Xent: the mean of -log softmax of each view's partner among all other views, the same
    image in another shift too.

    :param projections: ``[2 N, P]``; view i and view i + N are of one image and shift
    """
    logits, half = cosines(projections, temperature), len(projections) // 2
    partners = torch.arange(len(logits), device=logits.device).roll(-half)
    return F.cross_entropy(logits, partners)


def supervised_loss(projections: Tensor, groups: Tensor, temperature: float) -> Tensor:
    """The same with all other views of a view's group for partners, averaged within the group.

    The released code keeps the view itself among them, a constant without gradient; ours does not.

    :param groups: int64 ``[M]``, of class and shift; each has at least two views
    """
    logits = cosines(projections, temperature)
    same = groups[:, None] == groups
    same.fill_diagonal_(False)
    chances = F.log_softmax(logits, dim=1).masked_fill(~same, 0)
    return -(chances.sum(1) / same.sum(1)).mean()


def fit_encoder(settings: CSIEncoder, inputs: Inputs, run: Run) -> tuple[Encoder, TrainingResult]:
    """Train trunk, projection and shift head on pairs of views."""
    torch.manual_seed(run.seed)
    network = Encoder(settings).to(run.compute.device, memory_format=torch.channels_last).train()
    views, kind, classes = views_of(settings), settings.shift, settings.n_classes
    temperature = settings.temperature

    def loss(images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        batch, shifts = draw_views(images, views, kind, copies=2)
        projections, logits = network(batch)
        terms = {"norm": projections.norm(dim=1).mean()}
        # the likelihoods of 1,024 views need more digits than bfloat16 has
        with torch.autocast(images.device.type, enabled=False):
            if settings.labeled:
                groups = labels.repeat(len(batch) // len(labels)) + classes * shifts
                return terms | {"loss": supervised_loss(projections, groups, temperature)}
            similarity = similarity_loss(projections, temperature)
            if kind == "none":
                return terms | {"loss": similarity}
            shift = F.cross_entropy(logits, shifts)
        accuracy = (logits.argmax(1) == shifts).float().mean()
        terms |= {"similarity": similarity, "shift": shift, "shift_accuracy": accuracy}
        return terms | {"loss": similarity + shift}

    images = inputs.images.spread(settings.training_images)
    data = batches(images, settings.batch_size)
    trained = train(network, loss, data, settings, run)
    return network.eval(), trained


# Linear heads on the frozen trunk of a labelled encoder


class Joint(Classifier):
    """The trunk with an output for each pair of class and shift, k C .. k C + C - 1 of shift k. The
    buffer says which kind of shift the encoder has, by its place in ``SHIFTS``."""

    def __init__(self, features: nn.Module, n_classes: int):
        super().__init__(features, None, max(SHIFTS.values()) * n_classes)
        self.register_buffer("kind", torch.tensor(0))


def build_head(settings: CSIClassifier) -> Classifier:
    """The trunk with a linear head: for the classes an ordinary classifier, or ``Joint``."""
    if settings.joint:
        return Joint(classifiers.build_features(settings), settings.n_classes)
    return classifiers.build(settings)


def fit_head(
    settings: CSIClassifier, inputs: Inputs, run: Run
) -> tuple[Classifier, TrainingResult]:
    """Train a linear head with cross-entropy on features of augmented views (one copy of each
    shift; the classes' head sees unshifted views alone).

    :raises InputError: if the head is ``joint`` and the encoder knows no shifts
    """
    saved, compute = inputs.models["encoder"], run.compute
    kind, classes = saved.settings.shift if settings.joint else "none", settings.n_classes
    if settings.joint and kind == "none":
        raise InputError(f"{saved.name}: a joint head needs an encoder with a shift, not 'none'")
    torch.manual_seed(run.seed)
    network = build_head(settings)
    if settings.joint:
        network.kind.fill_(list(SHIFTS).index(kind))
    classifiers.load_features(network.features, saved.state, saved.folder)
    network.to(compute.device, memory_format=torch.channels_last).eval()
    network.features.requires_grad_(False)
    views = views_of(saved.settings)
    image_set = inputs.images.spread(saved.settings.training_images)
    images, labels = (part.to(compute.device) for part in tensors(image_set))

    def features(number: int) -> Tensor:
        """Of one draw of all images, ``[N, K, D]``."""
        torch.manual_seed(derive_seed(run.seed, "views", number))

        def of_one_draw(part: Tensor) -> Tensor:
            batch, _ = draw_views(part, views, kind, copies=1)
            hidden = network.features(batch).float()
            return hidden.view(SHIFTS[kind], len(part), -1).transpose(0, 1)

        return compute.batched(of_one_draw, images, compute.chunk(CHUNK))

    kept: dict[int, Tensor] = {}
    data = Batches(torch.empty(len(labels), 0), labels, settings.batch_size)

    def begin(epoch: int) -> None:
        number = (epoch - 1) % settings.passes
        if number not in kept:
            if settings.epochs <= settings.passes:
                # none comes again
                kept.clear()
            kept[number] = features(number)
        data.inputs = kept[number]

    def loss(batch: Tensor, targets: Tensor) -> dict[str, Tensor]:
        logits = network.head(batch).float()
        shifts = torch.arange(batch.shape[1], device=batch.device)
        wanted = targets[:, None] + classes * shifts
        accuracy = (logits.argmax(2) == wanted).float().mean()
        return {
            "loss": F.cross_entropy(logits.flatten(0, 1), wanted.flatten()),
            "accuracy": accuracy,
        }

    trained = train(network, loss, data, settings, run, part=network.head, before_epoch=begin)
    return network.eval(), trained


def encoder_health(
    network: Encoder, settings: CSIEncoder, image_set: ImageSet, compute: Compute
) -> dict[str, float]:
    """``positives_over_negatives``: the mean cosine of two views of an image, less that of views of
    different images; both are 1 where the encoder has collapsed."""
    images = to_unit(to_tensor(image_set.images).to(compute.device))
    views = views_of(settings)
    with torch.random.fork_rng(), torch.no_grad(), compute.autocast():
        torch.manual_seed(0)
        batch, _ = draw_views(images, views, "none", copies=2)
        first, second = F.normalize(network(batch)[0].double(), dim=1).chunk(2)
    products = first @ second.T
    count = len(products)
    same = float(products.diagonal().mean())
    other = float(products.sum() - products.diagonal().sum()) / (count * (count - 1))
    return {"positives_over_negatives": same - other}


def head_health(
    network: Classifier, settings: CSIClassifier, image_set: ImageSet, compute: Compute
) -> dict[str, float]:
    """What its predictions of unshifted training images say."""
    return class_health(network, settings.n_classes, image_set, compute)


NETWORKS = {"csi_encoder": Encoder, "csi_classifier": build_head}
MODELS = {"csi_encoder": fit_encoder, "csi_classifier": fit_head}
HEALTH = {"csi_encoder": encoder_health, "csi_classifier": head_health}


# The detectors


def draw_samples(settings: CSI, encoder: CSIEncoder, state: dict[str, Tensor]) -> list[dict]:
    """The parameters with which every image is looked at, one set for each sample and shift: the
    score is a function of the image. They follow from the encoder's weights; none where images are
    looked at as they are.
    """
    if settings.test_crop is None:
        return []
    views = Views(encoder.flip, (settings.test_crop, settings.test_crop), size=encoder.resize)
    torch.manual_seed(derive_seed("samples", state_digest(state)))
    count = settings.test_samples * SHIFTS[encoder.shift]
    drawn = views.draw(count, tuple(encoder.shape[:2]), torch.device("cpu"))
    return [
        {name: value[i : i + 1].tolist() for name, value in drawn.items()} for i in range(count)
    ]


class Passes(nn.Module):
    """Images ``[N, C, H, W]`` -> projections ``[K, N, P]`` and the logit of the right shift
    ``[K, N]`` of every shifted form, averaged over the samples; float32.

    :param drawn: see ``draw_samples``
    """

    def __init__(self, encoder: Encoder, settings: CSIEncoder, drawn: list[dict]):
        super().__init__()
        self.encoder, self.kind, self.drawn = encoder, settings.shift, drawn
        # applied to drawn windows alone: the flip comes before the shift
        self.views = Views(False, None, size=settings.resize)
        self.shifts = SHIFTS[self.kind]

    def _views(self, images: Tensor, shift: int) -> list[Tensor]:
        moved = shifted(images, self.kind, shift)
        if not self.drawn:
            return [moved]
        none, found = torch.zeros(len(images), dtype=torch.int64, device=images.device), []
        for drawn in self.drawn[shift :: self.shifts]:
            start = shifted(images.flip(3), self.kind, shift) if bool(drawn["flip"]) else moved
            window = drawn["window"].expand(len(images), -1)
            found.append(self.views.apply(start, {"flip": none, "window": window}, none))
        return found

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        projections, logits = [], []
        for shift in range(self.shifts):
            found = [self.encoder(views) for views in self._views(images, shift)]
            projections.append(torch.stack([one for one, _ in found]).mean(0))
            logits.append(torch.stack([one[:, shift] for _, one in found]).mean(0))
        return torch.stack(projections), torch.stack(logits)


def restore_passes(content: dict, compute: Compute) -> FeatureCache:
    """The encoder's passes, kept of the last batch.

    :param content: of the encoder; its settings have ``drawn``, too
    """
    drawn = [
        {name: torch.tensor(value, device=compute.device) for name, value in one.items()}
        for one in content["settings"]["drawn"]
    ]
    settings = CSIEncoder.read(content["settings"])
    return FeatureCache(Passes(restore(Encoder, content, compute), settings, drawn))


def fit_statistics(passes: nn.Module, image_set: ImageSet, compute: Compute) -> dict:
    """What the score compares with, from the training images.

    :return: ``known``, their directions ``[K, M, P]``; ``lengths`` and ``logits``, the mean of the
        projections' lengths and of the right shifts' logits, ``[K]`` (1 / lambda and 1 / mu)
    """
    images = tensors(image_set)[0]
    # the images' dimension in front, to be joined
    projections, logits = compute.batched(
        lambda part: [one.transpose(0, 1) for one in passes(part)], images, compute.chunk(CHUNK)
    )
    projections = projections.transpose(0, 1).contiguous()
    return {
        "known": F.normalize(projections, dim=2).cpu(),
        "lengths": projections.double().norm(dim=2).mean(1).cpu(),
        "logits": logits.T.contiguous().double().mean(1).cpu(),
    }


def fit(settings: CSI, inputs: Inputs, run: Run) -> Fitted:
    """A detector on an encoder, or on a joint head."""
    if settings.score == "joint":
        saved = inputs.models["classifier"]
        content = {"score": "joint", "classifier": saved.content}
        return Fitted(content, settings.record, saved.parameters)
    saved = inputs.models["encoder"]
    encoder = saved.content
    encoder["settings"] = encoder["settings"] | {
        "drawn": draw_samples(settings, saved.settings, saved.state)
    }
    passes = restore_passes(encoder, run.compute).extractor
    known = inputs.images.spread(settings.known_images)
    statistics = fit_statistics(passes, known, run.compute)
    means = [float(value) for value in statistics["logits"]]
    log.info("mean length %s, mean logit of the right shift %s", statistics["lengths"], means)
    whole = settings.score == "whole" and saved.settings.shift != "none"
    flags = []
    if whole and min(means) <= 0:
        whole = False
        flags.append("no shift part: a mean logit of the right shift is not positive")
    return Fitted(
        {"score": settings.score, "encoder": encoder, "statistics": statistics, "whole": whole},
        settings.record,
        saved.parameters,
        facts={"mean_lengths": statistics["lengths"].tolist(), "mean_shift_logits": means},
        flags=flags,
    )


class CSIDetector(Detector):
    """-(similarity + shift): over the shifts k the mean of length times cosine to the nearest
    training image over the mean length, and of the right shift's logit over its mean.

    :param whole: whether the shift part counts
    """

    def __init__(self, passes: FeatureCache, statistics: dict[str, Tensor], whole: bool):
        self.passes, self.statistics, self.whole = passes, statistics, whole

    def parts(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Similarity and shift part, float64 ``[N]``; means over the training images are 1."""
        projections, logits = self.passes(images)
        s = self.statistics
        # bfloat16 or TF32 would make near images equal
        with torch.autocast(images.device.type, enabled=False):
            nearest = [
                (mine @ known.T).max(1).values
                for mine, known in zip(projections.float(), s["known"], strict=True)
            ]
        similarity = (torch.stack(nearest).double() / s["lengths"][:, None]).mean(0)
        return similarity, (logits.double() / s["logits"][:, None]).mean(0)

    def detect(self, images: Tensor) -> tuple[Tensor, None]:
        similarity, shift = self.parts(images)
        return -(similarity + shift) if self.whole else -similarity, None


class JointDetector(Detector):
    """The largest softmax value of the logits that the joint head gives the right shift, averaged
    over the shifted forms of the image; negated."""

    def __init__(self, network: FeatureCache):
        self.network = network

    def detect(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(images)
        return -largest_probability(logits), logits.argmax(1)


class Averaged(nn.Module):
    """Images -> the joint head's logits for the shift in question, averaged over the shifts,
    float64 ``[N, C]``."""

    def __init__(self, network: Classifier, kind: str, n_classes: int):
        super().__init__()
        self.network, self.kind, self.n_classes = network, kind, n_classes

    def forward(self, images: Tensor) -> Tensor:
        found = [
            self.network(shifted(images, self.kind, k)).double().split(self.n_classes, dim=1)[k]
            for k in range(SHIFTS[self.kind])
        ]
        return torch.stack(found).mean(0)


def restore_joint(content: dict, compute: Compute) -> FeatureCache:
    """A joint head on its trunk, which keeps its last batch."""
    network = restore(build_head, content, compute)
    kind = list(SHIFTS)[int(network.kind)]
    return FeatureCache(Averaged(network, kind, content["settings"]["n_classes"]))


def load(content: dict, compute: Compute) -> CSIDetector | JointDetector:
    """The detector of ``fit``."""
    if content["score"] == "joint":
        return JointDetector(compute.shared(restore_joint, content["classifier"]))
    statistics = {name: value.to(compute.device) for name, value in content["statistics"].items()}
    passes = compute.shared(restore_passes, content["encoder"])
    return CSIDetector(passes, statistics, content["whole"])
