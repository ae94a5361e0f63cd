"""The plain classifier that several methods share: built, trained with cross-entropy, reloaded."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ood.images import ImageSet, to_tensor
from ood.models.convnet import Classifier, ConvFeatures, TwoConvFeatures
from ood.models.resnet import ResNet18Features
from ood.training import AUGMENTATIONS, Run, Trained, load_model, train

FEATURES = {
    "convnet": ConvFeatures,
    "two_conv": TwoConvFeatures,
    "resnet18": lambda shape, width, dropout: ResNet18Features(shape, width),
}


def build(settings: dict) -> Classifier:
    """A classifier with fresh weights.

    :param settings: ``architecture`` (of ``FEATURES``), ``shape`` (H, W, C), ``n_classes``,
        ``extra_outputs`` (logits beyond the ID classes), ``width`` (factor on the number of
        filters), ``dropout`` (inside the extractor), ``hidden`` and ``head_dropout`` (of the head)
    """
    features = FEATURES[settings["architecture"]](
        tuple(settings["shape"]), settings["width"], settings["dropout"]
    )
    outputs = settings["n_classes"] + settings["extra_outputs"]
    return Classifier(features, settings["hidden"], outputs, settings["head_dropout"])


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
