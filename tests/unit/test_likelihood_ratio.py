"""Likelihood ratios: mutation, loss, selection, scores against independent values."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from typed import complete, typed

from ood.data.images import ImageSet
from ood.detection.contract import run
from ood.methods import likelihood_ratio as lr
from ood.models.pixelcnn import PixelCNN
from ood.training.device import Compute
from ood.training.model_files import cpu_state
from ood.training.run import Inputs, Run

CPU = Compute(torch.device("cpu"))
SETTINGS = complete(
    "pixelcnn",
    shape=[8, 8, 1],
    n_classes=2,
    steps=6,
    evaluate_every=4,
    snapshot_every=4,
    batch_size=8,
    optimizer={"name": "adam", "learning_rate": 1e-3, "betas": [0.95, 0.9995], "eps": 1e-8},
)


def image_set(count=40, seed=0):
    images = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)
    return ImageSet(images, np.arange(count) % 2)


def network(seed=0, **changes):
    torch.manual_seed(seed)
    return lr.build(typed(SETTINGS | changes)).eval().requires_grad_(False)


@pytest.mark.parametrize("rate", [0.1, 0.3])
def test_mutation_replaces_a_share_of_the_pixels_by_uniform_values(rate):
    torch.manual_seed(0)
    values = torch.full((100, 1, 50, 50), 7.0)
    mutated = lr.mutate(values, rate)
    assert torch.equal(mutated, mutated.round())
    changed = mutated[mutated != 7]
    share = len(changed) / values.numel()
    # one in 256 new values is the old one
    assert share == pytest.approx(rate * 255 / 256, abs=4 * math.sqrt(rate / values.numel()))
    counts = torch.bincount(changed.long(), minlength=256)
    counts = torch.cat([counts[:7], counts[8:]])
    assert chisquare(counts.numpy()).pvalue > 1e-3


def test_without_mutation_images_stay_as_they_are():
    values = torch.randint(0, 256, (5, 1, 8, 8)).float()
    assert torch.equal(lr.mutate(values, 0.0), values)


def test_values_are_whole_numbers_and_survive_the_scaling():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(lr.to_values(levels.float() / 255), levels.float())
    assert lr.to_values(torch.tensor([-3.0, 1.7])).tolist() == [0, 255]


@pytest.mark.parametrize(("shape", "size"), [((28, 28, 1), 1875), ((32, 32, 3), 1891)])
def test_a_training_begins_with_the_penalty_of_masked_kernels(shape, size):
    """Glorot's numbers for kernels of full size, of which a part is cut off; for the cut ones it
    would be 2,828. The variance of an entry is 2 / ((in + out) full size)."""
    torch.manual_seed(0)
    network = PixelCNN(shape)
    assert lr.penalty(network).item() == pytest.approx(size, rel=0.01)
    first = network.down[0][0].vertical.first.conv.weight
    # 2x3 of 3x3, from 64 to 32 maps
    assert first.shape == (32, 64, 2, 3)
    assert first.abs().max().item() == pytest.approx((6 / (96 * 9)) ** 0.5, rel=0.01)


def test_the_penalty_is_the_sum_of_squared_kernels_without_biases():
    net = network()
    expected = sum(
        float((value.double() ** 2).sum())
        for name, value in net.state_dict().items()
        if name.endswith("weight")
    )
    with torch.no_grad():
        for name, value in net.named_parameters():
            if name.endswith("bias"):
                value.fill_(100)
    assert lr.penalty(net).item() == pytest.approx(expected, rel=1e-5)


def test_every_model_has_the_same_validation_images_and_of_every_class():
    """Where the file order is by class, too."""
    whole = ImageSet(image_set(100).images, np.repeat(np.arange(4), 25))
    training, validation = lr.split(typed(SETTINGS), whole)
    assert (len(training), len(validation)) == (80, 20)
    again = lr.split(typed(SETTINGS | {"mutation_rate": 0.3}), whole)[1]
    assert np.array_equal(validation.images, again.images)
    assert set(validation.labels) == {0, 1, 2, 3}
    both = np.concatenate([training.images, validation.images]).reshape(100, -1)
    assert len(np.unique(both, axis=0)) == 100


def test_training_records_bits_and_penalty_and_keeps_snapshots(tmp_path):
    settings = SETTINGS | {"mutation_rate": 0.2, "l2": 0.5}
    net, trained = lr.fit_pixelcnn(
        typed(settings), Inputs(image_set()), Run(0, CPU, tmp_path / "c.pt", "")
    )
    row = trained.history[-1]
    nats = row["loss"] - row["penalty"]
    assert row["bits_per_dimension"] == pytest.approx(nats / (64 * math.log(2)), rel=1e-5)
    assert row["validation_penalty"] == pytest.approx(0.5 * lr.penalty(net).item(), rel=1e-5)
    assert list(trained.snapshots) == [4, 6]
    state = net.state_dict()
    assert all(torch.equal(state[name], one) for name, one in trained.snapshots[6].items())


def test_training_lowers_the_loss_below_that_of_uniform_pixels(tmp_path):
    dark = ImageSet((image_set(200).images // 64).astype(np.uint8), np.zeros(200, np.int64))
    settings = SETTINGS | {"steps": 150, "evaluate_every": 75, "batch_size": 32}
    settings["optimizer"] = settings["optimizer"] | {"learning_rate": 1e-2}
    _, trained = lr.fit_pixelcnn(typed(settings), Inputs(dark), Run(0, CPU, tmp_path / "c.pt", ""))
    # four grey levels: 2 bits are the least, 8 the uniform law's
    assert 2 <= trained.history[-1]["validation_bits_per_dimension"] < 5


def content(**networks):
    return {part: {"settings": SETTINGS, "state": cpu_state(net)} for part, net in networks.items()}


@pytest.fixture
def detector():
    return lambda **networks: lr.load(content(**networks), Compute(torch.device("cpu")))


def test_equal_models_give_a_ratio_of_exactly_zero(detector):
    one = detector(foreground=network(), background=network())
    assert (one.score(torch.rand(5, 1, 8, 8)) == 0).all()


def test_the_score_is_the_difference_of_two_likelihoods(detector):
    foreground, background = network(0), network(1)
    images = torch.randint(0, 256, (6, 1, 8, 8)).float()
    exact = [
        net.double().log_probability(images.double()).sum((1, 2))
        for net in (foreground, background)
    ]
    both = detector(foreground=network(0), background=network(1))
    alone = detector(foreground=network(0))
    found = both.score(images / 255)
    assert found.dtype == torch.float64
    assert torch.allclose(found, exact[1] - exact[0], rtol=1e-5, atol=1e-3)
    assert torch.allclose(alone.score(images / 255), -exact[0], rtol=1e-6)
    likelihood, ratio = both.pixels(images / 255)
    assert torch.allclose(ratio.sum((1, 2)), -found, rtol=1e-12)
    assert torch.allclose(likelihood.sum((1, 2)), exact[0], rtol=1e-6)
    assert both.predict(images) is None


def test_a_score_does_not_depend_on_the_batch(detector):
    one = detector(foreground=network(0), background=network(1))
    whole = run({"": one}, image_set(30), CPU)[""]
    parts = run({"": one}, image_set(30), replace(CPU, scoring_batch=7))[""]
    assert np.allclose(whole[0], parts[0], rtol=0, atol=1e-3)
    assert (whole[1] == -1).all()


def test_detectors_that_are_scored_together_share_the_foreground_pass():
    compute, passes = Compute(torch.device("cpu")), []
    both = lr.load(content(foreground=network(0), background=network(1)), compute)
    alone = lr.load(content(foreground=network(0)), compute)
    assert alone.foreground is both.foreground
    both.foreground.extractor.register_forward_hook(lambda *_: passes.append(1))
    found = run({"both": both, "alone": alone}, image_set(20), replace(compute, scoring_batch=10))
    assert len(passes) == 2
    separate = lr.load(content(foreground=network(0)), Compute(torch.device("cpu")))
    again = run({"": separate}, image_set(20), replace(compute, scoring_batch=10))[""]
    assert np.array_equal(found["alone"][0], again[0])


def test_a_snapshot_replaces_both_models(detector):
    one = detector(foreground=network(0), background=network(1))
    images = torch.rand(4, 1, 8, 8)
    state = {"foreground": cpu_state(network(1)), "background": cpu_state(network(0))}
    assert torch.equal(lr.at_snapshot(one, state).score(images), -one.score(images))


def test_the_ratio_is_judged_by_its_auroc():
    foreground = np.array([-10.0, -12.0, -20.0, -21.0])
    background = np.array([-15.0, -14.0, -21.0, -30.0])
    # scores: ID -5, -2; OOD -1, -9: OOD is higher in two of four pairs
    assert lr.ratio_auroc(foreground, background, 2) == 0.5


def test_samples_have_the_shape_of_images_and_follow_the_random_state():
    net = network()
    torch.manual_seed(3)
    first = lr.sample(net, 2)
    torch.manual_seed(3)
    second = lr.sample(net, 2)
    assert first.shape == (2, 1, 8, 8)
    assert first.dtype == torch.uint8
    assert torch.equal(first, second)
