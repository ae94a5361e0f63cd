"""VMDLS: losses against brute force and closed forms, batches, Gaussians, frozen constants."""

import io
import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import multivariate_normal
from torch import nn
from typed import complete, typed

from ood.augmentations.rotate_crop import rotate_crop
from ood.config.checks import checked
from ood.data.images import ImageSet, to_tensor, to_unit
from ood.detection import class_gaussians
from ood.detection import classifier as classifiers
from ood.errors import InputError
from ood.methods import vmdls
from ood.models.autoencoder import AutoEncoder
from ood.settings.vmdls import VMDLSEncoder
from ood.training.device import Compute
from ood.training.model_files import TrainedModel, cpu_state, load_model, save_model, save_trained
from ood.training.run import Inputs, Run

CPU = Compute(torch.device("cpu"))
NORMALIZATION = {"mean": [0.5], "sd": [0.5]}
SETTINGS = complete(
    "vmdls_encoder",
    architecture="mnist_conv",
    shape=[8, 8, 1],
    n_classes=3,
    width=0.05,
    normalization=NORMALIZATION,
    latent=4,
    latent_distance="euclidean",
    kl_weight=0.1,
    generation_epoch=1,
    margin_max=32,
    margin_jump=1.0,
    margins_epoch=1,
    classes_per_batch=3,
    images_per_class=5,
    validation_share=0.1,
    augmentation="none",
    epochs=2,
    optimizer={"name": "adam", "learning_rate": 1e-3},
)
AUTOENCODER = complete(
    "vmdls_autoencoder",
    architecture="mnist_conv",
    shape=[8, 8, 1],
    width=0.05,
    normalization=NORMALIZATION,
    latent=4,
    epochs=1,
    batch_size=16,
    optimizer={"name": "adam", "learning_rate": 1e-3},
)
METHOD = complete("vmdls", jitter=1e-6, shrinkage=0)


@pytest.fixture(scope="module")
def image_set():
    generator = np.random.default_rng(0)
    labels = np.arange(150) % 3
    images = generator.integers(0, 120, (150, 8, 8, 1)) + 60 * labels[:, None, None, None]
    return ImageSet(images.astype(np.uint8), labels)


def brute_force(latents, labels, margin, unit_sphere):
    if unit_sphere:
        latents = F.normalize(latents, dim=1)
    found, count = [], 0
    for a, p, n in itertools.permutations(range(len(labels)), 3):
        if labels[a] != labels[p] or labels[a] == labels[n]:
            continue
        count += 1
        near, far = (latents[a] - latents[p]).norm(), (latents[a] - latents[n]).norm()
        found.append(F.relu(near - far + 0.1) + F.relu(margin - far))
    values = torch.stack(found)
    positive = values > 0
    return values[positive].mean() if positive.any() else values.sum(), count


@pytest.mark.parametrize("unit_sphere", [False, True])
@pytest.mark.parametrize("margin", [0.15, 2.15, 9.15])
@pytest.mark.parametrize("counts", [(3, 3, 3), (2, 4, 1)])
def test_the_metric_loss_is_the_mean_over_all_triplets(counts, margin, unit_sphere):
    torch.manual_seed(0)
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))
    latents = torch.randn(len(labels), 4, dtype=torch.float64, requires_grad=True)
    found = vmdls.metric_loss(latents, labels, margin, unit_sphere)
    expected, count = brute_force(latents, labels, margin, unit_sphere)
    if counts == (3, 3, 3):
        # B_c B_s (B_s - 1) (B_c - 1) B_s
        assert count == 3 * 3 * 2 * 2 * 3
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    slopes = (torch.autograd.grad(value, latents)[0] for value in (found, expected))
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-14)


def test_two_points_far_enough_apart_cost_nothing():
    latents = torch.tensor([[0.0, 0], [0, 0], [5, 0], [5, 0]], requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1])
    loss = vmdls.metric_loss(latents, labels, 4.9, False)
    loss.backward()
    assert loss == 0
    # also where points coincide the slope is a number
    assert (latents.grad == 0).all()
    # each of the 8 triplets misses the margin by 1
    assert vmdls.metric_loss(latents, labels, 6.0, False).item() == pytest.approx(1.0)


def test_a_batch_of_one_class_has_no_triplets():
    latents = torch.randn(4, 2, requires_grad=True)
    loss = vmdls.metric_loss(latents, torch.zeros(4, dtype=torch.int64), 3.0, False)
    loss.backward()
    assert loss == 0
    assert latents.grad.isfinite().all()


