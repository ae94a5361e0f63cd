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
from ood.data.images import ImageSet, to_unit
from ood.detection.class_gaussians import fit_gaussians, kept_parts, log_likelihoods
from ood.detection.classifier import build_features, depths, load_features
from ood.detection.contract import Fitted, Record, Remembered
from ood.errors import InputError
from ood.evaluation import metrics
from ood.models.autoencoder import AutoEncoder
from ood.training.batches import batches, split, tensors
from ood.training.device import Compute
from ood.training.loop import train
from ood.training.model_files import TrainingResult, frozen, load_model
from ood.training.run import Inputs, Run
from ood.training.validation import Validation

# images in one pass on a CPU where a whole set is looked at
CHUNK = 200
# of the triplet loss; and the margin between classes before its first jump
TRIPLET_MARGIN, FIRST_MARGIN = 0.1, 0.15
# the standard deviation that the KL term pulls each class to
CLASS_SD = 0.1

RECORD = Record(
    title="Variational- and Metric-based Deep Latent Space for Out-of-Distribution Detection",
    authors="Dinari, Freifeld",
    year=2022,
    arxiv=None,
    seed_settings="released code BGU-CS-VIL/vmdls",
    tuned_on="nothing",
)


# The encoder


class Encoder(nn.Module):
    """A backbone and two linear heads; ``forward`` maps images ``[N, C, H, W]`` in [0, 1] to the
    mean and the log variance of the latent, ``[N, L]`` each.

    The buffers are the classes' sums of latents in the epoch in progress and their means in the one
    before: they travel with checkpoints.
    """

    def __init__(self, settings: dict):
        super().__init__()
        n_classes, latent = settings["n_classes"], settings["latent"]
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


def restore(settings: dict, state: dict[str, Tensor], compute: Compute) -> Encoder:
    """A frozen encoder in eval mode from its settings and state."""
    return frozen(Encoder(settings), state, compute)


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


def margin_at(settings: dict, epoch: int) -> float:
    """The distance asked for between classes in an epoch (from 0).

    It starts at FIRST_MARGIN; from ``margins_epoch`` on each epoch adds ``margin_jump``, until it
    exceeds ``margin_max``.
    """
    jumps = max(0, epoch - settings["margins_epoch"] + 1)
    most = math.floor((settings["margin_max"] - FIRST_MARGIN) / settings["margin_jump"]) + 1
    return FIRST_MARGIN + settings["margin_jump"] * min(jumps, most)


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


