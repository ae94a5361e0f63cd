"""Networks: the published sizes, shapes at every benchmark's size."""

import importlib

import pytest
import safetensors.torch
import timm
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from typed import complete, typed

from ood.detection.class_gaussians import Depths
from ood.detection.classifier import build
from ood.errors import InputError
from ood.models import airbench, convnet, densenet, resnet18, toynet, two_conv, vgg, wide_resnet
from ood.models.autoencoder import AutoEncoder
from ood.models.base import Classifier, Normalized
from ood.models.vae import CVAE, OneHotCVAE, ResidualBlock
from ood.training.model_files import load_weights


def parameters(module):
    return sum(value.numel() for value in module.parameters())


def settings(**changes):
    usual = {"architecture": "convnet", "shape": [28, 28, 1], "n_classes": 6, "extra_outputs": 5}
    usual |= {"width": 1.0, "hidden": 512} | changes
    if usual["architecture"] in ("convnet", "two_conv"):
        usual["dropout"] = 0.2
    return typed(complete("classifier", **usual))


def test_the_mnist_classifier_has_the_published_size():
    classifier = build(settings())
    assert parameters(classifier) == 2_052_683
    assert classifier.features.out_features == 2048


def test_the_cifar_classifier_has_the_published_size():
    classifier = build(settings(architecture="resnet18", shape=[32, 32, 3]))
    assert parameters(classifier.features) == 11_168_832
    assert parameters(classifier.head) == 268_299
    wide = build(settings(architecture="resnet18", shape=[32, 32, 3], extra_outputs=104))
    assert parameters(wide.head) == 319_086


def test_the_cvae_has_the_published_size():
    mnist = CVAE((28, 28, 1), 6, "conv", padding=15)
    assert parameters(mnist.encoder) + parameters(mnist.mean) * 2 == pytest.approx(103e6, rel=0.005)
    # the published count includes the class embedding, one-hot of length 10
    assert parameters(mnist.decoder) == pytest.approx(6.6e6, rel=0.01)
    cifar = CVAE((32, 32, 3), 6, "resnet")
    assert parameters(cifar.decoder) == pytest.approx(22.1e6, rel=0.01)


def test_the_decoders_of_cmg_are_the_released_ones():
    # the second linear layer of MNIST's has no ReLU behind it
    decoder = CVAE((28, 28, 1), 6, "conv", width=0.1, padding=1).decoder
    kinds = [type(layer).__name__ for layer in decoder]
    assert kinds[:5] == ["Linear", "ReLU", "Linear", "Unflatten", "ConvTranspose2d"]
    # the skip of CIFAR's residual blocks is relu(x)
    block = ResidualBlock(3).eval()
    nn.init.zeros_(block[-1].weight)
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(block(x), x.clamp(min=0))


def test_the_decoder_of_a_resnet_auto_encoder_has_the_published_size():
    grey = {"mean": [0.5] * 3, "sd": [0.5] * 3}
    network = AutoEncoder((32, 32, 3), "resnet18", 256, 1.0, grey)
    # linear; stages of blocks to 256, 128, 64 and 64 filters, the first of which keeps 512 to its
    # second convolution; 3x3 to the image
    assert parameters(network.decoder) == 8_625_600
    assert parameters(network.decoder.linear) == 257 * 8192
    assert parameters(network.decoder.stage1) == 4_852_736
    sizes = []
    for name in ("stage1", "stage2", "stage3", "stage4"):
        stage = getattr(network.decoder, name)
        stage.register_forward_hook(lambda _, __, out: sizes.append(tuple(out.shape[1:])))
    network(torch.rand(1, 3, 32, 32))
    assert sizes == [(256, 8, 8), (128, 16, 16), (64, 32, 32), (64, 32, 32)]


def test_the_nets_of_oodgen_have_the_published_sizes():
    for latent, size in ((8, 69_440), (10, 69_508)):
        cvae = OneHotCVAE((28, 28, 1), 10, latent)
        assert parameters(cvae) - parameters(cvae.decoder) == size
    assert parameters(OneHotCVAE((28, 28, 1), 10, 8).decoder) == 115_265
    classifier = build(settings(architecture="two_conv", n_classes=10, extra_outputs=1, hidden=128))
    assert parameters(classifier) == 1_200_011


RGB = (32, 32, 3)


@pytest.mark.parametrize(
    ("features", "length", "sizes", "operations"),
    [
        (densenet.Features(RGB), 342, {8: 768_476, 80: 793_172}, 0.288e9),
        (wide_resnet.Features(RGB), 640, {8: 36_477_912}, 5.24e9),
        (toynet.Features(RGB), 84, {8: 61_836}, 0.65e6),
    ],
    ids=["densenet", "wide_resnet", "toynet"],
)
def test_the_nets_of_the_leave_out_ensemble_have_the_published_sizes(
    features, length, sizes, operations
):
    assert features.out_features == length
    for outputs, size in sizes.items():
        assert parameters(Classifier(features, None, outputs)) == size
    features.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        features(torch.rand(1, 3, 32, 32))
    # a multiplication with an addition counts as two
    assert counter.get_total_flops() / 2 == pytest.approx(operations, rel=0.01)