def test_on_the_unit_sphere_lengths_do_not_matter():
    torch.manual_seed(0)
    latents, labels = torch.randn(6, 3), torch.tensor([0, 0, 1, 1, 2, 2])
    one, other = (vmdls.metric_loss(s * latents, labels, 2.0, True) for s in (1.0, 40.0))
    torch.testing.assert_close(one, other)


def test_the_kl_term_averages_to_its_closed_form():
    torch.manual_seed(0)
    mean, log_variance = torch.tensor([[0.03, -0.2]]), torch.tensor([[-4.0, -5.5]])
    centre = torch.tensor([[0.0, -0.1]])
    count = 200_000
    latents = mean + torch.randn(count, 2) * torch.exp(0.5 * log_variance)
    found = vmdls.kl_term(latents, mean, log_variance, centre)
    sd = torch.exp(0.5 * log_variance)
    closed = torch.log(0.1 / sd) + (sd**2 + (mean - centre) ** 2) / 0.02 - 0.5
    assert found.item() == pytest.approx(closed.mean().item(), abs=0.01)


def test_the_kl_term_vanishes_at_its_goal():
    latents, mean = torch.randn(5, 3), torch.randn(5, 3)
    log_variance = torch.full((5, 3), 2 * math.log(0.1))
    found = vmdls.kl_term(latents, mean, log_variance, mean)
    assert found.item() == pytest.approx(0, abs=1e-4)


def test_the_margin_grows_by_one_an_epoch_and_stops_beyond_its_largest():
    settings = typed(SETTINGS | {"margin_max": 32, "margin_jump": 1.0, "margins_epoch": 3})
    margins = [vmdls.margin_at(settings, epoch) for epoch in range(60)]
    assert margins[:5] == pytest.approx([0.15, 0.15, 0.15, 1.15, 2.15])
    assert max(margins) == margins[-1] == pytest.approx(32.15)
    assert vmdls.margin_at(settings.model_copy(update={"margin_max": 64}), 99) == pytest.approx(
        64.15
    )
    quick = settings.model_copy(update={"margin_jump": 6.4})
    assert vmdls.margin_at(quick, 99) == pytest.approx(0.15 + 5 * 6.4)


