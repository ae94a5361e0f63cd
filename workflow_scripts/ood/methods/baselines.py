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

from ood.data.images import ImageSet, to_array, to_bytes
from ood.detection import classifier as classifiers
from ood.detection.contract import Detector, Fitted
from ood.detection.logit_scores import energy, largest_probability
from ood.models.base import Classifier
from ood.settings.baselines import Baselines
from ood.training.batches import tensors
from ood.training.device import Compute
from ood.training.model_files import restore
from ood.training.run import Inputs, Run

# images in one pass over a whole set on a CPU
CHUNK = 1000
# known images that are compared at once with a batch
NEIGHBOURS_CHUNK = 65_536
# candidates beyond the k-th, and numbers in one array of differences
SPARE, DIFFERENCES = 32, 500_000


def fit(settings: Baselines, inputs: Inputs, run: Run) -> Fitted:
    """A baseline, with the statistics of the ID training images where it scores with any."""
    saved = inputs.models.get("classifier")
    content = {
        "settings": settings.plain(),
        "classifier": saved and saved.content,
        "statistics": {},
    }
    if settings.fitted:
        classifier = restore(classifiers.build, saved.content, run.compute)
        content["statistics"] = fit_statistics(settings, classifier, inputs.images, run.compute)
    return Fitted(content, settings.record, saved.parameters if saved else 0)


def fit_statistics(
    settings: Baselines, classifier: Classifier, image_set: ImageSet, compute: Compute
) -> dict[str, Tensor]:
    """The statistics of the ID training images that a baseline scores with, by name.

    k-nearest neighbours: the hidden values, of length 1. Mahalanobis: W ``[D, D]`` with W W^T the
    inverse of the shared covariance, and the class means times W, ``[K, D]``. Hidden units are
    often constant, and pytorch-ood inverts in float32 with a ridge of 1e-6 on the *sum* of squares:
    here it is float64, with a ridge relative to the mean variance.
    """
    images, labels = tensors(image_set)
    hidden = compute.batched(classifier.hidden, images, compute.chunk(CHUNK))
    labels = labels.to(compute.device)
    if settings.score == "knn":
        return {"hidden": F.normalize(hidden, dim=1).cpu()}
    hidden = hidden.double()
    means = torch.stack([hidden[labels == k].mean(0) for k in labels.unique()])
    centred = hidden - means[labels]
    covariance = centred.T @ centred / len(hidden)
    covariance.diagonal().add_(settings.ridge * covariance.diagonal().mean())
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
    """Euclidean distance to the ``k``-th nearest of ``known``, all of length 1; exact, however
    coarsely a device multiplies matrices.

    Candidates, a few more than ``k``, are found by products; their order and the distance are those
    of float64 differences. The products of the candidates also show how far such products are off.
    Where one that is no candidate may be nearer for all that, products in float64 decide.

    :param hidden: ``[N, D]``
    :param known: ``[M, D]`` with M >= ``k``
    :return: float64 ``[N]``
    """
    found, sure = _kth_of_candidates(hidden, known, k, hidden.dtype)
    if not sure.all():
        found[~sure], _ = _kth_of_candidates(hidden[~sure], known, k, torch.float64)
    return found


def _kth_of_candidates(
    hidden: Tensor, known: Tensor, k: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The distances, and where no other than a candidate can be among the nearest.

    :param dtype: of the products
    :return: float64 ``[N]`` and bool ``[N]``
    """
    nearest, index = [], []
    for start in range(0, len(known), NEIGHBOURS_CHUNK):
        some = known[start : start + NEIGHBOURS_CHUNK].to(dtype)
        products = hidden.to(dtype) @ some.T
        values, positions = products.topk(min(k + SPARE, len(some)), dim=1)
        nearest.append(values)
        index.append(positions + start)
    count = min(k + SPARE, len(known))
    products, order = torch.cat(nearest, dim=1).topk(count, dim=1)
    candidates = torch.cat(index, dim=1).gather(1, order)
    mode = "donot_use_mm_for_euclid_dist"  # see mahalanobis
    size = max(1, DIFFERENCES // (count * hidden.shape[1]))
    distances = torch.cat(
        [
            torch.cdist(some[:, None].double(), known[those].double(), compute_mode=mode).squeeze(1)
            for some, those in zip(hidden.split(size), candidates.split(size), strict=True)
        ]
    )
    kth = distances.kthvalue(k, dim=1).values
    if count == len(known):
        return kth, torch.ones_like(kth, dtype=torch.bool)
    exact = 1 - distances.square() / 2
    # more than the largest of many errors: of those that are no candidates there are more
    error = 4 * (products.double() - exact).abs().max()
    return kth, 1 - kth.square() / 2 > products[:, -1].double() + error


def brightness(images: Tensor) -> Tensor:
    """The mean pixel, ``[N, C, H, W]`` -> float64 ``[N]``."""
    return images.double().mean((1, 2, 3))


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
    """The largest softmax value, negated, ``[N, K]`` -> float64 ``[N]``."""
    return -largest_probability(logits.double() / temperature)


def max_logit(logits: Tensor) -> Tensor:
    """The largest logit, negated, ``[N, K]`` -> float64 ``[N]``."""
    return -logits.double().max(1).values


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


class Baseline(Detector):
    """One of the eight scores.

    :param model: None for the scores that look at pixels alone
    """

    def __init__(self, settings: Baselines, model: IDLogits | None, statistics: dict[str, Tensor]):
        self.settings = settings
        self.model = model
        self.statistics = statistics

    def detect(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.model is None:
            pixels = {"brightness": brightness, "complexity": complexity}
            return pixels[self.settings.score](images), None
        if self.settings.score == "odin":
            temperature, epsilon = self.settings.temperature, self.settings.epsilon
            stepped, predicted = odin_step(self.model, images, temperature, epsilon)
            return msp(self.model(stepped), temperature), predicted
        logits = self.model(images)
        return self._score(images, logits), logits.argmax(1)

    def _score(self, images: Tensor, logits: Tensor) -> Tensor:
        score = self.settings.score
        if score == "mahalanobis":
            return mahalanobis(self.model.classifier.hidden(images), **self.statistics)
        if score == "knn":
            hidden = F.normalize(self.model.classifier.hidden(images), dim=1)
            return neighbour_distance(hidden, self.statistics["hidden"], self.settings.k)
        if score == "energy":
            return energy(logits.double())
        return {"msp": msp, "max_logit": max_logit}[score](logits)


def load(content: dict, compute: Compute) -> Baseline:
    """The detector of ``fit``."""
    statistics = {name: one.to(compute.device) for name, one in content["statistics"].items()}
    model = None
    if content["classifier"] is not None:
        classifier = compute.shared(classifiers.restore_cached, content["classifier"])
        n_classes = content["classifier"]["settings"]["n_classes"]
        model = IDLogits(classifier, n_classes).eval()
    return Baseline(Baselines.read(content["settings"]), model, statistics)