@pytest.mark.parametrize(
    ("architecture", "shape", "size", "operations", "lengths"),
    [
        ("vgg", RGB, 8.57e6, 0.46e9, [128, 256, 256, 1024]),
        ("resnet18", RGB, 11.17e6, 0.556e9, [64, 128, 256, 512]),
        ("resnet50", RGB, 23.5e6, 1.3e9, [256, 512, 1024, 2048]),
        ("densenet", RGB, 0.77e6, 0.288e9, [108, 150, 342, 342]),
        ("wide_resnet", RGB, 36.5e6, 5.24e9, [160, 320, 640, 640]),
        ("mnist_conv", (28, 28, 1), 0.81e6, 0.11e9, [100, 100, 100, 500]),
        # the paper's 3.6e14 FLOP are 9.9 epochs of 50,000 images, three passes each: 0.121e9
        ("airbench", RGB, 1.97e6, 0.118e9, [64, 256, 256, 256]),
    ],
)
def test_backbones_have_four_depths_of_the_published_sizes(
    architecture, shape, size, operations, lengths
):
    features = importlib.import_module(f"ood.models.{architecture}").Features(shape).eval()
    assert parameters(features) == pytest.approx(size, rel=0.006)
    images = torch.rand(1, shape[2], *shape[:2])
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        whole = features(images)
    assert counter.get_total_flops() / 2 == pytest.approx(operations, rel=0.02)
    with torch.no_grad():
        found = Depths(features)(images)
        first = Depths(features, 1)(images)
    assert [part.shape[1] for part in found] == lengths
    assert torch.equal(found[-1], whole.double())
    assert len(first) == 1
    assert torch.equal(first[0], found[0])


def test_a_tap_is_read_before_the_next_layer_changes_it_in_place():
    torch.manual_seed(0)
    features = vgg.Features((8, 8, 1), 0.1).eval()
    features.norm2.bias.data.fill_(-1.0)
    found = Depths(features)(torch.rand(4, 1, 8, 8))
    assert (found[0] < 0).all()


def test_a_wide_resnet_starts_as_he_and_others_say():
    features = wide_resnet.Features(RGB, 10, 4)
    weight = features.group2[0].conv1.weight
    assert weight.std().item() == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)
    assert features.final[0].weight.eq(1).all()


@pytest.mark.parametrize("kind", [densenet.Features, wide_resnet.Features])
def test_a_depth_without_a_number_of_layers_is_an_error(kind):
    with pytest.raises(ValueError, match="depth 6 n \\+ 4, not 11"):
        kind(RGB, 11)


def test_channels_are_normalised_before_the_extractor():
    plain, mean, sd = torch.nn.Flatten(), [0.5, 0.25], [0.5, 2.0]
    plain.out_features = 2
    images = torch.tensor([[[[1.0]], [[0.25]]], [[[0.0]], [[4.25]]]])
    assert Normalized(plain, mean, sd)(images).tolist() == [[1, 0], [-1, 2]]


def test_a_head_without_hidden_layer_is_one_linear_map():
    classifier = build(settings(architecture="two_conv", hidden=None, n_classes=3, extra_outputs=0))
    assert len(classifier.head) == 1
    assert classifier(torch.rand(2, 1, 28, 28)).shape == (2, 3)


def test_encoder_and_decoder_of_oodgen_see_the_class():
    torch.manual_seed(0)
    cvae = OneHotCVAE((8, 8, 1), 3, latent=2).eval()
    images = torch.rand(2, 1, 8, 8)
    first, second = (cvae.encode(images, torch.tensor(pair))[0] for pair in ([0, 0], [1, 2]))
    assert not torch.equal(first, second)
    decoded = [cvae.decode(first, cvae.one_hot(torch.tensor(pair))) for pair in ([0, 0], [1, 2])]
    assert decoded[0].shape == images.shape
    assert not torch.equal(*decoded)


