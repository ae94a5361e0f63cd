"""The plain classifier that several methods share: built, trained with cross-entropy, reloaded."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ood.images import ImageSet, to_tensor
from ood.models.convnet import Classifier, ConvFeatures, Normalized, TwoConvFeatures
from ood.models.densenet import DenseNetFeatures
from ood.models.resnet import ResNet18Features, ResNet50Features
from ood.models.toynet import ToyNetFeatures
from ood.models.vgg import MnistConvFeatures, VGGFeatures
from ood.models.wide_resnet import WideResNetFeatures
from ood.training import AUGMENTATIONS, Run, Trained, load_model, train

# by architecture: the extractor, and the settings that it takes beside the shape
FEATURES = {
    "convnet": (ConvFeatures, ["width", "dropout"]),
    "two_conv": (TwoConvFeatures, ["width", "dropout"]),
    "resnet18": (ResNet18Features, ["width"]),
    "resnet50": (ResNet50Features, ["width"]),
    "vgg": (VGGFeatures, ["width"]),
    "mnist_conv": (MnistConvFeatures, ["width"]),
    "toynet": (ToyNetFeatures, ["width", "padding"]),
    "densenet": (DenseNetFeatures, ["width", "depth"]),
    "wide_resnet": (WideResNetFeatures, ["width", "depth", "dropout"]),
}


def build(settings: dict) -> Classifier:
    """A classifier with fresh weights.

    :param settings: of ``build_features``, ``n_classes``, ``extra_outputs`` (logits beyond the ID
        classes), ``hidden`` (None: the head is one linear map) and ``head_dropout`` (of the head)
    """
    features = build_features(settings)
    outputs = settings["n_classes"] + settings["extra_outputs"]
    return Classifier(features, settings["hidden"], outputs, settings["head_dropout"])


def build_features(settings: dict) -> nn.Module:
    """A feature extractor with fresh weights, which has ``out_features``.

    :param settings: ``architecture`` (of ``FEATURES``), ``shape`` (H, W, C), ``width`` (factor on
        the number of filters), ``dropout``, ``depth`` or ``padding`` where the architecture has
        them; ``normalization``, ``{mean, sd}`` of each channel, or None
    """
    kind, names = FEATURES[settings["architecture"]]
    features = kind(tuple(settings["shape"]), **{name: settings[name] for name in names})
    if settings["normalization"] is None:
        return features
    return Normalized(features, **settings["normalization"])


def depths(features: nn.Module, images: Tensor, count: int | None = None) -> list[Tensor]:
    """Features of four depths, ``[N, D]`` each: the extractor's ``taps``, averaged over the map,
    and its output; or the first ``count`` of them."""
    if isinstance(features, Normalized):
        images, features = features.normalise(images), features.features
    found = []
    for name, layer in features.named_children():
        images = layer(images)
        if name in features.taps:
            # at once: a layer that works in place may follow
            found.append(images.mean((2, 3)))
        if len(found) == count:
            return found
    return [*found, images]


def load(path: str | Path) -> tuple[Classifier, dict]:
    """The classifier of a ``model.pt`` in eval mode, and its settings."""
    content = load_model(path)
    return restore(content["settings"], content["state"]), content["settings"]


def restore(settings: dict, state: dict[str, Tensor]) -> Classifier:
    """A classifier in eval mode from its settings and state dict."""
    classifier = build(settings)
    classifier.load_state_dict(state)
    return classifier.eval().to(memory_format=torch.channels_last)


def reject_log_odds(logits: Tensor, n_classes: int) -> Tensor:
    """log p_K - log(1 - p_K) of the softmax over logits 0..K, ``[N, > K]`` -> float64 ``[N]``.

    It orders images as p_K does, without the ties of probabilities that round to 0 or 1.
    """
    logits = logits.double()
    return logits[:, n_classes] - torch.logsumexp(logits[:, :n_classes], dim=1)


def fit(settings: dict, image_set: ImageSet, run: Run) -> tuple[Classifier, Trained]:
    """Train with the mean cross-entropy over all logits (CMG, stage 1).

    :param settings: of ``build`` and ``train``, and ``augmentation``
    :param image_set: labels 0 .. n_classes - 1
    """
    torch.manual_seed(run.seed)
    network = build(settings).to(run.machine.device, memory_format=torch.channels_last).train()

    def loss(images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = network(images).float()
        accuracy = (logits.argmax(1) == labels).float().mean()
        return {"loss": F.cross_entropy(logits, labels), "accuracy": accuracy}

    images, labels = to_tensor(image_set.images), torch.from_numpy(image_set.labels)
    augment = AUGMENTATIONS[settings["augmentation"]]
    trained = train(network, loss, images, labels, settings, run, augment=augment)
    return network.eval(), trained