def test_batches_hold_equally_many_images_of_each_class():
    torch.manual_seed(0)
    labels = torch.tensor([0] * 30 + [1] * 11 + [2] * 19 + [3] * 20)
    order = vmdls.balanced_order(labels, 3, 4)
    assert len(order) == (80 // 12) * 12
    for batch in order.split(12):
        counts = labels[batch].bincount()
        assert sorted(counts[counts > 0].tolist()) == [4, 4, 4]
    # no image of a class again before all others
    for k in range(4):
        mine = order[labels[order] == k].tolist()
        size = int((labels == k).sum())
        for start in range(0, len(mine), size):
            part = mine[start : start + size]
            assert len(set(part)) == len(part)


def test_class_means_are_those_of_the_epoch_before(image_set):
    encoder = vmdls.Encoder(typed(SETTINGS))
    labels = torch.tensor([0, 0, 2])
    latents = torch.tensor([[1.0, 0, 0, 0], [3.0, 0, 0, 0], [0, 5.0, 0, 0]])
    encoder.begin_epoch(1)
    encoder.count(latents, labels)
    assert (encoder.class_means == 0).all()
    encoder.begin_epoch(1)
    assert encoder.class_counts.tolist() == [2, 0, 1]
    encoder.begin_epoch(2)
    assert encoder.class_means[:, :2].tolist() == [[2, 0], [0, 0], [0, 5]]
    assert (encoder.class_counts == 0).all()


def test_training_stopped_within_an_epoch_ends_as_if_it_had_not(tmp_path, image_set, monkeypatch):
    monkeypatch.setattr("ood.training.checkpoint.CHECKPOINT_SECONDS", 0)
    whole, _ = vmdls.fit_encoder(
        typed(SETTINGS), Inputs(image_set), Run(0, CPU, tmp_path / "a.pt", "x")
    )
    calls = itertools.count()
    original = vmdls.metric_loss

    def stopping(*arguments):
        if next(calls) == 12:
            raise KeyboardInterrupt
        return original(*arguments)

    run = Run(0, CPU, tmp_path / "b.pt", "x")
    with monkeypatch.context() as patch:
        patch.setattr(vmdls, "metric_loss", stopping)
        with pytest.raises(KeyboardInterrupt):
            vmdls.fit_encoder(typed(SETTINGS), Inputs(image_set), run)
    resumed, trained = vmdls.fit_encoder(typed(SETTINGS), Inputs(image_set), run)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert [row["margin"] for row in trained.history] == pytest.approx([0.15, 1.15])
    assert {"metric", "kl", "nearest_mean_accuracy"} <= set(trained.history[0])


def backbone(tmp_path, **changes):
    names = ("architecture", "shape", "n_classes", "width", "normalization")
    settings = complete("classifier", **{name: SETTINGS[name] for name in names}) | changes
    torch.manual_seed(5)
    network = classifiers.build(typed(settings))
    path = tmp_path / "model.pt"
    save_model(path, {"settings": settings, "state": cpu_state(network)})
    return path, network


def started(image_set, path):
    return Inputs(image_set, models={"backbone": TrainedModel(path.parent)})


def test_fine_tuning_starts_from_a_classifier_and_first_leaves_it_alone(
    tmp_path, image_set, monkeypatch
):
    monkeypatch.setattr("ood.training.checkpoint.CHECKPOINT_SECONDS", 0)
    path, network = backbone(tmp_path)
    tuned = SETTINGS | {"epochs": 3, "frozen_epochs": 2, "frozen_learning_rate": 0.01}
    tuned |= {"backbone": "classifier"}
    run = Run(0, CPU, tmp_path / "checkpoint.pt", "x")
    encoder, trained = vmdls.fit_encoder(typed(tuned), started(image_set, path), run)
    assert [row["epoch"] for row in trained.history] == [1, 2, 3]
    assert [row["margin"] for row in trained.history] == pytest.approx([0.15, 1.15, 2.15])
    _, _, written = (tmp_path / "checkpoint_frozen.pt").read_bytes().partition(b"\n")
    frozen = torch.load(io.BytesIO(written), weights_only=True)["network"]
    before = network.features.state_dict()
    assert all(torch.equal(frozen[f"features.{name}"], value) for name, value in before.items())
    after = encoder.features.state_dict()
    assert not all(torch.equal(after[name], value) for name, value in before.items())
    assert not encoder.frozen
    assert all(value.requires_grad for value in encoder.parameters())


def test_a_backbone_that_is_never_released_is_an_error():
    tuned = SETTINGS | {"epochs": 2, "frozen_epochs": 2, "frozen_learning_rate": 0.01}
    tuned |= {"backbone": "classifier"}
    with pytest.raises(InputError, match="epochs: as many as frozen_epochs or fewer"):
        checked(VMDLSEncoder, tuned, "a.yaml")


def test_weights_of_the_backbone_alone_do_too(tmp_path):
    _, network = backbone(tmp_path)
    save_model(tmp_path / "backbone.pt", cpu_state(network.features))
    features = classifiers.build_features(typed(SETTINGS))
    classifiers.load_features(features, load_model(tmp_path / "backbone.pt"), "backbone.pt")
    assert torch.equal(features.features.conv1.weight, network.features.features.conv1.weight)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0.1}, "model.pt: weights of another size"),
        ({"architecture": "resnet18"}, "model.pt: no weights of this backbone"),
    ],
)
def test_weights_of_another_net_are_an_error(tmp_path, changes, message):
    path, _ = backbone(tmp_path, **changes)
    with pytest.raises(InputError, match=message):
        classifiers.load_features(
            classifiers.build_features(typed(SETTINGS)), load_model(path)["state"], path
        )


def test_a_frozen_backbone_stays_in_eval_mode():
    encoder = vmdls.Encoder(typed(SETTINGS))
    encoder.freeze(True)
    encoder.eval().train()
    assert not encoder.features.training
    assert encoder.mean.training
    encoder.freeze(False)
    assert encoder.features.training


def test_gaussians_are_those_of_all_images():
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], [40, 60])
    features = generator.normal(size=(100, 3)) * [1, 2, 3] + labels[:, None]
    means, factors, added = class_gaussians.fit_gaussians(
        torch.from_numpy(features), torch.from_numpy(labels), 1e-6, 0.0
    )
    assert added == pytest.approx(2e-6)
    points = torch.from_numpy(generator.normal(size=(7, 3)))
    found = class_gaussians.log_likelihoods(points, means, factors).numpy()
    for k in (0, 1):
        mine = features[labels == k]
        covariance = np.cov(mine.T, bias=True) + added * np.eye(3)
        law = multivariate_normal(mine.mean(0), covariance)
        np.testing.assert_allclose(found[:, k], law.logpdf(points.numpy()), rtol=1e-9)


