"""Likelihood ratios (Ren et al., NeurIPS 2019, arXiv 1906.02845), and the plain likelihood.

A PixelCNN++ trained on ID images often finds OOD images more likely, because most pixels are
background. A second one, trained on ID images with random pixels replaced, knows the background
only. The score is log p_background(x) - log p_foreground(x): the background cancels.

The strength of the mutation and of the L2 penalty are chosen on a validation OOD set.
"""

import copy
import itertools
import logging
import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from ood.data.images import ImageSet, to_grey, to_tensor, to_unit
from ood.detection.contract import Detector, FeatureCache, Fitted
from ood.evaluation import metrics
from ood.models.pixelcnn import PixelCNN
from ood.settings.likelihood_ratio import LikelihoodRatio
from ood.settings.likelihood_ratio import PixelCNN as PixelCNNSettings
from ood.training import batches
from ood.training.batches import Batches, tensors
from ood.training.device import Compute
from ood.training.loop import train
from ood.training.model_files import TrainedModel, TrainingResult, restore
from ood.training.run import Inputs, Run
from ood.training.validation import Validation

log = logging.getLogger(__name__)

NATS_PER_BIT = float(np.log(2))
# images in one pass on a CPU where a whole set is judged
CHUNK = 100


# The models


def build(settings: PixelCNNSettings) -> PixelCNN:
    """A PixelCNN++ with fresh weights."""
    return PixelCNN(
        tuple(settings.shape),
        settings.filters,
        settings.residual_layers,
        settings.hierarchies,
        settings.components,
        settings.dropout,
        settings.rescale,
    )


def to_values(images: Tensor) -> Tensor:
    """Floats -> the nearest whole numbers in 0 .. 255, as floats.

    The likelihood knows no other values: what leaves [0, 1] counts as black or white.
    """
    return (images.clamp(0, 1) * 255).round()


def mutate(values: Tensor, rate: float) -> Tensor:
    """Replace each value, with probability ``rate``, by a uniform one of 0 .. 255 (perhaps the
    same), from PyTorch's global random state."""
    replaced = torch.rand(values.shape, device=values.device) < rate
    drawn = torch.randint(0, 256, values.shape, device=values.device)
    return torch.where(replaced, drawn.to(values), values)


def penalty(network: nn.Module) -> Tensor:
    """The sum of squares of all kernels; biases are left out."""
    # joined: one tensor by one, a GPU would launch hundreds of small kernels a step
    kernels = [value.flatten() for value in network.parameters() if value.ndim > 1]
    return torch.cat(kernels).square().sum()


def split(settings: PixelCNNSettings, image_set: ImageSet) -> tuple[ImageSet, ImageSet]:
    """Images to train on and a random ``validation_share``, the same for every model and seed.

    The released code takes the last ones in file order, which in some sets are of one class.
    """
    return batches.split(image_set, settings.validation_share, 0)


