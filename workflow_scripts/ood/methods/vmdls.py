"""VMDLS, a variational and metric-based deep latent space (Dinari, Freifeld, UAI 2022).

An encoder is trained so that every ID class becomes a tight Gaussian in a small latent space, far
from the other classes. Then features of four depths and the latent mean are joined, a Gaussian is
fitted to each class, and the score is the best class log-likelihood, negated, weighted by how badly
an auto-encoder reconstructs the image. No OOD image is seen.
"""

import math
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ood.augmentations import by_name
from ood.data.images import ImageSet
from ood.detection.class_gaussians import Depths, fit_gaussians, kept_parts, log_likelihoods
from ood.detection.classifier import build_features, load_features
from ood.detection.contract import Detector, FeatureCache, Fitted
from ood.errors import InputError
from ood.evaluation import open_set
from ood.models.autoencoder import AutoEncoder
from ood.settings.vmdls import VMDLS, VMDLSAutoEncoder, VMDLSEncoder
from ood.training.batches import Batches, batches, split, tensors
from ood.training.device import Compute
from ood.training.loop import train
from ood.training.model_files import TrainingResult, load_model, restore
from ood.training.run import Inputs, Run
from ood.training.validation import Validation

# images in one pass on a CPU where a whole set is looked at
CHUNK = 200
# of the triplet loss; and the margin between classes before its first jump
TRIPLET_MARGIN, FIRST_MARGIN = 0.1, 0.15
# the standard deviation that the KL term pulls each class to
CLASS_SD = 0.1


# The encoder