def test_singular_covariances_get_jitter_or_shrinkage():
    features = torch.randn(4, 6, dtype=torch.float64)
    labels = torch.zeros(4, dtype=torch.int64)
    _, factors, added = class_gaussians.fit_gaussians(features, labels, 1e-6, 0.0)
    assert added >= 2e-6
    assert factors.isfinite().all()
    _, shrunk, least = class_gaussians.fit_gaussians(features, labels, 1e-6, 0.5)
    assert least == pytest.approx(2e-6)
    centred = features - features.mean(0)
    covariance = centred.T @ centred / 4
    variance = covariance.diagonal().mean()
    expected = 0.5 * covariance + (0.5 * variance + least) * torch.eye(6)
    torch.testing.assert_close(shrunk[0] @ shrunk[0].T, expected)


def test_covariances_that_nothing_mends_are_an_error():
    with pytest.raises(InputError, match="raise jitter or shrinkage"):
        class_gaussians.fit_gaussians(
            torch.full((4, 2), torch.nan, dtype=torch.float64),
            torch.zeros(4, dtype=torch.int64),
            1e-6,
            0.0,
        )


@pytest.mark.parametrize(
    ("architecture", "kept"),
    [("densenet", [0, 1, 3, 4]), ("wide_resnet", [0, 1, 3, 4]), ("resnet18", [0, 1, 2, 3, 4])],
)
def test_a_depth_that_repeats_another_is_left_out(architecture, kept):
    more = {"architecture": architecture, "depth": 10, "shape": [8, 8, 1], "width": 0.25}
    if architecture == "resnet18":
        more.pop("depth")
    if architecture == "wide_resnet":
        more["dropout"] = 0
    encoder = vmdls.Encoder(typed(SETTINGS | more)).eval()
    with torch.no_grad():
        parts = vmdls.Representation(encoder)(torch.rand(20, 1, 8, 8))
    assert class_gaussians.kept_parts(parts) == kept


@pytest.fixture(scope="module", params=[True, False], ids=["weighted", "unweighted"])
def detector_file(request, image_set, tmp_path_factory):
    torch.manual_seed(0)
    encoder = vmdls.Encoder(typed(SETTINGS)).eval().requires_grad_(False)
    autoencoder = vmdls.build_autoencoder(typed(AUTOENCODER)).eval() if request.param else None
    statistics = vmdls.fit_statistics(
        typed(METHOD), vmdls.Representation(encoder), autoencoder, image_set, CPU
    )
    content = {
        "encoder": {"settings": SETTINGS, "state": cpu_state(encoder)},
        "statistics": statistics,
    }
    if autoencoder:
        content["autoencoder"] = {"settings": AUTOENCODER, "state": cpu_state(autoencoder)}
    path = tmp_path_factory.mktemp("vmdls") / "detector.pt"
    save_model(path, content)
    return path


def test_scores_do_not_depend_on_the_test_set(detector_file, image_set):
    detector = vmdls.load(load_model(detector_file), CPU)
    images = to_unit(to_tensor(image_set.images))
    with torch.no_grad():
        whole, classes = detector.score(images), detector.predict(images)
        order = torch.randperm(150)
        other = images[order]
        parts = [part.clone() for part in other.split(11)]
        found = torch.cat([detector.score(part) for part in parts])
    assert whole.dtype == torch.float64
    torch.testing.assert_close(found, whole[order], rtol=1e-5, atol=1e-5)
    assert set(classes.tolist()) <= {0, 1, 2}
    # nothing among the training images is above the ceiling
    assert (whole > 0).all()


def test_the_score_is_the_weighted_distance_to_the_ceiling(detector_file, image_set):
    detector = vmdls.load(load_model(detector_file), CPU)
    images = to_unit(to_tensor(image_set.images[:9]))
    with torch.no_grad():
        parts = detector.representation(images)
        statistics = detector.statistics
        features = torch.cat([parts[index] for index in statistics["kept"]], dim=1)
        likelihood = class_gaussians.log_likelihoods(
            features, statistics["means"], statistics["factors"]
        )
        weight = torch.ones(9, dtype=torch.float64)
        if detector.autoencoder is not None:
            features = detector.representation.extractor.encoder.features.features
            pairs = [
                F.relu(features.conv1((x - 0.5) / 0.5))
                for x in (images, detector.autoencoder(images))
            ]
            first, second = (features.conv2(x).mean((2, 3)).double() for x in pairs)
            weight = (first - second).square().mean(1) / statistics["largest_error"]
        expected = (statistics["ceiling"] - likelihood).min(1)
        torch.testing.assert_close(detector.score(images), expected.values * weight)
        assert torch.equal(detector.predict(images), expected.indices)


