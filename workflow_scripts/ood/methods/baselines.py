"""Cheap baselines: six scores of the shared classifier and two that look at pixels alone.

The classifier's scores use its ID logits; Mahalanobis and k-nearest neighbours use the head's
hidden layer, the input of the last linear map. ``brightness`` and ``complexity`` know nothing of
classes: where they do well, the benchmark is easy.
"""

import io

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ood import classifier as classifiers
from ood.detector import Fitted, Record, Remembered
from ood.images import ImageSet, to_array, to_bytes, to_tensor, to_unit
from ood.models.base import Classifier
from ood.training import Inputs, Machine, Run

RECORDS = {
    "msp": Record(
        "A Baseline for Detecting Misclassified and Out-of-Distribution Examples in Neural "
        "Networks",
        "Hendrycks, Gimpel",
        2017,
        "1610.02136",
        "the paper",
        "nothing",
    ),
    "max_logit": Record(
        "Scaling Out-of-Distribution Detection for Real-World Settings",
        "Hendrycks, Basart, Mazeika, Zou, Kwon, Mostajabi, Steinhardt, Song",
        2022,
        "1911.11132",
        "the paper",
        "nothing",
    ),
    "energy": Record(
        "Energy-based Out-of-distribution Detection",
        "Liu, Wang, Owens, Li",
        2020,
        "2010.03759",
        "the paper, T = 1, no fine-tuning",
        "nothing",
    ),
    "odin": Record(
        "Enhancing The Reliability of Out-of-distribution Image Detection in Neural Networks",
        "Liang, Li, Srikant",
        2018,
        "1706.02690",
        "the paper, T = 1000, epsilon = .0014",
        "nothing",
    ),
    "mahalanobis": Record(
        "A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial "
        "Attacks",
        "Lee, Lee, Lee, Shin",
        2018,
        "1807.03888",
        "the paper, last hidden layer, no input perturbation",
        "nothing",
    ),
    "knn": Record(
        "Out-of-Distribution Detection with Deep Nearest Neighbors",
        "Sun, Ming, Zhu, Li",
        2022,
        "2204.06507",
        "the paper, k = 50",
        "nothing",
    ),
    "brightness": Record("Mean brightness", "–", 0, None, "–", "nothing"),
    "complexity": Record(
        "Input complexity and out-of-distribution detection with likelihood-based generative "
        "models",
        "Serrà, Álvarez, Gómez, Slizovskaia, Núñez, Luque",
        2020,
        "1909.11480",
        "the compressed size alone",
        "nothing",
    ),
}


def fit(settings: dict, inputs: Inputs, run: Run) -> Fitted:
    """A baseline, with the statistics of the ID training images where it scores with any."""
    score, saved = settings["score"], inputs.models.get("classifier")
    content = {"settings": settings, "classifier": saved and saved.content, "statistics": {}}
    if score in ("mahalanobis", "knn"):
        classifier = classifiers.restore(**saved.content)
        content["statistics"] = fit_statistics(settings, classifier, inputs.images, run.machine)
    return Fitted(content, RECORDS[score], saved.parameters if saved else 0)


def fit_statistics(
    settings: dict, classifier: Classifier, image_set: ImageSet, machine: Machine
) -> dict[str, Tensor]:
    """The statistics of the ID training images that a baseline scores with, by name.

    Mahalanobis: class means ``[K, D]`` and the precision ``[D, D]`` of the shared covariance.
    Hidden units are often constant, and pytorch-ood inverts in float32 with a ridge of 1e-6 on
    the *sum* of squares: here it is float64, with a ridge relative to the mean variance.
    """
    classifier.to(machine.device)
    with torch.no_grad():
        hidden = torch.cat(
            [
                _hidden(classifier, to_unit(batch.to(machine.device))).cpu()
                for batch in to_tensor(image_set.images).split(1000)
            ]
        )
    if settings["score"] == "knn":
        return {"hidden": hidden}
    hidden, labels = hidden.double(), torch.from_numpy(image_set.labels)
    means = torch.stack([hidden[labels == k].mean(0) for k in labels.unique()])
    centred = hidden - means[labels]
    covariance = centred.T @ centred / len(hidden)
    ridge = settings["ridge"] * covariance.diagonal().mean()
    covariance.diagonal().add_(ridge)
    return {"means": means, "precision": torch.linalg.inv(covariance)}


def _hidden(classifier: Classifier, images: Tensor) -> Tensor:
    return classifier.head[:-1](classifier.features(images))


