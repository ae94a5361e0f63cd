"""Baselines against pytorch-ood, SciPy and values by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pytorch_ood import detector as theirs
from scipy.spatial.distance import mahalanobis
from sklearn.neighbors import NearestNeighbors
from torch import Tensor
from typed import complete, typed

from ood.data.images import ImageSet, to_tensor, to_unit
from ood.detection import classifier as classifiers
from ood.methods import baselines
from ood.training.device import Compute
from ood.training.model_files import (
    TrainedModel,
    TrainingResult,
    load_model,
    save_model,
    save_trained,
)
from ood.training.run import Inputs, Run

CPU = Compute(torch.device("cpu"))
CLASSIFIER = complete(
    "classifier",
    architecture="convnet",
    shape=[8, 8, 1],
    n_classes=3,
    extra_outputs=1,
    width=0.1,
    hidden=8,
    dropout=0.2,
    head_dropout=0.0,
    normalization=None,
)
SETTINGS = {
    "msp": {},
    "max_logit": {},
    "energy": {},
    "odin": {"temperature": 1000, "epsilon": 0.0014},
    "mahalanobis": {"ridge": 1e-6},
    "knn": {"k": 5},
    "brightness": {},
    "complexity": {},
}


PIXEL_SCORES = ("brightness", "complexity")


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    return classifiers.build(typed(CLASSIFIER)).eval()


@pytest.fixture(scope="module")
def image_set():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
    return ImageSet(images, np.arange(60) % 3)


def detector(score, classifier, image_set, folder, compute=CPU):
    """Built, saved and loaded as the workflow does it."""
    settings, models = {"score": score, **SETTINGS[score]}, {}
    if score not in PIXEL_SCORES:
        settings["classifier"] = "classifier"
        save_trained(folder, CLASSIFIER, classifier, TrainingResult([], 0))
        models["classifier"] = TrainedModel(folder)
    fitted = baselines.fit(
        typed(complete("baselines", **settings)),
        Inputs(image_set, models=models),
        Run(0, compute, folder, ""),
    )
    assert fitted.parameters == (sum(v.numel() for v in classifier.parameters()) if models else 0)
    save_model(folder / "detector.pt", fitted.content)
    return baselines.load(load_model(folder / "detector.pt"), compute)


@pytest.mark.parametrize("score", SETTINGS)
def test_scores_are_float64_and_do_not_depend_on_the_batch(score, classifier, image_set, tmp_path):
    one = detector(score, classifier, image_set, tmp_path)
    images = to_unit(to_tensor(image_set.images))
    with torch.no_grad():
        whole = one.score(images)
        parts = torch.cat([one.score(part) for part in images.split(7)])
    assert whole.dtype == torch.float64
    assert whole.shape == (60,)
    torch.testing.assert_close(whole, parts, atol=1e-5, rtol=1e-5)
    predicted = one.predict(images)
    assert (predicted is None) == (score in PIXEL_SCORES)
    assert predicted is None or set(predicted.tolist()) <= {0, 1, 2}


@pytest.mark.parametrize(
    ("score", "oracle"),
    [
        ("msp", theirs.MaxSoftmax),
        ("max_logit", theirs.MaxLogit),
        ("energy", theirs.EnergyBased),
        ("odin", theirs.ODIN),
    ],
)
def test_against_pytorch_ood_on_the_id_logits(score, oracle, classifier, image_set, tmp_path):
    one = detector(score, classifier, image_set, tmp_path)
    images = to_unit(to_tensor(image_set.images))
    with torch.no_grad():
        expected = oracle(lambda x: classifier(x)[:, :3]).predict(images).double()
        torch.testing.assert_close(one.score(images), expected, atol=1e-6, rtol=1e-6)


def test_confident_softmax_values_keep_their_order():
    logits = torch.tensor([[30.0, 0.0], [31.0, 0.0]])
    assert theirs.MaxSoftmax.score(logits).diff() == 0
    assert baselines.msp(logits).diff() < 0


def test_mahalanobis_against_scipy():
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(20, 3, generator=generator)
    means = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    factor = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    precision = factor @ factor.T
    found = baselines.mahalanobis(hidden, means @ factor, factor)
    for row, value in zip(hidden.double().numpy(), found, strict=True):
        nearest = min(mahalanobis(row, m, precision.numpy()) for m in means.numpy())
        assert value.item() == pytest.approx(nearest**2 / 2)


def test_mahalanobis_statistics_by_hand(classifier, image_set):
    statistics = baselines.fit_statistics(
        typed(complete("baselines", score="mahalanobis", ridge=1e-6, classifier="classifier")),
        classifier,
        image_set,
        CPU,
    )
    with torch.no_grad():
        images = to_unit(to_tensor(image_set.images))
        hidden = classifier.head[:-1](classifier.features(images)).double().numpy()
    labels = image_set.labels
    means = np.stack([hidden[labels == k].mean(0) for k in range(3)])
    centred = hidden - means[labels]
    covariance = centred.T @ centred / 60
    covariance += 1e-6 * np.trace(covariance) / 8 * np.eye(8)
    whitening = statistics["whitening"].numpy()
    np.testing.assert_allclose(whitening @ whitening.T @ covariance, np.eye(8), atol=1e-6)
    np.testing.assert_allclose(statistics["whitened_means"], means @ whitening)


def test_knn_is_the_distance_to_the_kth_neighbour_on_the_unit_sphere(
    classifier, image_set, tmp_path
):
    one = detector("knn", classifier, image_set, tmp_path)
    images = to_unit(to_tensor(image_set.images))
    with torch.no_grad():
        hidden = classifier.head[:-1](classifier.features(images)).double()
        unit = hidden / hidden.norm(dim=1, keepdim=True)
        expected = torch.cdist(unit, unit).sort(dim=1).values[:, 4]
        torch.testing.assert_close(one.score(images), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("chunk", [4, 7, 100])
def test_neighbours_are_found_in_chunks_of_the_known(chunk, monkeypatch):
    monkeypatch.setattr(baselines, "NEIGHBOURS_CHUNK", chunk)
    generator = torch.Generator().manual_seed(0)
    drawn = F.normalize(torch.randn(39, 5, generator=generator), dim=1)
    hidden, known = drawn[:9], drawn[9:]
    sizes, _ = NearestNeighbors(n_neighbors=6).fit(known.double()).kneighbors(hidden.double())
    found = baselines.neighbour_distance(hidden, known, 6)
    np.testing.assert_allclose(found, sizes[:, -1], rtol=1e-6)
    # a known image's nearest neighbour is itself: exactly, where 2 - 2 cos would leave 3e-4
    assert (baselines.neighbour_distance(known, known, 1) == 0).all()


@pytest.mark.parametrize("bits", [24, 11, 8], ids=["float32", "TF32", "bfloat16"])
@pytest.mark.parametrize("apart", [1.0, 1e-3, 1e-6], ids=["apart", "near", "near ties"])
def test_neighbours_are_exact_however_coarse_the_products_are(bits, apart, monkeypatch):
    """Inputs of products are rounded as devices do it; float64 products are not."""
    generator = torch.Generator().manual_seed(1)
    known = torch.randn(3000, 16, generator=generator) * apart
    known[:, 0] += 1
    known = F.normalize(known, dim=1)
    hidden = F.normalize(known[:40] + 1e-4 * torch.randn(40, 16, generator=generator), dim=1)
    multiply = Tensor.__matmul__

    def rounded(values):
        mantissa, exponent = torch.frexp(values)
        return torch.ldexp((mantissa * 2**bits).round() / 2**bits, exponent)

    def coarse(one, other):
        if one.dtype == torch.float64:
            return multiply(one, other)
        return multiply(rounded(one), rounded(other))

    monkeypatch.setattr(Tensor, "__matmul__", coarse)
    found = baselines.neighbour_distance(hidden, known, 50)
    differences = hidden.double()[:, None] - known.double()
    expected = differences.norm(dim=2).sort(dim=1).values[:, 49]
    torch.testing.assert_close(found, expected, atol=0, rtol=1e-9)


def test_odin_and_its_prediction_take_two_passes(classifier, image_set, tmp_path):
    one = detector("odin", classifier, image_set, tmp_path)
    images, passes = to_unit(to_tensor(image_set.images)), []
    features = one.model.classifier.features.extractor
    features.register_forward_hook(lambda *_: passes.append(1))
    with torch.no_grad():
        _, predicted = one.detect(images)
        assert len(passes) == 2
        assert torch.equal(predicted, classifier(images)[:, :3].argmax(1))
        # of other images it does not speak
        assert torch.equal(one.predict(images[:5].clone()), predicted[:5])


@pytest.mark.parametrize("score", ["msp", "odin", "mahalanobis", "knn"])
def test_bfloat16_passes_are_scored_with_the_digits_of_float32(
    score, classifier, image_set, tmp_path
):
    images = to_unit(to_tensor(image_set.images))
    exact = detector(score, classifier, image_set, tmp_path / "exact")
    compute = Compute(torch.device("cpu"), "bfloat16")
    rounded = detector(score, classifier, image_set, tmp_path / "rounded", compute)
    with torch.no_grad():
        expected = exact.score(images)
        with compute.autocast():
            found = rounded.score(images)
    assert len(found.unique()) > 50  # bfloat16's logits would give a few values
    # the random net's hidden values lie so close that neighbours are a matter of rounding
    assert score == "knn" or np.corrcoef(found, expected)[0, 1] > 0.9


def test_brightness_and_complexity():
    images = torch.zeros(2, 1, 8, 8)
    images[1] = torch.rand(8, 8, generator=torch.Generator().manual_seed(0))
    plain = baselines.Baseline(typed(complete("baselines", score="brightness")), None, {})
    assert plain.score(images)[0] == 0
    assert plain.score(images)[1].item() == pytest.approx(images[1].mean().item())
    sizes = baselines.complexity(images)
    assert sizes[1] > sizes[0] + 30
    torch.testing.assert_close(baselines.complexity(images * 3 - 1)[0], sizes[0])