@pytest.mark.parametrize(
    ("features", "shape"),
    [
        (two_conv.Features((28, 28, 1), 0.25), (1, 28, 28)),
        (two_conv.Features((8, 8, 1), 0.25), (1, 8, 8)),
        (convnet.Features((28, 28, 1), 0.25), (1, 28, 28)),
        (convnet.Features((8, 8, 1), 0.25), (1, 8, 8)),
        (convnet.Features((32, 32, 3), 0.25), (3, 32, 32)),
        (resnet18.Features((32, 32, 3), 0.125), (3, 32, 32)),
        (resnet18.Features((28, 28, 1), 0.125), (1, 28, 28)),
        (toynet.Features((28, 28, 1)), (1, 28, 28)),
        (toynet.Features((8, 8, 1), 0.5, padding=2), (1, 8, 8)),
        (densenet.Features((32, 32, 3), 10, 0.25), (3, 32, 32)),
        (wide_resnet.Features((8, 8, 1), 16, 0.5), (1, 8, 8)),
        (airbench.Features((28, 28, 1), 0.25), (1, 28, 28)),
    ],
)
def test_features_have_the_announced_length(features, shape):
    assert features(torch.rand(2, *shape)).shape == (2, features.out_features)


@pytest.mark.parametrize(
    ("shape", "architecture", "padding"),
    [
        ((28, 28, 1), "conv", 15),
        ((28, 28, 1), "conv", 1),
        ((8, 8, 1), "conv", 1),
        ((32, 32, 3), "resnet", 1),
    ],
)
def test_the_cvae_reconstructs_shapes_in_unit_range(shape, architecture, padding):
    cvae = CVAE(shape, 3, architecture, latent=4, hidden=16, width=0.05, padding=padding)
    images = torch.rand(5, shape[2], *shape[:2])
    reconstruction, mean, log_variance = cvae(images, torch.tensor([0, 1, 2, 0, 1]))
    assert reconstruction.shape == images.shape
    assert mean.shape == log_variance.shape == (5, 4)
    assert 0 <= reconstruction.min() <= reconstruction.max() <= 1


def test_only_the_decoder_sees_the_class():
    cvae = CVAE((8, 8, 1), 3, "conv", latent=4, hidden=16, width=0.1, padding=1).eval()
    images = torch.rand(2, 1, 8, 8)
    torch.manual_seed(0)
    first = cvae(images, torch.tensor([0, 0]))
    torch.manual_seed(0)
    second = cvae(images, torch.tensor([1, 2]))
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], second[0])


def test_the_first_layer_whitens_the_patches_of_its_first_batch():
    torch.manual_seed(0)
    mix = torch.tensor([[1.0, 0.8, 0.5], [0.0, 0.4, 0.1], [0.0, 0.0, 0.3]])
    images = torch.einsum("dc,ndhw->nchw", mix, torch.randn(50, 3, 16, 16)) + 2
    layer = airbench.Whitening(3)
    fresh = layer.weight.clone()
    with torch.no_grad():
        layer.eval()(images)
        assert torch.equal(layer.weight, fresh)
        made = layer.train()(images)
        covariance = torch.cov(made.transpose(0, 1).flatten(1)[:12])
        # the ridge takes a little from directions of little variance
        torch.testing.assert_close(covariance, torch.eye(12), rtol=0, atol=0.02)
        torch.testing.assert_close(layer.weight[12:], -layer.weight[:12])
        kept = layer.weight.clone()
        layer(images * torch.rand(3, 1, 1))
        assert torch.equal(layer.weight, kept)
        # nor does a restored one look again
        other = airbench.Whitening(3)
        other.load_state_dict(layer.state_dict())
        other.train()(torch.rand(50, 3, 16, 16))
        assert torch.equal(other.weight, kept)


def test_airbench_starts_with_convolutions_that_pass_channels_on():
    torch.manual_seed(0)
    conv = airbench.Features(RGB, 0.5).stage2[0]
    images = torch.rand(2, 32, 5, 5)
    with torch.no_grad():
        torch.testing.assert_close(conv(images)[:, :32], images)
    learned = {
        name for name, value in airbench.Features(RGB).named_parameters() if value.requires_grad
    }
    assert "whiten.0.bias" in learned
    assert not learned & {"whiten.0.weight", "stage1.2.weight"}


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_net_of_timm_with_weights_from_a_file_gives_timms_logits(tmp_path, suffix):
    theirs = timm.create_model("resnet18", num_classes=3, in_chans=1).eval()
    path = tmp_path / f"weights{suffix}"
    save = torch.save if suffix == ".pt" else safetensors.torch.save_file
    save(theirs.state_dict(), path)
    changes = {"architecture": "timm", "net": "resnet18", "n_classes": 3, "extra_outputs": 0}
    classifier = build(settings(**changes, hidden=None)).eval()
    load_weights(classifier, path, {r"^fc\.": "head.0.", r"^(?!head\.)": "features.net."})
    images = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(classifier(images), theirs(images))


@pytest.mark.parametrize(
    ("net", "message"),
    [
        ("resnet_18", "has no 'resnet_18'; near: .*resnet"),
        ("vit_tiny_patch16_224", "does not take images of 28x28.*'resize: 224'"),
    ],
)
def test_a_net_that_timm_cannot_build_is_an_error(net, message):
    with pytest.raises(InputError, match=message):
        build(settings(architecture="timm", net=net))
