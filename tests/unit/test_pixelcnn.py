"""PixelCNN++: published sizes, exact causality, probabilities that sum to one, samples."""

import itertools

import pytest
import torch
from torch import nn

from ood.models.pixelcnn import (
    Causal,
    PixelCNN,
    logistic_log_probability,
    mixture_log_probability,
)

NETS = [
    {"residual_layers": 2},
    {"residual_layers": 1, "hierarchies": 2},
    {"residual_layers": 1, "hierarchies": 3, "components": 2},
]


def small(channels=1, **changes):
    torch.manual_seed(0)
    return PixelCNN((7, 5, channels), filters=4, **changes).double().eval()


@pytest.mark.parametrize(
    ("shape", "published"), [((28, 28, 1), 1_150_531), ((32, 32, 3), 1_152_874)]
)
def test_the_published_count_includes_the_masked_weights(shape, published):
    network = PixelCNN(shape)
    count = 0
    for module in network.modules():
        if isinstance(module, Causal):
            outputs, inputs = module.conv.weight.shape[:2]
            # the released code masks 5x3 kernels (the first) and 3x3 kernels
            count += outputs * inputs * (15 if module is network.above else 9) + outputs
        elif isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
            count += module.weight.numel() + module.bias.numel()
    assert count == published


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("changes", NETS)
def test_an_output_depends_on_the_pixels_before_it_alone(changes, channels):
    network = small(channels, **changes)
    values = torch.randint(0, 256, (1, channels, 7, 5)).double()
    before = network(values)
    for place, (row, column) in enumerate(itertools.product(range(7), range(5))):
        changed = values.clone()
        changed[:, :, row, column] = (changed[:, :, row, column] + 97) % 256
        difference = (network(changed) - before).abs().amax((0, 1)).flatten()
        assert (difference[: place + 1] == 0).all()
        assert place == 34 or (difference[place + 1 :] > 0).any()


def test_there_is_no_blind_spot():
    """The centre sees every pixel of the rows above, to the right too."""
    network = small(residual_layers=3)
    values = torch.randint(0, 256, (1, 1, 7, 5)).double().requires_grad_()
    network(values)[0, :, 3, 2].abs().sum().backward()
    seen = values.grad[0, 0] != 0
    assert seen[:3].all()
    assert seen[3, :2].all()
    assert not seen[3, 2:].any()
    assert not seen[4:].any()


@pytest.mark.parametrize(
    ("mean", "scale", "value", "probability"),
    [
        (127.5, 10, 127, 0.024979),
        (127.5, 10, 0, 3.0e-6),
        (0, 0.25, 0, 0.880797),
        (-20, 5, 0, 0.983698),
        (300, 30, 255, 0.820047),
    ],
)
def test_probabilities_of_the_quantised_logistic(mean, scale, value, probability):
    levels = torch.arange(256, dtype=torch.float64)
    found = logistic_log_probability(levels, torch.tensor(mean), torch.tensor(scale)).exp()
    assert found[value].item() == pytest.approx(probability, rel=2e-5, abs=1e-7)
    assert found.sum().item() == pytest.approx(1, abs=1e-6)


def test_log_probabilities_stay_finite_far_from_the_mean():
    levels = torch.arange(256.0)
    found = logistic_log_probability(levels, torch.tensor(-3000.0), torch.tensor(0.25))
    assert torch.isfinite(found).all()
    exact = logistic_log_probability(levels.double(), torch.tensor(-3000.0), torch.tensor(0.25))
    assert torch.allclose(found.double(), exact, rtol=1e-5)


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("components", [1, 3])
def test_a_mixture_over_all_values_of_a_pixel_sums_to_one(components, rescale):
    torch.manual_seed(0)
    outputs = torch.randn(1, 3 * components, 1, 1, dtype=torch.float64)
    outputs = (outputs * (1 if rescale else 60)).expand(256, -1, -1, -1)
    values = torch.arange(256, dtype=torch.float64).view(256, 1, 1, 1)
    found = mixture_log_probability(values, outputs, components, rescale).exp()
    assert found.sum().item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("rescale", [False, True])
def test_colours_are_conditioned_in_order(rescale):
    """Of a pixel's 256^3 values, blue sums out to the law of red and green, and so on."""
    torch.manual_seed(0)
    outputs = torch.randn(1, 2 * 10, 1, 1, dtype=torch.float64)
    levels = torch.arange(256, dtype=torch.float64)

    def probability(red, green):
        values = torch.stack([torch.full_like(levels, red), torch.full_like(levels, green), levels])
        values = values.T[:, :, None, None]
        return mixture_log_probability(values, outputs.expand(256, -1, -1, -1), 2, rescale).exp()

    # summed over blue it is the marginal of red and green; over green too, that of red
    marginal = sum(probability(100.0, float(green)).sum().item() for green in range(256))
    logits, location, scale = outputs.view(2, 10)[:, [0, 1, 4]].T
    if rescale:
        mean = 127.5 * (location + 1)
        width = 127.5 * (nn.functional.softplus(scale) + torch.exp(torch.tensor(-7.0)))
    else:
        mean, width = location, (255 * torch.sigmoid(scale)).clamp(min=0.25)
    cdf = torch.sigmoid((100.5 - mean) / width) - torch.sigmoid((99.5 - mean) / width)
    assert marginal == pytest.approx((logits.softmax(0) * cdf).sum().item(), rel=1e-5)


def test_the_pixels_of_an_image_sum_to_its_likelihood_whatever_the_batch():
    network = small(residual_layers=1)
    values = torch.randint(0, 256, (6, 1, 7, 5)).double()
    whole = network.log_probability(values)
    assert whole.shape == (6, 7, 5)
    parts = torch.cat([network.log_probability(one) for one in values.split(1)])
    assert torch.allclose(whole.sum((1, 2)), parts.sum((1, 2)), rtol=1e-9)


def test_samples_follow_the_likelihood():
    """Shares of sampled values of a pixel against its probabilities."""
    network = small()
    torch.manual_seed(1)
    outputs = torch.tensor([[0.3, 90.0, -3.0]], dtype=torch.float64)
    drawn = network.sample_pixels(outputs.expand(20_000, -1))
    levels = torch.arange(256, dtype=torch.float64).view(256, 1, 1, 1)
    wide = outputs[..., None, None].expand(256, -1, -1, -1)
    expected = mixture_log_probability(levels, wide, 1, False)
    shares = torch.bincount(drawn.flatten().long(), minlength=256) / 20_000
    assert (shares - expected.exp().flatten()).abs().max() < 0.01
