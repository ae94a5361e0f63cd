"""Class Gaussians of a plain classifier's features, the control of VMDLS."""

import numpy as np
import pytest
import torch
from typed import complete, typed

from ood.data.images import ImageSet
from ood.detection import classifier as classifiers
from ood.detection.contract import run
from ood.methods import gaussians
from ood.training.device import Compute
from ood.training.model_files import cpu_state, load_model, save_model
from ood.training.run import Inputs, Run

CPU = Compute(torch.device("cpu"))
SETTINGS = complete(
    "classifier",
    architecture="convnet",
    shape=[8, 8, 1],
    n_classes=3,
    width=0.05,
    dropout=0.2,
    hidden=None,
    head_dropout=0,
    extra_outputs=0,
    normalization={"mean": [0.5], "sd": [0.5]},
)
NETS = {
    "convnet": {},
    "two_conv": {"shape": [28, 28, 1]},
    "toynet": {"padding": 2},
    "mnist_conv": {},
    "resnet18": {"width": 0.0625},
    "densenet": {"width": 0.25, "depth": 10},
    "airbench": {"width": 0.0625, "shape": [32, 32, 3], "normalization": None},
}


class TrainedModel:
    """A trained model, as a fitting job gets it."""

    def __init__(self, settings):
        torch.manual_seed(0)
        network = classifiers.build(typed(settings)).eval()
        self.content = {"settings": settings, "state": cpu_state(network)}
        self.parameters = 7


@pytest.fixture(scope="module")
def known():
    generator = np.random.default_rng(0)
    labels = np.arange(600) % 3
    pictures = generator.integers(0, 120, (600, 8, 8, 1)) + 60 * labels[:, None, None, None]
    return ImageSet(pictures.astype(np.uint8), labels)


@pytest.fixture(scope="module")
def fitted(known):
    inputs = Inputs(known, models={"classifier": TrainedModel(SETTINGS)})
    settings = complete("gaussians", jitter=1e-6, shrinkage=0.0)
    return gaussians.fit(typed(settings), inputs, Run(0, CPU, None, ""))


@pytest.mark.parametrize("name", NETS)
def test_every_net_has_features_of_several_depths(name):
    settings = SETTINGS | {"architecture": name} | NETS[name]
    if name not in ("convnet", "two_conv"):
        settings.pop("dropout")
    depths = gaussians.restore_depths(TrainedModel(settings).content, CPU).extractor
    height, width, channels = settings["shape"]
    images = torch.rand(5, channels, height, width)
    with torch.no_grad():
        parts = depths(images)
        last = depths.features(images)
    assert len(parts) == (3 if name in ("two_conv", "toynet") else 4)
    assert all(part.dtype == torch.float64 and part.ndim == 2 for part in parts)
    torch.testing.assert_close(parts[-1], last.double())
    # an image's features are its own
    with torch.no_grad():
        alone = depths(images[:1])
    for part, one in zip(parts, alone, strict=True):
        torch.testing.assert_close(part[:1], one, rtol=1e-4, atol=1e-5)


def test_a_net_without_taps_gives_convolutions_a_third_of_the_way_apart():
    depths = gaussians.restore_depths(TrainedModel(SETTINGS).content, CPU).extractor
    convolutions = [one for one in depths.modules() if isinstance(one, torch.nn.Conv2d)]
    assert len(convolutions) == 9
    assert depths.tapped == [convolutions[index] for index in (2, 5, 8)]


def test_the_score_is_the_best_class_s_likelihood(fitted, known, tmp_path):
    save_model(tmp_path / "detector.pt", fitted.content)
    detector = gaussians.load(load_model(tmp_path / "detector.pt"), CPU)
    scores, predicted = run({"": detector}, known, CPU)[""]
    depths = gaussians.restore_depths(fitted.content["classifier"], CPU).extractor
    images = torch.from_numpy(known.images).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        parts = depths(images)
    features = torch.cat([parts[index] for index in fitted.facts["kept_parts"]], dim=1).numpy()
    likelihoods = []
    for k in range(3):
        mine = features[known.labels == k]
        spread = np.cov(mine.T, bias=True) + fitted.facts["added_to_variances"] * np.eye(
            features.shape[1]
        )
        # SciPy's own takes small eigenvalues for zero
        gap = features - mine.mean(0)
        squares = np.einsum("nd,de,ne->n", gap, np.linalg.inv(spread), gap)
        constant = np.linalg.slogdet(spread).logabsdet + len(spread) * np.log(2 * np.pi)
        likelihoods.append(-0.5 * (squares + constant))
    np.testing.assert_allclose(scores, -np.max(likelihoods, axis=0), rtol=1e-4)
    assert (predicted == np.argmax(likelihoods, axis=0)).all()
    assert (predicted == known.labels).mean() > 0.6
