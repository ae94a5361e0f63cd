"""The plain classifier that several methods share: built, trained with cross-entropy, reloaded."""

import importlib
import inspect
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ood.augmentations import by_name
from ood.data.images import ImageSet
from ood.detection.contract import FeatureCache
from ood.errors import InputError
from ood.models.base import Classifier, Normalized, Resized
from ood.settings.base import ModelSettings
from ood.settings.classifiers import Classifier as ClassifierSettings
from ood.settings.classifiers import Net
from ood.training.batches import batches
from ood.training.device import Compute
from ood.training.health import class_health
from ood.training.loop import train
from ood.training.model_files import TrainingResult, restore
from ood.training.run import Inputs, Run


def build(settings: Net) -> Classifier:
    """A classifier with fresh weights."""
    features = build_features(settings)
    outputs = settings.n_classes + settings.extra_outputs
    return Classifier(features, settings.hidden, outputs, settings.head_dropout)


def build_features(settings: ModelSettings) -> nn.Module:
    """A feature extractor with fresh weights, which has ``out_features``.

    :param settings: of a ``Backbone``, or as many of them as its net takes; perhaps ``resize``
    """
    # by name, so that only those who choose a net depend on it
    kind = importlib.import_module(f"ood.models.{settings.architecture}").Features
    names = [name for name in inspect.signature(kind).parameters if name != "shape"]
    height, width, channels = settings.shape
    size = getattr(settings, "resize", None)
    shape = (size or height, size or width, channels)
    features = kind(shape, **{name: getattr(settings, name) for name in names})
    if size:
        features = Resized(features, size)
    if settings.normalization is None:
        return features
    return Normalized(features, settings.normalization.mean, settings.normalization.sd)


def load_features(features: nn.Module, state: dict[str, Tensor], source: str | Path) -> None:
    """Put weights into a feature extractor.

    :param state: of a net whose part ``features`` they are, or of an extractor alone
    :param source: where they come from, for the error
    :raises InputError: if the weights are of another net
    """
    prefix = "features."
    inner = {name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)}
    # an extractor behind a normalisation has names of its own that begin so
    candidates = [inner, state]
    for candidate in candidates:
        if set(candidate) == set(features.state_dict()):
            try:
                features.load_state_dict(candidate)
            except RuntimeError as error:
                raise InputError(f"{source}: weights of another size: {error}") from error
            return
    raise InputError(
        f"{source}: no weights of this backbone; give it the architecture, width, depth and "
        "normalization of the net that the file holds"
    )


def restore_cached(content: dict, compute: Compute) -> Classifier:
    """A trained classifier whose extractor keeps its last batch."""
    classifier = restore(build, content, compute)
    classifier.features = FeatureCache(classifier.features)
    return classifier


def reject_log_odds(logits: Tensor, n_classes: int) -> Tensor:
    """log p_K - log(1 - p_K) of the softmax over logits 0..K, ``[N, > K]`` -> float64 ``[N]``.

    It orders images as p_K does, without the ties of probabilities that round to 0 or 1.
    """
    logits = logits.double()
    return logits[:, n_classes] - torch.logsumexp(logits[:, :n_classes], dim=1)


def fit(
    settings: ClassifierSettings, inputs: Inputs, run: Run
) -> tuple[Classifier, TrainingResult]:
    """Train with the mean cross-entropy over all logits (CMG, stage 1)."""
    torch.manual_seed(run.seed)
    network = build(settings).to(run.compute.device, memory_format=torch.channels_last).train()

    def loss(images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = network(images).float()
        accuracy = (logits.argmax(1) == labels).float().mean()
        return {"loss": F.cross_entropy(logits, labels), "accuracy": accuracy}

    data = batches(inputs.images, settings.batch_size, augment=by_name(settings.augmentation))
    trained = train(network, loss, data, settings, run)
    return network.eval(), trained


def health(
    network: Classifier, settings: Net, image_set: ImageSet, compute: Compute
) -> dict[str, float]:
    """What its predictions of training images say."""
    return class_health(network, settings.n_classes, image_set, compute)


NETWORKS = {"classifier": build}
MODELS = {"classifier": fit}
HEALTH = {"classifier": health}