def fit_pixelcnn(
    settings: PixelCNNSettings, inputs: Inputs, run: Run
) -> tuple[PixelCNN, TrainingResult]:
    """Train a foreground model, or with ``mutation_rate`` and ``l2`` a background model.

    The loss is the mean of -log p over the batch, in nats per image, of images mutated afresh, plus
    ``l2`` times the sum of squares of all kernels (the released code creates that term
    and forgets to add it).
    """
    torch.manual_seed(run.seed)
    network = build(settings).to(run.compute.device, memory_format=torch.channels_last).train()
    dimensions = int(np.prod(settings.shape))

    def loss(images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        values = to_values(images)
        if settings.mutation_rate:
            values = mutate(values, settings.mutation_rate)
        nats = -network.log_probability(values).sum((1, 2)).mean()
        terms = {"loss": nats, "bits_per_dimension": nats / (dimensions * NATS_PER_BIT)}
        if settings.l2:
            terms["penalty"] = settings.l2 * penalty(network)
            terms["loss"] = nats + terms["penalty"]
        return terms

    kept, validation = split(settings, inputs.images)
    held_out = tuple(part[: settings.validation_images] for part in tensors(validation))
    trained = train(
        network,
        loss,
        Batches(*tensors(kept), settings.batch_size),
        settings,
        run,
        validation=Validation(held_out=held_out),
        snapshot_every=settings.snapshot_every,
    )
    return network.eval(), trained


def _nats_of_independent(values: Tensor) -> float:
    """Nats per value of the best independent model that is flat in 16 ranges of gray, with 0 and
    255 apart.

    A histogram of all 256 values is no measure: images of few gray values, as scikit-learn's
    digits, give it a comb that smooth logistics only learn late. At 0 and 255 logistics have mass.

    :param values: whole numbers in [0, 255], of any shape
    """
    ranges = torch.cat([torch.zeros(1), 1 + torch.arange(254) * 16 // 254, torch.full((1,), 17)])
    ranges = ranges.long()
    widths = ranges.bincount().double()
    counts = ranges[values.long().flatten()].bincount(minlength=len(widths)).double()
    shares = counts / counts.sum()
    return -float((shares * (shares / widths).clamp(min=1e-300).log()).sum())


def pixelcnn_health(
    network: PixelCNN, settings: PixelCNNSettings, image_set: ImageSet, compute: Compute
) -> dict[str, float]:
    """``nats_below_uniform`` and ``nats_below_pixels``: how many nats an image has less than under
    uniform pixels, and under independent pixels drawn as those of these images; images are
    mutated as in training."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        values = mutate(to_values(to_unit(to_tensor(image_set.images))), settings.mutation_rate)
    found = [
        log_likelihood(network, part.to(compute.device), compute).sum((1, 2)).cpu()
        for part in values.split(compute.chunk(CHUNK))
    ]
    nats, size = -float(torch.cat(found).mean()), values[0].numel()
    independent = _nats_of_independent(values)
    return {
        "nats_below_uniform": size * math.log(256) - nats,
        "nats_below_pixels": size * independent - nats,
    }


NETWORKS = {"pixelcnn": build}
MODELS = {"pixelcnn": fit_pixelcnn}
HEALTH = {"pixelcnn": pixelcnn_health}


def sample(network: PixelCNN, count: int) -> Tensor:
    """Images drawn pixel by pixel, from PyTorch's global random state; uint8 ``[N, C, H, W]``."""
    height, width, channels = network.shape
    device = next(network.parameters()).device
    values = torch.zeros(count, channels, height, width, device=device)
    with torch.no_grad():
        for row, column in itertools.product(range(height), range(width)):
            # rows below do not matter: the network need not see them
            outputs = network(values[:, :, : row + 1])[:, :, row, column]
            values[:, :, row, column] = network.sample_pixels(outputs)
    return values.byte()


# Scoring


def log_likelihood(network: PixelCNN, values: Tensor, compute: Compute) -> Tensor:
    """log p of each pixel in nats, float64 ``[N, H, W]``; their sum is the image's."""
    with torch.no_grad(), compute.autocast():
        outputs = network(values)
    with torch.autocast(values.device.type, enabled=False):
        return network.log_probability(values.double(), outputs.double())


def image_log_likelihoods(network: PixelCNN, images: np.ndarray, compute: Compute) -> np.ndarray:
    """log p of each image of an image set, float64 ``[N]``."""
    found = compute.batched(
        lambda part: log_likelihood(network, to_values(part), compute).sum((1, 2)),
        to_tensor(images),
        compute.chunk(CHUNK),
    )
    return found.cpu().numpy()


def select_background(
    settings: LikelihoodRatio,
    foreground: TrainedModel,
    backgrounds: list[TrainedModel],
    inputs: Inputs,
    compute: Compute,
) -> list[dict]:
    """Every background model's AUROC on the validation sets, the best first."""
    held_out = split(foreground.settings, inputs.images)[1]
    known = held_out.spread(settings.selection_images).images
    if settings.validate_on == "grey_id":
        unknown = to_grey(known)
    else:
        unknown = inputs.validation.spread(settings.selection_images).images
    images = np.concatenate([known, unknown])

    def log_p(saved: TrainedModel) -> np.ndarray:
        network = restore(build, saved.content, compute)
        return image_log_likelihoods(network, images, compute)

    reference, rows = log_p(foreground), []
    for one in backgrounds:
        row = {"background": one.name}
        row |= {"mutation_rate": one.settings.mutation_rate, "l2": one.settings.l2}
        row["auroc"] = ratio_auroc(reference, log_p(one), len(known))
        rows.append(row | {"n_id": len(known), "n_ood": len(unknown)})
    return sorted(rows, key=lambda row: -row["auroc"])


def fit(settings: LikelihoodRatio, inputs: Inputs, run: Run) -> Fitted:
    """The foreground model, with the background model that is best on the validation sets where the
    settings name any."""
    parts, record, tables = {"foreground": inputs.models["foreground"]}, settings.record, {}
    if settings.backgrounds is not None:
        backgrounds = inputs.models["backgrounds"]
        rows = select_background(settings, parts["foreground"], backgrounds, inputs, run.compute)
        best = rows[0]["background"]
        parts["background"] = next(one for one in backgrounds if one.name == best)
        grey = settings.validate_on == "grey_id"
        record = replace(record, tuned_on="grey ID images" if grey else inputs.validation_name)
        tables["selection"] = rows
    snapshots = {}
    if run.snapshots:
        steps = set.intersection(*(set(one.snapshots) for one in parts.values()))
        snapshots = {
            step: {part: one.snapshots[step] for part, one in parts.items()}
            for step in sorted(steps)
        }
    return Fitted(
        {part: one.content for part, one in parts.items()},
        record,
        sum(one.parameters for one in parts.values()),
        tables=tables,
        snapshots=snapshots,
    )


def ratio_auroc(foreground: np.ndarray, background: np.ndarray, known: int) -> float:
    """AUROC of the ratio for log p ``[N]`` of ``known`` ID images and then OOD images."""
    score = background - foreground
    return metrics.evaluate(score[:known], score[known:])["auroc"]


class PixelLikelihood(nn.Module):
    """log p of each pixel as a network: images ``[N, C, H, W]`` -> float64 ``[N, H, W]``."""

    def __init__(self, network: PixelCNN, compute: Compute):
        super().__init__()
        self.network = network
        self.compute = compute

    def forward(self, images: Tensor) -> Tensor:
        return log_likelihood(self.network, to_values(images), self.compute)


class LikelihoodDetector(Detector):
    """-log p of the foreground model, or the ratio where there is a background model."""

    def __init__(self, foreground: FeatureCache, background: FeatureCache | None):
        self.foreground = foreground
        self.background = background

    def pixels(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """log p and the log ratio of each pixel, float64 ``[N, H, W]``."""
        found = self.foreground(images)
        return found, None if self.background is None else found - self.background(images)

    def detect(self, images: Tensor) -> tuple[Tensor, None]:
        likelihood, ratio = self.pixels(images)
        return -(likelihood if ratio is None else ratio).sum((1, 2)), None


def restore_cached(content: dict, compute: Compute) -> FeatureCache:
    """log p of each pixel, kept of the last batch."""
    return FeatureCache(PixelLikelihood(restore(build, content, compute), compute))


def load(content: dict, compute: Compute) -> LikelihoodDetector:
    """The detector of ``fit``."""
    return LikelihoodDetector(
        compute.shared(restore_cached, content["foreground"]),
        compute.shared(restore_cached, content["background"]) if "background" in content else None,
    )


def at_snapshot(
    detector: LikelihoodDetector, state: dict[str, dict[str, Tensor]]
) -> LikelihoodDetector:
    """The detector with its models as they were at a snapshot, ``{part: state}``."""
    parts = {"foreground": detector.foreground, "background": detector.background}
    for part, values in state.items():
        old = parts[part].extractor
        network = copy.deepcopy(old.network)
        network.load_state_dict(values)
        parts[part] = FeatureCache(PixelLikelihood(network, old.compute))
    return LikelihoodDetector(**parts)
