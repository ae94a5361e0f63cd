"""Silent failures of training: each with a network that is broken on purpose."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Normal, kl_divergence
from typed import ADAM, complete, typed

from ood.data.images import ImageSet
from ood.methods import cmg, csi, likelihood_ratio, oodgen
from ood.settings.training import BatchedEpochs
from ood.training import health
from ood.training.batches import Batches
from ood.training.device import Compute
from ood.training.loop import train
from ood.training.run import Run

CPU = Compute(torch.device("cpu"))
IMAGES = ImageSet(
    np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), dtype=np.uint8), np.arange(60) % 3
)


class Called(nn.Module):
    """A ReLU that is a call, of a linear map of which some units are dead."""

    def __init__(self, dead):
        super().__init__()
        self.linear = nn.Linear(4, 10)
        nn.init.constant_(self.linear.weight, 0.1)
        nn.init.constant_(self.linear.bias, 1.0)
        with torch.no_grad():
            self.linear.bias[:dead] = -100.0

    def forward(self, x):
        return F.relu(self.linear(x))


@pytest.mark.parametrize("dead", [0, 4, 10])
def test_dead_units_are_counted_whether_a_relu_is_a_module_or_a_call(dead):
    for network in (Called(dead), nn.Sequential(Called(dead).linear, nn.ReLU(inplace=True))):
        found = health.look(network, lambda x, net=network: net(x), (torch.rand(5, 4),), CPU)
        assert list(found["layers"].values()) == [pytest.approx(dead / 10)]
        assert found["dead_units"] == pytest.approx(dead / 10)
        flags = health.flags_of(found)
        assert any("100% of a layer's units are dead" in flag for flag in flags) == (dead == 10)


def test_units_of_maps_are_channels():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    with torch.no_grad():
        network[0].bias[:] = torch.tensor([9.0, 9.0, 9.0, -9.0])
    found = health.look(network, network, (torch.rand(6, 1, 8, 8),), CPU)
    assert found["layers"] == {"1": pytest.approx(0.25)}


def test_a_network_that_says_the_same_of_all_images_is_flagged():
    network = nn.Linear(4, 3)
    nn.init.zeros_(network.weight)
    found = health.look(network, network, (torch.rand(5, 4),), CPU)
    assert found["output_spread"] == 0
    assert health.flags_of(found) == ["all outputs are the same"]
    nn.init.ones_(network.weight)
    assert not health.flags_of(health.look(network, network, (torch.rand(5, 4),), CPU))


def test_looking_disturbs_nothing():
    """Modes, running statistics and random numbers are as before: training goes on as without."""
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)).train()
    network[1].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)

    def loss(x):
        network[1].running_mean.add_(1)
        return network(x) * torch.rand(5, 4)

    health.look(network, loss, (torch.rand(5, 4, generator=torch.Generator()),), CPU)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert [part.training for part in network] == [True, False, True]


def test_a_training_is_looked_at_after_its_first_epoch_and_at_its_end(tmp_path):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 3))
    settings = BatchedEpochs(epochs=5, batch_size=20, optimizer=typed_adam())

    def loss(images, labels):
        return {"loss": F.cross_entropy(network(images), labels)}

    data = Batches(torch.from_numpy(IMAGES.images[..., 0]), torch.from_numpy(IMAGES.labels), 20)
    trained = train(network, loss, data, settings, Run(0, CPU, tmp_path / "c.pt", ""))
    assert set(trained.health) == {"first", "last"}
    assert set(trained.health["first"]["layers"]) == {"2"}
    losses = [row["loss"] for row in trained.history]
    moved = abs(losses[-1] - losses[0]) / losses[0]
    assert trained.health["last"]["loss_moved"] == pytest.approx(moved)


def typed_adam():
    return ADAM | {"learning_rate": 0.01}


@pytest.mark.parametrize(
    ("losses", "flagged"),
    [([1.0, 0.9, 0.8, 0.7], False), ([1.0, 0.999, 1.001, 1.0], True), ([1.0, 1.0], False)],
)
def test_a_loss_that_stays_is_flagged_after_some_epochs(losses, flagged):
    facts = health.loss_moved([{"loss": loss} for loss in losses])
    assert bool(health.flags_of(facts)) == flagged


def test_the_kl_is_that_of_the_definition_and_unused_latents_are_counted():
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(200, 3, generator=generator) * torch.tensor([1.0, 0.5, 0.0])
    log_variance = torch.full((200, 3), -1.0)
    found = health.of_latents(mean, log_variance)
    exact = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0))
    assert found["kl_nats"] == pytest.approx(exact.sum(1).mean().item(), rel=1e-5)
    assert found["used_latents"] == 2
    dead = health.of_latents(torch.zeros(200, 3), torch.zeros(200, 3))
    assert health.flags_of(dead) == [
        "the latent holds 0.000 nats: it is not used",
        "no latent is used",
    ]


@pytest.mark.parametrize("kind", ["cmg_cvae", "oodgen_cvae"])
def test_a_cvae_whose_encoder_is_dead_is_flagged(kind):
    module = {"cmg_cvae": cmg, "oodgen_cvae": oodgen}[kind]
    more = {"latent": 4, "hidden": 16, "width": 0.2}
    if kind == "cmg_cvae":
        more |= {"architecture": "conv", "padding": 1}
    else:
        more |= {"init": "default", "deterministic_latent": False}
    settings = typed(complete(kind, **more))
    torch.manual_seed(0)
    network = module.build_cvae(settings).eval()
    for layer in (network.mean, network.log_variance):
        nn.init.zeros_(layer.bias)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, nn.Linear) and part.out_features == 16:
                part.bias.fill_(-1e4)
    facts = module.HEALTH[kind](network, settings, IMAGES, CPU)
    assert facts["used_latents"] == 0
    assert "no latent is used" in health.flags_of(facts)


def test_predictions_of_one_class_and_of_chance_are_flagged():
    labels = torch.arange(300) % 3
    right = F.one_hot(labels, 3).float()
    assert health.flags_of(health.of_predictions(right, labels)) == []
    one = torch.tensor([[1.0, 0, 0]]).expand(300, 3)
    assert health.flags_of(health.of_predictions(one, labels)) == [
        "100% of predictions are one class",
        "no better than chance on training images",
    ]
    # where most images are of one class, predicting it is no sign of death
    assert "largest_class" not in health.of_predictions(one, torch.zeros(300, dtype=torch.int64))


def test_an_encoder_that_has_collapsed_is_flagged():
    settings = complete(
        "csi_encoder",
        architecture="resnet18",
        width=0.0625,
        resize=None,
        projection=8,
        labeled=False,
        shift="rotation",
        flip=False,
        crop=[0.54, 1.0],
        jitter={"value": 0.4, "contrast": 0.4},
        temperature=0.5,
        training_images=None,
    )
    torch.manual_seed(0)
    network = csi.Encoder(typed(settings)).eval()
    nn.init.zeros_(network.projection[2].weight)
    facts = csi.HEALTH["csi_encoder"](network, typed(settings), IMAGES, CPU)
    assert facts["positives_over_negatives"] == pytest.approx(0, abs=1e-6)
    assert health.flags_of(facts) == ["views of all images look alike"]


def test_a_pixelcnn_is_compared_with_uniform_and_with_independent_pixels():
    settings = typed(complete("pixelcnn", steps=2, evaluate_every=1))
    torch.manual_seed(0)
    network = likelihood_ratio.build(settings).eval()
    facts = likelihood_ratio.HEALTH["pixelcnn"](network, settings, IMAGES, CPU)
    values = torch.from_numpy(IMAGES.images).permute(0, 3, 1, 2).float()
    nats = -network.log_probability(values).sum((1, 2)).mean().item()
    edges = [0, *(1 + math.ceil(k * 254 / 16) for k in range(17)), 256]
    counts, _ = np.histogram(IMAGES.images, edges)
    shares = counts / IMAGES.images.size
    entropy = -sum(p * math.log(p / w) for p, w in zip(shares, np.diff(edges), strict=True) if p)
    assert facts["nats_below_uniform"] == pytest.approx(64 * math.log(256) - nats, rel=1e-4)
    assert facts["nats_below_pixels"] == pytest.approx(64 * entropy - nats, rel=1e-4)
    assert "no better than uniform pixels" in health.flags_of(facts)


def test_independent_pixels_are_spikes_at_the_ends_and_flat_between():
    half = torch.tensor([0.0, 255, 0, 255])
    assert likelihood_ratio._nats_of_independent(half) == pytest.approx(math.log(2))
    # one gray of a range of 16 or 15 values: no spike, as a comb of few grays would be
    assert likelihood_ratio._nats_of_independent(torch.full((4,), 100.0)) == pytest.approx(
        math.log(16)
    )


@pytest.mark.parametrize("check", health.CHECKS, ids=lambda check: check.fact)
def test_every_check_has_a_bad_and_a_good_side(check):
    step = 1e-3 if check.above else -1e-3
    assert check.fails(check.limit)
    assert check.fails(check.limit + step)
    assert check.fails(math.nan)
    assert not check.fails(check.limit - step)