@pytest.mark.parametrize(
    ("architecture", "shape"),
    [
        ("mnist_conv", (28, 28, 1)),
        ("mnist_conv", (8, 8, 1)),
        ("resnet18", (32, 32, 3)),
        ("resnet50", (32, 32, 3)),
    ],
)
def test_auto_encoders_bring_the_shape_back(architecture, shape):
    normalization = {"mean": [0.5] * shape[2], "sd": [0.5] * shape[2]}
    network = AutoEncoder(shape, architecture, 8, 0.05, normalization)
    images = torch.rand(2, shape[2], *shape[:2])
    assert network(images).shape == images.shape


def test_the_mnist_auto_encoder_grows_as_the_paper_says():
    network = AutoEncoder((28, 28, 1), "mnist_conv", 32, 1.0, NORMALIZATION)
    sizes = []
    for layer in network.decoder:
        layer.register_forward_hook(
            lambda module, _, out: (
                sizes.append(out.shape[-1]) if isinstance(module, nn.ConvTranspose2d) else None
            )
        )
    network(torch.rand(1, 1, 28, 28))
    assert sizes == [4, 5, 6, 7, 14, 28]


def test_an_auto_encoder_learns(image_set, tmp_path):
    settings = AUTOENCODER | {"epochs": 6, "width": 0.2}
    run = Run(0, CPU, tmp_path / "checkpoint.pt", "x")
    _, trained = vmdls.fit_autoencoder(typed(settings), Inputs(image_set), run)
    assert trained.history[-1]["loss"] < 0.8 * trained.history[0]["loss"]


def test_rotation_and_crop_stay_near_the_image():
    torch.manual_seed(0)
    # a soft disc does not change when it turns, and hardly in a window of 95 %
    axis = torch.linspace(-1, 1, 28)
    disc = torch.exp(-4 * (axis[:, None] ** 2 + axis**2))[None, None]
    found = rotate_crop()(disc.expand(64, 1, 28, 28))
    assert found.shape == (64, 1, 28, 28)
    assert (found - disc).abs().max() < 0.15
    # without rotation and crop it is the image itself
    still = rotate_crop(0.0, 1.0)(disc)
    torch.testing.assert_close(still, disc, rtol=0, atol=1e-5)


def test_rotation_turns_within_ten_degrees():
    torch.manual_seed(0)
    bar = torch.zeros(1, 1, 41, 41)
    bar[..., 20, :] = 1
    found = rotate_crop(10.0, 1.0)(bar.expand(200, 1, 41, 41))[:, 0]
    rows = torch.arange(41.0)
    ends = [(found[:, :, column] * rows).sum(1) / found[:, :, column].sum(1) for column in (5, 35)]
    degrees = torch.rad2deg(torch.atan((ends[1] - ends[0]) / 30))
    assert degrees.abs().max() < 10.5
    assert degrees.max() > 8
    assert degrees.min() < -8


def test_the_best_epoch_is_that_of_the_highest_f1_on_validation_images(tmp_path, image_set):
    noise = np.random.default_rng(0).integers(0, 256, (200, 8, 8, 1), np.uint8)
    unknown = ImageSet(noise, np.zeros(200, np.int64))
    settings = SETTINGS | {"epochs": 4}
    run = Run(0, CPU, tmp_path / "checkpoint.pt", "x")
    network, trained = vmdls.fit_encoder(
        typed(settings), Inputs(image_set, validation=unknown), run
    )
    scores = [row["ood_f1"] for row in trained.history]
    assert all(0 <= score <= 1 for score in scores)
    assert trained.best_epoch == scores.index(max(scores)) + 1
    assert trained.kept_epoch == 4
    # the network is that of the last epoch, whose training saw no unknown image
    alone, plain = vmdls.fit_encoder(typed(settings), Inputs(image_set), run)
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in alone.state_dict().items())
    assert plain.best_state is None
    assert "ood_f1" not in plain.history[0]
    last = all(torch.equal(v, trained.best_state[k]) for k, v in alone.state_dict().items())
    assert last is (trained.best_epoch == 4)
    save_trained(tmp_path / "model", settings, network, trained)
    best = TrainedModel(tmp_path / "model", best=True)
    assert all(torch.equal(v, trained.best_state[k]) for k, v in best.state.items())
    # without a best epoch there is the last one
    save_trained(tmp_path / "plain", settings, alone, plain)
    assert set(TrainedModel(tmp_path / "plain", best=True).state) == set(alone.state_dict())