def fit_encoder(settings: dict, inputs: Inputs, run: Run) -> tuple[Encoder, TrainingResult]:
    """Train the encoder.

    :param settings: of ``Encoder`` and ``train``; ``classes_per_batch`` (at most) and
        ``images_per_class``; ``kl_weight``, from epoch ``generation_epoch`` on;
        ``latent_distance``; of ``margin_at``; ``validation_share`` of the images, which are
        classified by the nearest class mean. With as many of the validation OOD set they tell the
        best epoch: by the macro F1 where 95 % of them are accepted, from the latents alone. With a
        ``backbone`` (a model) or ``backbone_weights`` (a file) to start from, see
        ``load_features``, ``frozen_epochs`` in which only the heads learn, at
        ``frozen_learning_rate``
    """
    started = inputs.models.get("backbone")
    backbone = started.folder / "model.pt" if started else inputs.file
    torch.manual_seed(run.seed)
    network = Encoder(settings)
    if backbone is not None:
        state = load_model(backbone)
        load_features(network.features, state.get("state", state), backbone)
    network.to(run.compute.device, memory_format=torch.channels_last).train()
    training, held_out = split(inputs.images, settings["validation_share"], run.seed)
    held_images, unknown = tensors(held_out)[0].to(run.compute.device), None
    if inputs.validation is not None:
        others = inputs.validation.spread(len(held_out))
        unknown = tensors(others)[0].to(run.compute.device)
    labels = torch.from_numpy(training.labels)
    classes = min(settings["classes_per_batch"], settings["n_classes"])
    batch_size = classes * settings["images_per_class"]
    if batch_size > len(training):
        raise InputError(
            f"{classes} classes with {settings['images_per_class']} images each are more than the "
            f"{len(training)} training images; lower images_per_class"
        )
    sphere = settings["latent_distance"] == "unit_sphere"
    margin, kl_weight = FIRST_MARGIN, 0.0

    def loss(batch: Tensor, labels: Tensor) -> dict[str, Tensor]:
        mean, log_variance = (value.float() for value in network(batch))
        latents = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        network.count(latents, labels)
        metric = metric_loss(latents, labels, margin, sphere)
        kl = kl_term(latents, mean, log_variance, network.class_means[labels])
        terms = {"loss": metric + kl_weight * kl, "metric": metric, "kl": kl}
        return terms | {"margin": torch.full_like(metric, margin)}

    def begin(epoch: int) -> None:
        nonlocal margin, kl_weight
        network.begin_epoch(epoch)
        margin = margin_at(settings, epoch - 1)
        kl_weight = settings["kl_weight"] if epoch > settings["generation_epoch"] else 0.0

    def nearest(images: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Distance of the latent mean to the nearest class mean, and that class."""

        def at(latents: Tensor) -> Tensor:
            return F.normalize(latents, dim=1) if sphere else latents

        centres, found = at(network.current_means()), []
        for part in images.split(run.compute.chunk(CHUNK)):
            found.append(torch.cdist(at(network(to_unit(part))[0].float()), centres).min(1))
        values, indices = (torch.cat(one).cpu().numpy() for one in zip(*found, strict=True))
        return values.astype(np.float64), indices

    def measure() -> dict[str, float]:
        distances, predicted = nearest(held_images)
        right = float((predicted == held_out.labels).mean())
        if unknown is None:
            return {"nearest_mean_accuracy": right}
        decisions = metrics.Decisions.joined(
            (distances, predicted, held_out.labels), nearest(unknown)
        )
        found = metrics.open_set(decisions, list(range(settings["n_classes"])))
        return {"nearest_mean_accuracy": right, "ood_f1": found["f1_original"]}

    def best_epoch(history: list[dict]) -> int:
        scores = [row["ood_f1"] for row in history]
        return scores.index(max(scores)) + 1 if scores else 0

    data = batches(
        training,
        batch_size,
        augment=by_name(settings["augmentation"]),
        order=lambda: balanced_order(labels, classes, settings["images_per_class"]),
    )

    def phase(chosen: dict, run: Run, before: int) -> TrainingResult:
        return train(
            network,
            loss,
            data,
            chosen,
            run,
            validation=Validation(measure=measure, best=None if unknown is None else best_epoch),
            before_epoch=lambda epoch: begin(before + epoch),
        )

    if backbone is None:
        trained = phase(settings, run, 0)
        return network.eval(), trained
    if settings["epochs"] <= settings["frozen_epochs"]:
        raise InputError("epochs: as many as frozen_epochs or fewer; then nothing is released")
    frozen = settings["frozen_epochs"]
    optimizer = settings["optimizer"] | {"learning_rate": settings["frozen_learning_rate"]}
    optimizer.pop("drops", None)
    network.freeze(True)
    first = phase(
        settings | {"epochs": frozen, "optimizer": optimizer},
        replace(run, checkpoint=run.checkpoint.with_name("checkpoint_frozen.pt")),
        0,
    )
    network.freeze(False)
    second = phase(settings | {"epochs": settings["epochs"] - frozen}, run, frozen)
    steps = first.history[-1]["step"]
    later = [
        row | {"epoch": row["epoch"] + frozen, "step": row["step"] + steps}
        for row in second.history
    ]
    best = second.best_epoch and frozen + second.best_epoch
    whole = TrainingResult(first.history + later, frozen + second.kept_epoch)
    return network.eval(), replace(whole, best_epoch=best, best_state=second.best_state)


# The auto-encoder


def build_autoencoder(settings: dict) -> AutoEncoder:
    """An auto-encoder with fresh weights, see ``AutoEncoder`` for the settings' meaning."""
    return AutoEncoder(
        tuple(settings["shape"]),
        settings["architecture"],
        settings["latent"],
        settings["width"],
        settings["normalization"],
    )


def restore_autoencoder(settings: dict, state: dict[str, Tensor], compute: Compute) -> AutoEncoder:
    """A frozen auto-encoder in eval mode from its settings and state."""
    return frozen(build_autoencoder(settings), state, compute)


def fit_autoencoder(settings: dict, inputs: Inputs, run: Run) -> tuple[AutoEncoder, TrainingResult]:
    """Train with the mean squared error of normalised images."""
    torch.manual_seed(run.seed)
    network = build_autoencoder(settings)
    network.to(run.compute.device, memory_format=torch.channels_last).train()

    def loss(batch: Tensor, labels: Tensor) -> dict[str, Tensor]:
        error = (network(batch).float() - batch) / network.features.sd
        return {"loss": error.square().mean()}

    data = batches(inputs.images, settings["batch_size"])
    trained = train(network, loss, data, settings, run)
    return network.eval(), trained


NETWORKS = {"vmdls_encoder": Encoder, "vmdls_autoencoder": build_autoencoder}
MODELS = {"vmdls_encoder": fit_encoder, "vmdls_autoencoder": fit_autoencoder}


# The Gaussians


def represent(encoder: Encoder, images: Tensor) -> list[Tensor]:
    """Features of four depths and the latent mean, ``[N, D]`` each, float64."""
    found = depths(encoder.features, images)
    return [part.double() for part in (*found, encoder.mean(found[-1]))]


def reconstruction_error(
    encoder: Encoder, autoencoder: AutoEncoder | None, images: Tensor
) -> Tensor:
    """Mean squared difference of the first depth's features between images and reconstructions,
    float64 ``[N]``; 1 without an auto-encoder."""
    if autoencoder is None:
        return torch.ones(len(images), dtype=torch.float64, device=images.device)
    own, other = (
        depths(encoder.features, batch, 1)[0].double() for batch in (images, autoencoder(images))
    )
    return (own - other).square().mean(1)


def fit_statistics(
    settings: dict,
    encoder: Encoder,
    autoencoder: AutoEncoder | None,
    image_set: ImageSet,
    compute: Compute,
) -> dict:
    """All that the detector needs beside the networks, from one pass over the training images.

    :param settings: the method's ``jitter`` and ``shrinkage``
    :return: ``kept`` (parts of the features), ``means``, ``factors``, ``added`` (to the variances),
        ``ceiling`` (above all training log-likelihoods) and ``largest_error`` (of reconstruction)
    """
    passes, errors = [], []
    stored, labels = (part.to(compute.device) for part in tensors(image_set))
    with torch.no_grad(), compute.autocast():
        for part in stored.split(compute.chunk(CHUNK)):
            images = to_unit(part)
            passes.append(represent(encoder, images))
            errors.append(reconstruction_error(encoder, autoencoder, images))
    parts = [torch.cat(one) for one in zip(*passes, strict=True)]
    kept = kept_parts(parts)
    features = torch.cat([parts[index] for index in kept], dim=1)
    means, factors, added = fit_gaussians(
        features, labels, settings["jitter"], settings["shrinkage"]
    )
    highest = max(log_likelihoods(one, means, factors).max() for one in features.split(10_000))
    return {
        "kept": kept,
        "means": means.cpu(),
        "factors": factors.cpu(),
        "added": added,
        "ceiling": float(highest) + 1,
        "largest_error": float(torch.cat(errors).max()),
    }


def fit(settings: dict, inputs: Inputs, run: Run) -> Fitted:
    """The Gaussians, from one pass over the training images."""
    parts = {part: inputs.models[part] for part in ("encoder", "autoencoder") if part in settings}
    encoder = restore(**parts["encoder"].content, compute=run.compute)
    autoencoder = None
    if "autoencoder" in parts:
        autoencoder = restore_autoencoder(**parts["autoencoder"].content, compute=run.compute)
    statistics = fit_statistics(settings, encoder, autoencoder, inputs.images, run.compute)
    record = RECORD
    if parts["encoder"].use_best:
        record = replace(RECORD, tuned_on=inputs.validation_name)
    return Fitted(
        {part: one.content for part, one in parts.items()} | {"statistics": statistics},
        record,
        sum(one.parameters for one in parts.values()),
        facts={
            "dimensions": statistics["means"].shape[1],
            "kept_parts": statistics["kept"],
            "added_to_variances": statistics["added"],
            "shrinkage": settings["shrinkage"],
        },
    )


class Representation(nn.Module):
    """An encoder's features of all depths as a network, see ``represent``."""

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> list[Tensor]:
        return represent(self.encoder, images)


class VMDLSDetector:
    """The best class log-likelihood, below the highest of the training images, times the relative
    reconstruction error.

    :param statistics: of ``fit_statistics``
    """

    def __init__(
        self, representation: Remembered, autoencoder: AutoEncoder | None, statistics: dict
    ):
        self.representation = representation
        self.encoder = representation.extractor.encoder
        self.autoencoder = autoencoder
        self.statistics = statistics
        self._last: tuple[Tensor, Tensor] | None = None

    def values(self, images: Tensor) -> Tensor:
        """The weighted value of every class, float64 ``[N, K]``, below 0."""
        if self._last is None or self._last[0] is not images:
            s = self.statistics
            parts = self.representation(images)
            features = torch.cat([parts[index] for index in s["kept"]], dim=1)
            found = log_likelihoods(features, s["means"], s["factors"])
            weight = reconstruction_error(self.encoder, self.autoencoder, images)
            below = (found - s["ceiling"]).clamp(max=-1e-9)
            self._last = images, below * (weight / s["largest_error"])[:, None]
        return self._last[1]

    def score(self, images: Tensor) -> Tensor:
        return -self.values(images).max(1).values

    def predict(self, images: Tensor) -> Tensor:
        return self.values(images).argmax(1)


def restore_representation(
    settings: dict, state: dict[str, Tensor], compute: Compute
) -> Remembered:
    """The encoder's features, which remember their last batch."""
    return Remembered(Representation(restore(settings, state, compute)))


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
