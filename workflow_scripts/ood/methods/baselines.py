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

from ood.data.images import ImageSet, to_array, to_bytes, to_unit
from ood.detection import classifier as classifiers
from ood.detection.contract import Fitted, Record, Remembered
from ood.models.base import Classifier
from ood.training.batches import tensors
from ood.training.device import Compute
from ood.training.run import Inputs, Run

# known images that are compared at once with a batch
NEIGHBOURS_CHUNK = 65_536

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
        content["statistics"] = fit_statistics(settings, classifier, inputs.images, run.compute)
    return Fitted(content, RECORDS[score], saved.parameters if saved else 0)


def fit_statistics(
    settings: dict, classifier: Classifier, image_set: ImageSet, compute: Compute
) -> dict[str, Tensor]:
    """The statistics of the ID training images that a baseline scores with, by name.

    k-nearest neighbours: the hidden values, of length 1. Mahalanobis: W ``[D, D]`` with W W^T the
    inverse of the shared covariance, and the class means times W, ``[K, D]``. Hidden units are
    often constant, and pytorch-ood inverts in float32 with a ridge of 1e-6 on the *sum* of squares:
    here it is float64, with a ridge relative to the mean variance.
    """
    classifier.to(compute.device)
    images, labels = (part.to(compute.device) for part in tensors(image_set))
    with torch.no_grad(), compute.autocast():
        batches = images.split(compute.chunk(1000))
        hidden = torch.cat([classifier.hidden(to_unit(batch)) for batch in batches])
    if settings["score"] == "knn":
        return {"hidden": F.normalize(hidden, dim=1).cpu()}
    hidden = hidden.double()
    means = torch.stack([hidden[labels == k].mean(0) for k in labels.unique()])
    centred = hidden - means[labels]
    covariance = centred.T @ centred / len(hidden)
    covariance.diagonal().add_(settings["ridge"] * covariance.diagonal().mean())
    factor = torch.linalg.cholesky(covariance)
    one = torch.eye(len(factor)).to(factor)
    whitening = torch.linalg.solve_triangular(factor, one, upper=False).T
    return {"whitened_means": (means @ whitening).cpu(), "whitening": whitening.cpu()}


def mahalanobis(hidden: Tensor, whitened_means: Tensor, whitening: Tensor) -> Tensor:
    """Half the squared Mahalanobis distance to the nearest class mean, ``[N, D]`` -> ``[N]``.

    Whitened once, it is Euclidean for every class.
    """
    whitened = hidden.double() @ whitening
    mode = "donot_use_mm_for_euclid_dist"  # a product of matrices loses small distances
    distances = torch.cdist(whitened, whitened_means, compute_mode=mode)
    return 0.5 * distances.min(1).values.square()


def neighbour_distance(hidden: Tensor, known: Tensor, k: int) -> Tensor:
    """Euclidean distance to the ``k``-th nearest of ``known``, all of length 1.

    The neighbours are found by their products, the distance is that of float64 differences.

    :param hidden: ``[N, D]``
    :param known: ``[M, D]`` with M >= ``k``
    :return: float64 ``[N]``
    """
    nearest, index = [], []
    for start in range(0, len(known), NEIGHBOURS_CHUNK):
        some = known[start : start + NEIGHBOURS_CHUNK]
        values, positions = (hidden @ some.T).topk(min(k, len(some)), dim=1)
        nearest.append(values)
        index.append(positions + start)
    order = torch.cat(nearest, dim=1).topk(k, dim=1).indices[:, -1:]
    farthest = torch.cat(index, dim=1).gather(1, order).squeeze(1)
    return (hidden.double() - known[farthest].double()).norm(dim=1)


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


def odin_step(
    model: nn.Module, images: Tensor, temperature: float, epsilon: float
) -> tuple[Tensor, Tensor]:
    """Images a step of ``epsilon`` (in units of [0, 1] pixels) nearer to their predicted class, and
    that class, int64 ``[N]``."""
    with torch.enable_grad():
        images = images.detach().requires_grad_()
        logits = model(images) / temperature
        predicted = logits.argmax(1)
        loss = F.cross_entropy(logits, predicted, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, images)
    return images.detach() - epsilon * gradient.sign(), predicted


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
        # images and their classes: the step of ODIN finds these on its way
        self._predicted: tuple[Tensor, Tensor] | None = None

    def score(self, images: Tensor) -> Tensor:
        score = self.settings["score"]
        if score == "brightness":
            return images.double().mean((1, 2, 3))
        if score == "complexity":
            return complexity(images)
        if score == "mahalanobis":
            return mahalanobis(self.model.classifier.hidden(images), **self.statistics)
        if score == "knn":
            hidden = F.normalize(self.model.classifier.hidden(images), dim=1)
            return neighbour_distance(hidden, self.statistics["hidden"], self.settings["k"])
        if score == "odin":
            temperature, epsilon = self.settings["temperature"], self.settings["epsilon"]
            stepped, predicted = odin_step(self.model, images, temperature, epsilon)
            self._predicted = images, predicted
            return msp(self.model(stepped), temperature)
        logits = self.model(images)
        return {"msp": msp, "max_logit": max_logit, "energy": energy}[score](logits)

    def predict(self, images: Tensor) -> Tensor | None:
        if self.model is None:
            return None
        if self._predicted is not None and self._predicted[0] is images:
            return self._predicted[1]
        return self.model(images).argmax(1)


def restore(settings: dict, state: dict[str, Tensor], compute: Compute) -> Classifier:
    """The classifier, whose extractor remembers its last batch."""
    classifier = classifiers.restore(settings, state).to(compute.device)
    classifier.features = Remembered(classifier.features)
    return classifier


def load(content: dict, compute: Compute) -> Baseline:
    """The detector of ``fit``."""
    statistics = {name: one.to(compute.device) for name, one in content["statistics"].items()}
    model = None
    if content["classifier"] is not None:
        classifier = compute.shared(restore, content["classifier"])
        n_classes = content["classifier"]["settings"]["n_classes"]
        model = IDLogits(classifier, n_classes).eval()
    return Baseline(content["settings"], model, statistics)