class Encoder(nn.Module):
    """A backbone and two linear heads; ``forward`` maps images ``[N, C, H, W]`` in [0, 1] to the
    mean and the log variance of the latent, ``[N, L]`` each.

    The buffers are the classes' sums of latents in the epoch in progress and their means in the one
    before: they travel with checkpoints.
    """

    def __init__(self, settings: VMDLSEncoder):
        super().__init__()
        n_classes, latent = settings.n_classes, settings.latent
        self.features = build_features(settings)
        self.mean = nn.Linear(self.features.out_features, latent)
        self.log_variance = nn.Linear(self.features.out_features, latent)
        self.register_buffer("class_means", torch.zeros(n_classes, latent))
        self.register_buffer("class_sums", torch.zeros(n_classes, latent))
        self.register_buffer("class_counts", torch.zeros(n_classes))
        self.register_buffer("epoch", torch.tensor(0))
        self.frozen = False

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.features(images)
        return self.mean(hidden), self.log_variance(hidden)

    def freeze(self, frozen: bool) -> None:
        """Keep the backbone as it is, batch norms included, or release it."""
        self.frozen = frozen
        self.features.requires_grad_(not frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Encoder":
        super().train(mode)
        if self.frozen:
            self.features.eval()
        return self

    def begin_epoch(self, epoch: int) -> None:
        """Turn the sums of the last epoch into means; nothing for the epoch in progress."""
        if int(self.epoch) == epoch:
            return
        self.class_means.copy_(self.current_means())
        self.class_sums.zero_()
        self.class_counts.zero_()
        self.epoch.fill_(epoch)

    def count(self, latents: Tensor, labels: Tensor) -> None:
        self.class_sums.index_add_(0, labels, latents.detach())
        self.class_counts.index_add_(0, labels, torch.ones_like(labels, dtype=torch.float32))

    def current_means(self) -> Tensor:
        """Means ``[K, L]`` of the epoch in progress, 0 for a class without images."""
        return self.class_sums / self.class_counts.clamp(min=1)[:, None]


def kl_term(latents: Tensor, mean: Tensor, log_variance: Tensor, centres: Tensor) -> Tensor:
    """One-sample estimate of KL(N(mean, variance) || N(centre, CLASS_SD^2)), the mean over
    dimensions and images (equally many of each class).

    :param latents: the samples; all ``[N, L]``
    :param centres: of each image's class
    """
    own = -0.5 * ((latents - mean) ** 2 / log_variance.exp() + log_variance)
    wanted = -0.5 * ((latents - centres) / CLASS_SD) ** 2 - math.log(CLASS_SD)
    return (own - wanted).mean()


def metric_loss(latents: Tensor, labels: Tensor, margin: float, unit_sphere: bool) -> Tensor:
    """Triplet and distancing loss, the mean over the triplets of the batch where it is not 0.

    l(a, p, n) = max(0, d(a, p) - d(a, n) + TRIPLET_MARGIN) + max(0, margin - d(a, n)), for all
    anchors a, others p of their class and n of other classes. For each (a, n) the sum over p comes
    from the sorted d(a, p), so that memory grows with the square of the batch, not its cube.

    :param latents: ``[N, L]``
    :param unit_sphere: measure between latents scaled to length 1 (the released code)
    """
    if unit_sphere:
        latents = F.normalize(latents, dim=1)
    # without a product of matrices: exact for near points, and no slope at distance 0
    distances = torch.cdist(latents, latents, compute_mode="donot_use_mm_for_euclid_dist")
    same = labels[:, None] == labels
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    ordered = torch.where(positive, distances, -torch.inf).sort(dim=1).values
    known = ordered.nan_to_num(neginf=0.0)
    # from_here[a, k]: the sum of the anchor's sorted distances from the k-th on
    from_here = F.pad(known.flip(1).cumsum(1).flip(1), (0, 1))
    threshold = distances - TRIPLET_MARGIN
    first = torch.searchsorted(ordered.detach(), threshold.detach().contiguous(), right=True)
    nearer = len(labels) - first
    triplet = from_here.gather(1, first) - nearer * threshold
    apart = F.relu(margin - distances)
    positives = positive.sum(1, keepdim=True)
    total = torch.where(same, 0.0, triplet + positives * apart).sum()
    active = torch.where(same, 0, torch.where(apart > 0, positives, nearer)).sum()
    return total / active.clamp(min=1)


def margin_at(settings: VMDLSEncoder, epoch: int) -> float:
    """The distance asked for between classes in an epoch (from 0).

    It starts at FIRST_MARGIN; from ``margins_epoch`` on each epoch adds ``margin_jump``, until it
    exceeds ``margin_max``.
    """
    jumps = max(0, epoch - settings.margins_epoch + 1)
    most = math.floor((settings.margin_max - FIRST_MARGIN) / settings.margin_jump) + 1
    return FIRST_MARGIN + settings.margin_jump * min(jumps, most)


def balanced_order(labels: Tensor, classes: int, images: int) -> Tensor:
    """Indices of an epoch's batches, each of ``images`` images of each of ``classes`` classes.

    A batch draws its classes without replacement and takes the next images of each; a class is
    shuffled again when it is used up. From PyTorch's global random state.
    """
    n_classes = int(labels.max()) + 1
    classes = min(classes, n_classes)
    members = [(labels == k).nonzero().flatten() for k in range(n_classes)]
    waiting = [torch.empty(0, dtype=torch.int64) for _ in members]
    batches = []
    for _ in range(len(labels) // (classes * images)):
        for k in torch.randperm(n_classes)[:classes].tolist():
            while len(waiting[k]) < images:
                shuffled = members[k][torch.randperm(len(members[k]))]
                waiting[k] = torch.cat([waiting[k], shuffled])
            batches.append(waiting[k][:images])
            waiting[k] = waiting[k][images:]
    return torch.cat(batches)


class Objective:
    """The loss, whose margin and KL weight follow the epochs."""

    def __init__(self, network: Encoder, settings: VMDLSEncoder):
        self.network, self.settings = network, settings
        self.margin, self.kl_weight = FIRST_MARGIN, 0.0

    def begin(self, epoch: int) -> None:
        """Turn to an epoch, from 1."""
        self.network.begin_epoch(epoch)
        self.margin = margin_at(self.settings, epoch - 1)
        started = epoch > self.settings.generation_epoch
        self.kl_weight = self.settings.kl_weight if started else 0.0

    def __call__(self, batch: Tensor, labels: Tensor) -> dict[str, Tensor]:
        mean, log_variance = (value.float() for value in self.network(batch))
        latents = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        self.network.count(latents, labels)
        metric = metric_loss(latents, labels, self.margin, on_sphere(self.settings))
        kl = kl_term(latents, mean, log_variance, self.network.class_means[labels])
        terms = {"loss": metric + self.kl_weight * kl, "metric": metric, "kl": kl}
        return terms | {"margin": torch.full_like(metric, self.margin)}


def on_sphere(settings: VMDLSEncoder) -> bool:
    return settings.latent_distance == "unit_sphere"


class NearestMean:
    """Held-out images are classified by the nearest class mean. With as many of the validation OOD
    set they tell the best epoch: by the macro F1 where 95 % of them are accepted, from the latents
    alone."""

    def __init__(
        self,
        network: Encoder,
        settings: VMDLSEncoder,
        held_out: ImageSet,
        unknown: ImageSet | None,
        compute: Compute,
    ):
        self.network, self.settings, self.compute = network, settings, compute
        self.labels, self.images = held_out.labels, _on_device(held_out, compute)
        self.unknown = None
        if unknown is not None:
            self.unknown = _on_device(unknown.spread(len(held_out)), compute)

    def validation(self) -> Validation:
        best = None if self.unknown is None else self.best_epoch
        return Validation(measure=self.measure, best=best)

    def measure(self) -> dict[str, float]:
        distances, predicted = self.nearest(self.images)
        right = float((predicted == self.labels).mean())
        if self.unknown is None:
            return {"nearest_mean_accuracy": right}
        decisions = open_set.Decisions.joined(
            (distances, predicted, self.labels), self.nearest(self.unknown)
        )
        found = open_set.open_set(decisions, list(range(self.settings.n_classes)))
        return {"nearest_mean_accuracy": right, "ood_f1": found["f1_original"]}

    def nearest(self, images: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Distance of the latent mean to the nearest class mean, and that class."""
        centres = self._scaled(self.network.current_means())

        def to_nearest(part: Tensor) -> tuple[Tensor, Tensor]:
            return torch.cdist(self._scaled(self.network(part)[0].float()), centres).min(1)

        found = self.compute.batched(to_nearest, images, self.compute.chunk(CHUNK))
        values, indices = (one.cpu().numpy() for one in found)
        return values.astype(np.float64), indices

    def _scaled(self, latents: Tensor) -> Tensor:
        return F.normalize(latents, dim=1) if on_sphere(self.settings) else latents

    @staticmethod
    def best_epoch(history: list[dict]) -> int:
        scores = [row["ood_f1"] for row in history]
        return scores.index(max(scores)) + 1 if scores else 0


def _on_device(image_set: ImageSet, compute: Compute) -> Tensor:
    return tensors(image_set)[0].to(compute.device)


def fit_encoder(settings: VMDLSEncoder, inputs: Inputs, run: Run) -> tuple[Encoder, TrainingResult]:
    """Train the encoder, from scratch or from a classifier's backbone.

    :raises InputError: if a batch is larger than the training images
    """
    torch.manual_seed(run.seed)
    network = Encoder(settings)
    _load_backbone(network, inputs)
    network.to(run.compute.device, memory_format=torch.channels_last).train()
    training, held_out = split(inputs.images, settings.validation_share, run.seed)
    data = _balanced_batches(settings, training)
    watched = NearestMean(network, settings, held_out, inputs.validation, run.compute)
    objective = Objective(network, settings)

    def phase(chosen: VMDLSEncoder, run: Run, before: int) -> TrainingResult:
        return train(
            network,
            objective,
            data,
            chosen,
            run,
            validation=watched.validation(),
            before_epoch=lambda epoch: objective.begin(before + epoch),
        )

    if settings.frozen_epochs is None:
        trained = phase(settings, run, 0)
        return network.eval(), trained
    frozen, released = phases(settings)
    network.freeze(True)
    apart = replace(run, checkpoint=run.checkpoint.with_name("checkpoint_frozen.pt"))
    first = phase(frozen, apart, 0)
    network.freeze(False)
    second = phase(released, run, frozen.epochs)
    return network.eval(), _joined(first, second, frozen.epochs)


def _load_backbone(network: Encoder, inputs: Inputs) -> None:
    """Start from the weights of a classifier, or of a file, where the settings name one."""
    started = inputs.models.get("backbone")
    backbone = started.folder / "model.pt" if started else inputs.file
    if backbone is not None:
        state = load_model(backbone)
        load_features(network.features, state.get("state", state), backbone)


def _balanced_batches(settings: VMDLSEncoder, training: ImageSet) -> Batches:
    classes = min(settings.classes_per_batch, settings.n_classes)
    batch_size = classes * settings.images_per_class
    if batch_size > len(training):
        raise InputError(
            f"{classes} classes with {settings.images_per_class} images each are more than the "
            f"{len(training)} training images; lower images_per_class"
        )
    labels = torch.from_numpy(training.labels)
    return batches(
        training,
        batch_size,
        augment=by_name(settings.augmentation),
        order=lambda: balanced_order(labels, classes, settings.images_per_class),
    )


def phases(settings: VMDLSEncoder) -> tuple[VMDLSEncoder, VMDLSEncoder]:
    """Settings while the backbone is frozen, at one learning rate, and after it is released."""
    frozen, optimizer = settings.frozen_epochs, settings.optimizer
    steady = {"learning_rate": settings.frozen_learning_rate, "drops": None}
    return (
        settings.model_copy(
            update={"epochs": frozen, "optimizer": optimizer.model_copy(update=steady)}
        ),
        settings.model_copy(update={"epochs": settings.epochs - frozen}),
    )


def _joined(first: TrainingResult, second: TrainingResult, frozen: int) -> TrainingResult:
    """Both phases as one training."""
    steps = first.history[-1]["step"]
    later = [
        row | {"epoch": row["epoch"] + frozen, "step": row["step"] + steps}
        for row in second.history
    ]
    best = second.best_epoch and frozen + second.best_epoch
    whole = TrainingResult(first.history + later, frozen + second.kept_epoch)
    return replace(whole, best_epoch=best, best_state=second.best_state)


# The auto-encoder


def build_autoencoder(settings: VMDLSAutoEncoder) -> AutoEncoder:
    """An auto-encoder with fresh weights."""
    return AutoEncoder(
        tuple(settings.shape),
        settings.architecture,
        settings.latent,
        settings.width,
        settings.normalization and settings.normalization.plain(),
    )


def restore_autoencoder(content: dict, compute: Compute) -> AutoEncoder:
    """A trained auto-encoder."""
    return restore(build_autoencoder, content, compute)


def fit_autoencoder(
    settings: VMDLSAutoEncoder, inputs: Inputs, run: Run
) -> tuple[AutoEncoder, TrainingResult]:
    """Train with the mean squared error of normalised images."""
    torch.manual_seed(run.seed)
    network = build_autoencoder(settings)
    network.to(run.compute.device, memory_format=torch.channels_last).train()

    def loss(batch: Tensor, labels: Tensor) -> dict[str, Tensor]:
        error = (network(batch).float() - batch) / network.features.sd
        return {"loss": error.square().mean()}

    data = batches(inputs.images, settings.batch_size)
    trained = train(network, loss, data, settings, run)
    return network.eval(), trained


def encoder_health(
    network: Encoder, settings: VMDLSEncoder, image_set: ImageSet, compute: Compute
) -> dict[str, float]:
    """``used_latents``: those whose mean varies over the images."""
    images = tensors(image_set)[0]
    means = compute.batched(lambda part: network(part)[0], images, compute.chunk(CHUNK))
    return {"used_latents": int((means.double().var(0) > 0.01).sum())}


NETWORKS = {"vmdls_encoder": Encoder, "vmdls_autoencoder": build_autoencoder}
MODELS = {"vmdls_encoder": fit_encoder, "vmdls_autoencoder": fit_autoencoder}
HEALTH = {"vmdls_encoder": encoder_health}


# The Gaussians


class Representation(nn.Module):
    """Features of four depths and the latent mean of images, ``[N, D]`` each, float64."""

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.encoder = encoder
        self.depths, self.first_depth = Depths(encoder.features), Depths(encoder.features, 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        found = self.depths(images)
        return [*found, self.encoder.mean(found[-1].float()).double()]


def reconstruction_error(
    representation: Representation, autoencoder: AutoEncoder | None, images: Tensor
) -> Tensor:
    """Mean squared difference of the first depth's features between images and reconstructions,
    float64 ``[N]``; 1 without an auto-encoder."""
    if autoencoder is None:
        return torch.ones(len(images), dtype=torch.float64, device=images.device)
    own, other = (representation.first_depth(batch)[0] for batch in (images, autoencoder(images)))
    return (own - other).square().mean(1)


def fit_statistics(
    settings: VMDLS,
    representation: Representation,
    autoencoder: AutoEncoder | None,
    image_set: ImageSet,
    compute: Compute,
) -> dict:
    """All that the detector needs beside the networks, from one pass over the training images.

    :return: ``kept`` (parts of the features), ``means``, ``factors``, ``added`` (to the variances),
        ``ceiling`` (above all training log-likelihoods) and ``largest_error`` (of reconstruction)
    """

    def parts_and_error(part: Tensor) -> list[Tensor]:
        return [*representation(part), reconstruction_error(representation, autoencoder, part)]

    images, labels = tensors(image_set)
    *parts, errors = compute.batched(parts_and_error, images, compute.chunk(CHUNK))
    labels = labels.to(compute.device)
    kept = kept_parts(parts)
    features = torch.cat([parts[index] for index in kept], dim=1)
    means, factors, added = fit_gaussians(features, labels, settings.jitter, settings.shrinkage)
    highest = max(log_likelihoods(one, means, factors).max() for one in features.split(10_000))
    return {
        "kept": kept,
        "means": means.cpu(),
        "factors": factors.cpu(),
        "added": added,
        "ceiling": float(highest) + 1,
        "largest_error": float(errors.max()),
    }


def fit(settings: VMDLS, inputs: Inputs, run: Run) -> Fitted:
    """The Gaussians, from one pass over the training images."""
    named = ["encoder", *["autoencoder"] * (settings.autoencoder is not None)]
    parts = {part: inputs.models[part] for part in named}
    representation = restore_representation(parts["encoder"].content, run.compute).extractor
    autoencoder = None
    if "autoencoder" in parts:
        autoencoder = restore_autoencoder(parts["autoencoder"].content, run.compute)
    statistics = fit_statistics(settings, representation, autoencoder, inputs.images, run.compute)
    record = settings.record
    if parts["encoder"].use_best:
        record = replace(record, tuned_on=inputs.validation_name)
    return Fitted(
        {part: one.content for part, one in parts.items()} | {"statistics": statistics},
        record,
        sum(one.parameters for one in parts.values()),
        facts={
            "dimensions": statistics["means"].shape[1],
            "kept_parts": statistics["kept"],
            "added_to_variances": statistics["added"],
            "shrinkage": settings.shrinkage,
        },
    )


class VMDLSDetector(Detector):
    """The best class log-likelihood, below the highest of the training images, times the relative
    reconstruction error.

    :param statistics: of ``fit_statistics``
    """

    def __init__(
        self, representation: FeatureCache, autoencoder: AutoEncoder | None, statistics: dict
    ):
        self.representation = representation
        self.autoencoder = autoencoder
        self.statistics = statistics

    def values(self, images: Tensor) -> Tensor:
        """The weighted value of every class, float64 ``[N, K]``, below 0."""
        s, parts = self.statistics, self.representation(images)
        features = torch.cat([parts[index] for index in s["kept"]], dim=1)
        found = log_likelihoods(features, s["means"], s["factors"])
        below = (found - s["ceiling"]).clamp(max=-1e-9)
        weight = reconstruction_error(self.representation.extractor, self.autoencoder, images)
        return below * (weight / s["largest_error"])[:, None]

    def detect(self, images: Tensor) -> tuple[Tensor, Tensor]:
        best = self.values(images).max(1)
        return -best.values, best.indices


def restore_representation(content: dict, compute: Compute) -> FeatureCache:
    """The encoder's features, kept of the last batch."""
    return FeatureCache(Representation(restore(Encoder, content, compute)))


def load(content: dict, compute: Compute) -> VMDLSDetector:
    """The detector of ``fit``."""
    autoencoder = None
    if "autoencoder" in content:
        autoencoder = compute.shared(restore_autoencoder, content["autoencoder"])
    statistics = {
        name: value.to(compute.device) if isinstance(value, Tensor) else value
        for name, value in content["statistics"].items()
    }
    representation = compute.shared(restore_representation, content["encoder"])
    return VMDLSDetector(representation, autoencoder, statistics)