def mahalanobis(hidden: Tensor, means: Tensor, precision: Tensor) -> Tensor:
    """Half the squared Mahalanobis distance to the nearest class mean, ``[N, D]`` -> ``[N]``."""
    offsets = hidden.double()[:, None, :] - means
    return 0.5 * ((offsets @ precision) * offsets).sum(2).min(1).values


def complexity(images: Tensor) -> Tensor:
    """Bytes of each image ``[N, C, H, W]`` as PNG, values clipped to [0, 1]; float64 ``[N]``."""
    from PIL import Image

    sizes = []
    arrays = to_array(to_bytes(images))
    for array in arrays:
        buffer = io.BytesIO()
        Image.fromarray(np.squeeze(array)).save(buffer, "png", compress_level=9)
        sizes.append(buffer.tell())
    return torch.tensor(sizes, dtype=torch.float64)


def msp(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """The largest softmax value, negated, ``[N, K]`` -> float64 ``[N]``.

    In float64 confident values that differ by less than 6e-8 keep their order.
    """
    return -F.softmax(logits.double() / temperature, dim=1).max(1).values


def max_logit(logits: Tensor) -> Tensor:
    """The largest logit, negated, ``[N, K]`` -> float64 ``[N]``."""
    return -logits.double().max(1).values


def energy(logits: Tensor) -> Tensor:
    """-logsumexp of the logits, ``[N, K]`` -> float64 ``[N]``."""
    return -torch.logsumexp(logits.double(), dim=1)


def odin_step(model: nn.Module, images: Tensor, temperature: float, epsilon: float) -> Tensor:
    """Images a step of ``epsilon`` (in units of [0, 1] pixels) nearer to their predicted class."""
    with torch.enable_grad():
        images = images.detach().requires_grad_()
        logits = model(images) / temperature
        loss = F.cross_entropy(logits, logits.argmax(1), reduction="sum")
        (gradient,) = torch.autograd.grad(loss, images)
    return images.detach() - epsilon * gradient.sign()


class IDLogits(nn.Module):
    """A classifier without its reject logit."""

    def __init__(self, classifier: Classifier, n_classes: int):
        super().__init__()
        self.classifier = classifier
        self.n_classes = n_classes

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(images)[:, : self.n_classes]


class Baseline:
    """One of the eight scores.

    :param settings: ``score``, and for ``odin`` ``temperature`` and ``epsilon``, for ``knn`` ``k``
    :param model: None for the scores that look at pixels alone
    """

    def __init__(self, settings: dict, model: IDLogits | None, statistics: dict[str, Tensor]):
        self.settings = settings
        self.model = model
        self.statistics = statistics
        if settings["score"] == "knn":
            from sklearn.neighbors import NearestNeighbors

            self.neighbours = NearestNeighbors(n_neighbors=settings["k"])
            self.neighbours.fit(F.normalize(statistics["hidden"], dim=1).numpy())

    def score(self, images: Tensor) -> Tensor:
        score = self.settings["score"]
        if score == "brightness":
            return images.double().mean((1, 2, 3))
        if score == "complexity":
            return complexity(images)
        if score == "mahalanobis":
            return mahalanobis(_hidden(self.model.classifier, images), **self.statistics)
        if score == "knn":
            hidden = F.normalize(_hidden(self.model.classifier, images), dim=1)
            distances, _ = self.neighbours.kneighbors(hidden.cpu().numpy())
            return torch.from_numpy(distances[:, -1])
        if score == "odin":
            temperature = self.settings["temperature"]
            images = odin_step(self.model, images, temperature, self.settings["epsilon"])
            return msp(self.model(images), temperature)
        logits = self.model(images)
        return {"msp": msp, "max_logit": max_logit, "energy": energy}[score](logits)

    def predict(self, images: Tensor) -> Tensor | None:
        return None if self.model is None else self.model(images).argmax(1)


def restore(settings: dict, state: dict[str, Tensor], machine: Machine) -> Classifier:
    """The classifier, whose extractor remembers its last batch."""
    classifier = classifiers.restore(settings, state).to(machine.device)
    classifier.features = Remembered(classifier.features)
    return classifier


def load(content: dict, machine: Machine) -> Baseline:
    """The detector of ``fit``."""
    statistics = content["statistics"]
    if content["settings"]["score"] == "mahalanobis":
        statistics = {name: value.to(machine.device) for name, value in statistics.items()}
    model = None
    if content["classifier"] is not None:
        classifier = machine.shared(restore, content["classifier"])
        n_classes = content["classifier"]["settings"]["n_classes"]
        model = IDLogits(classifier, n_classes).eval()
    return Baseline(content["settings"], model, statistics)
