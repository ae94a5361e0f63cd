"""OODGen: Jacobians, null spaces, shells, pools, losses and scores against independent values."""

import dataclasses
import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from typed import complete, typed

from ood.data.images import ImageSet, to_unit
from ood.detection import classifier as classifiers
from ood.detection.contract import run
from ood.errors import InputError
from ood.methods import oodgen
from ood.models.vae import OneHotCVAE
from ood.settings.oodgen import Generation
from ood.training.device import Compute
from ood.training.model_files import (
    TrainedModel,
    TrainingResult,
    cpu_state,
    load_model,
    save_model,
    save_trained,
)
from ood.training.run import Inputs, Run

CPU = Compute(torch.device("cpu"))
PLAIN_GENERATION = {
    "null_space": "projected",
    "lengths": [0.1, 8.0],
    "clip_type1": True,
    "type1_bytes": True,
    "radius_quantile": 0.95,
    "shell_axes": "eigen",
    "shell": [1.0, 1.5],
}
GENERATION = Generation.read(PLAIN_GENERATION)
CLASSIFIER = complete(
    "oodgen_classifier",
    architecture="two_conv",
    shape=[8, 8, 1],
    n_classes=3,
    extra_outputs=1,
    width=0.25,
    hidden=16,
    dropout=0.25,
    head_dropout=0.5,
    normalization=None,
    init="default",
    generation=PLAIN_GENERATION,
    pool_size=30,
    type1_every=2,
    type2_every=1,
    type1_per_batch=5,
    type2_per_batch=4,
    reject_weight=0.1,
    validation_share=0.2,
    patience=None,
    epochs=3,
    batch_size=16,
    optimizer={"name": "adadelta", "learning_rate": 0.5, "rho": 0.95, "weight_decay": 0},
    snapshot_every=4,
)


CVAE = complete(
    "oodgen_cvae",
    shape=[8, 8, 1],
    n_classes=3,
    latent=4,
    hidden=16,
    width=1.0,
    deterministic_latent=False,
    init="default",
)


def run_in(folder, seed=0):
    return Run(seed, CPU, folder / "checkpoint.pt", "", snapshots=True)


@pytest.fixture(scope="module")
def cvae():
    """A random decoder whose pixels all depend on the latent."""
    torch.manual_seed(1)
    return oodgen.build_cvae(typed(CVAE)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def image_set():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (90, 8, 8, 1), dtype=np.uint8)
    return ImageSet(images, np.arange(90) % 3)


@pytest.fixture
def generator(cvae, image_set):
    base = oodgen.encode(cvae, image_set)
    return oodgen.Generator(cvae, GENERATION, oodgen.fit_ellipsoids(base, GENERATION), base)


@pytest.fixture
def jacobian(cvae):
    torch.manual_seed(2)
    return oodgen.decoder_jacobian(cvae, torch.randn(50, 4), cvae.one_hot(torch.arange(50) % 3))


# the VAE


def test_the_loss_by_hand():
    logits = torch.zeros(2, 1, 2, 2)  # every pixel 1/2: log 2 each
    mean = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    log_variance = torch.tensor([[0.0, math.log(2.0)], [0.0, 0.0]])
    terms = oodgen.cvae_loss(torch.rand(2, 1, 2, 2), logits, mean, log_variance)
    assert terms["cross_entropy"].item() == pytest.approx(4 * math.log(2))
    # KL of N(m, s^2) to N(0, 1): (m^2 + s^2 - 1)/2 - log s
    kl = (0.5 + (2 - 1) / 2 - math.log(2) / 2 + 2.0) / 2
    assert terms["kl"].item() == pytest.approx(kl)
    assert terms["loss"].item() == pytest.approx(4 * math.log(2) + kl)


def test_the_cross_entropy_is_that_of_the_images_it_decodes(cvae, image_set):
    images = torch.rand(5, 1, 8, 8)
    labels = torch.tensor([0, 1, 2, 0, 1])
    logits, mean, log_variance = cvae(images, labels)
    decoded = cvae.decode(mean, cvae.one_hot(labels))
    expected = F.binary_cross_entropy(decoded, images, reduction="none").sum((1, 2, 3)).mean()
    terms = oodgen.cvae_loss(images, logits, mean, log_variance)
    assert terms["cross_entropy"].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(("deterministic", "same"), [(False, False), (True, True)])
def test_the_latent_has_noise_in_training_unless_asked_otherwise(deterministic, same):
    torch.manual_seed(0)
    cvae = OneHotCVAE((8, 8, 1), 3, 4, deterministic=deterministic)
    images, labels = torch.rand(2, 1, 8, 8), torch.tensor([0, 1])
    assert torch.equal(cvae(images, labels)[0], cvae(images, labels)[0]) is same
    assert torch.equal(cvae.eval()(images, labels)[0], cvae(images, labels)[0])


# type I


def test_the_jacobian_agrees_with_central_differences(cvae):
    torch.manual_seed(0)
    exact = OneHotCVAE((8, 8, 1), 3, latent=4).double().eval()
    exact.load_state_dict(cvae.state_dict())
    latents = torch.randn(6, 4, dtype=torch.float64)
    one_hot = exact.one_hot(torch.tensor([0, 1, 2, 0, 1, 2])).double()
    found = oodgen.decoder_jacobian(exact, latents, one_hot)
    assert found.shape == (6, 64, 4)
    for k in range(4):
        step = torch.zeros(4, dtype=torch.float64)
        step[k] = 1e-5
        difference = exact.decode(latents + step, one_hot) - exact.decode(latents - step, one_hot)
        assert torch.allclose(found[:, :, k], difference.flatten(1) / 2e-5, atol=1e-8)


@pytest.mark.parametrize("kind", ["projected", "rref"])
def test_directions_are_unit_vectors_of_the_null_space(jacobian, kind):
    directions = oodgen.DIRECTIONS[kind](jacobian)
    assert directions.shape == (50, 64)
    assert torch.allclose(directions.norm(dim=1), torch.ones(50))
    assert (jacobian.mT @ directions[:, :, None]).abs().max() < 1e-5


def test_directions_survive_an_unused_latent(jacobian):
    jacobian = jacobian.clone()
    jacobian[:, :, 2] = 0
    directions = oodgen.projected_directions(jacobian)
    assert torch.allclose(directions.norm(dim=1), torch.ones(50))
    assert (jacobian.mT @ directions[:, :, None]).abs().max() < 1e-5


def test_participation_tells_the_two_bases_apart():
    """1 / sum v^4 is near P/3 for isotropic directions, a few pixels for the RREF basis."""
    torch.manual_seed(0)
    cvae = OneHotCVAE((28, 28, 1), 3, latent=4).eval()
    with torch.no_grad():
        jacobian = oodgen.decoder_jacobian(
            cvae, torch.randn(40, 4), cvae.one_hot(torch.zeros(40, dtype=int))
        )
    # a trained decoder hardly moves the border
    jacobian[:, :56] *= 0.01

    def participation(kind):
        return (1 / oodgen.DIRECTIONS[kind](jacobian).pow(4).sum(1)).mean().item()

    assert participation("projected") == pytest.approx(784 / 3, rel=0.1)
    assert participation("rref") < 30


def test_the_rref_basis_is_that_of_sympy():
    from sympy import Matrix

    # of rank 2, with pivots in other columns, and of rank 1; solved together
    matrices = np.array(
        [
            [[0.0, 2.0, 4.0, 1.0, 0.0], [0.0, 1.0, 2.0, 3.0, 5.0]],
            [[3.0, 2.0, 0.0, 1.0, 0.0], [6.0, 1.0, 2.0, 3.0, 5.0]],
            [[0.0, 2.0, 4.0, 1.0, 0.0], [0.0, 6.0, 12.0, 3.0, 0.0]],
        ]
    )
    forms, pivots = (one.numpy() for one in oodgen.rref(torch.from_numpy(matrices)))
    for matrix, form, at in zip(matrices, forms, pivots, strict=True):
        exact, columns = Matrix(matrix).rref()
        assert np.allclose(form, np.array(exact, dtype=float))
        assert [int(row.argmax()) for row in at if row.any()] == list(columns)
        basis = [row for row in np.eye(5) - form.T @ at if row.any()]
        expected = [np.array(v, dtype=float).ravel() for v in Matrix(matrix).nullspace()]
        assert np.allclose(basis, expected)


@pytest.mark.parametrize("check", [2, 7, 32])
def test_the_rref_is_the_same_however_rarely_it_looks_for_its_end(check, monkeypatch):
    matrices = torch.randn(6, 4, 40, dtype=torch.float64)
    matrices[2, 3] = matrices[2, 1]
    matrices[:3, :, :5] = 0
    expected = oodgen.rref(matrices)
    monkeypatch.setitem(oodgen.PIVOT_CHECK, "cpu", check)
    for one, other in zip(oodgen.rref(matrices), expected, strict=True):
        assert torch.equal(one, other)


def test_jacobians_are_computed_in_chunks_of_half_the_free_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (80 * 2**30, 80 * 2**30))
    found = oodgen.jacobian_chunk(torch.device("cuda"), 8, 784)
    assert 2000 < found < 20_000
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**10, 80 * 2**30))
    assert oodgen.jacobian_chunk(torch.device("cuda"), 8, 784) == 1
    assert oodgen.jacobian_chunk(torch.device("cpu"), 8, 784) == oodgen.JACOBIAN_CHUNK


def test_type_1_is_a_step_of_the_drawn_length(cvae, generator):
    index = torch.arange(20)
    unclipped = dataclasses.replace(
        generator,
        settings=Generation.read(PLAIN_GENERATION | {"clip_type1": False, "type1_bytes": False}),
    )
    lengths = torch.linspace(0.1, 8, 20)
    torch.manual_seed(5)
    moved = unclipped.type1(index, lengths)
    steps = (moved - generator.base.images[index] / 255).flatten(1)
    assert torch.allclose(steps.norm(dim=1), lengths, rtol=1e-5)
    jacobian = oodgen.decoder_jacobian(
        cvae, generator.base.latents[index], cvae.one_hot(generator.base.labels[index])
    )
    assert (jacobian.mT @ F.normalize(steps, dim=1)[:, :, None]).abs().max() < 1e-5
    assert moved.min() < 0
    assert moved.max() > 1
    torch.manual_seed(5)
    clipped = generator.type1(index, lengths)
    assert clipped.dtype == torch.uint8
    assert torch.equal(clipped, (moved.clamp(0, 1) * 255).round().byte())


def test_lengths_are_uniform_and_signs_even(generator):
    unclipped = dataclasses.replace(
        generator,
        settings=Generation.read(PLAIN_GENERATION | {"clip_type1": False, "type1_bytes": False}),
    )
    torch.manual_seed(0)
    index = torch.zeros(3000, dtype=torch.int64)
    lengths = (unclipped.type1(index) - generator.base.images[index] / 255).flatten(1).norm(dim=1)
    assert 0.1 - 1e-4 <= lengths.min() < 0.2
    assert 7.9 < lengths.max() <= 8 + 1e-4
    assert lengths.mean().item() == pytest.approx(4.05, abs=0.15)


# type II


def test_distances_are_mahalanobis_and_the_radius_is_a_quantile():
    torch.manual_seed(0)
    latents = torch.randn(2000, 3) @ torch.tensor([[2.0, 0, 0], [1, 1, 0], [0, 0.5, 0.1]]) + 5
    one = oodgen.fit_ellipsoid(latents, 0.95, "eigen")
    exact = latents.double()
    offsets = exact - exact.mean(0)
    inverse = torch.linalg.inv(torch.cov(exact.T))
    expected = ((offsets @ inverse) * offsets).sum(1).sqrt()
    assert torch.allclose(one.distance(latents), expected)
    assert (expected > one.radius).double().mean().item() == pytest.approx(0.05, abs=1e-3)
    # a Gaussian's radius: the square root of the chi-square quantile, 3 degrees of freedom
    assert one.radius == pytest.approx(math.sqrt(7.815), rel=0.03)


def test_a_singular_covariance_leaves_a_subspace():
    torch.manual_seed(0)
    latents = torch.randn(500, 2) @ torch.randn(2, 5) + 1
    one = oodgen.fit_ellipsoid(latents, 0.95, "eigen")
    assert one.axes.shape == (5, 2)
    radii = torch.linspace(1, 3, 100, dtype=torch.float64)
    shell = one.shell(radii)
    assert torch.allclose(one.distance(shell), radii)
    # and stays in it: the third singular value is nothing
    assert torch.linalg.svdvals(shell - one.mean)[2] < 1e-4
    assert one.radius == pytest.approx(math.sqrt(5.991), rel=0.1)


def test_the_released_factor_by_hand():
    """For a correlation of .5 Cholesky's last pivot is .866; theirs is 1 / .866, so that what it
    draws along the second axis lies 4/3 as far out as asked for."""
    covariance = torch.tensor([[4.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    factor = oodgen.published_factor(covariance)
    expected = [[2.0, 0.0], [0.5, 1 / math.sqrt(0.75)]]
    torch.testing.assert_close(factor, torch.tensor(expected, dtype=torch.float64))
    along = factor[:, 1]
    distance = (along @ torch.linalg.inv(covariance) @ along).sqrt().item()
    assert distance == pytest.approx(4 / 3)
    # without correlations both are the standard deviations; an unused latent stays where it is
    plain = torch.diag(torch.tensor([9.0, 0.0, 4.0], dtype=torch.float64))
    assert oodgen.published_factor(plain).diagonal().tolist() == [3, 0, 2]


def test_the_published_shell_is_drawn_with_the_factor_at_the_true_radius():
    torch.manual_seed(0)
    latents = torch.randn(2000, 3) @ torch.tensor([[2.0, 0, 0], [1, 1, 0], [0, 0.5, 0.1]])
    exact = oodgen.fit_ellipsoid(latents, 0.95, "eigen")
    theirs = oodgen.fit_ellipsoid(latents, 0.95, "published")
    assert theirs.radius == exact.radius
    radii = torch.full((4000,), exact.radius, dtype=torch.float64)
    torch.manual_seed(1)
    drawn = theirs.shell(radii)
    torch.manual_seed(1)
    directions = F.normalize(torch.randn(4000, 3, dtype=torch.float64), dim=1)
    factor = oodgen.published_factor(torch.cov(latents.double().T))
    expected = theirs.mean + exact.radius * directions @ factor.T
    torch.testing.assert_close(drawn, expected)
    # farther out than asked for, where latents are correlated
    assert (theirs.distance(drawn) / exact.radius).median() > 1.1


@pytest.mark.parametrize(("unused", "warned"), [(1, False), (3, True)])
def test_unused_latents_are_told(caplog, unused, warned):
    caplog.set_level("INFO")
    torch.manual_seed(0)
    latents = torch.randn(60, 4)
    latents[:, :unused] *= 0.01
    base = oodgen.Base(torch.zeros(60, 1, 1, 1), torch.zeros(60, dtype=int), latents)
    oodgen.fit_ellipsoids(base, GENERATION)
    assert f"class 0: {4 - unused} of 4 latents are used" in caplog.text
    assert any(record.levelname == "WARNING" for record in caplog.records) is warned


def test_the_initial_weights_can_be_kerass():
    torch.manual_seed(0)
    plain = oodgen.build_cvae(typed(CVAE))
    keras = oodgen.build_cvae(typed(CVAE | {"init": "glorot_uniform"}))
    layer = keras.decoder[0]
    bound = math.sqrt(6 / (layer.in_features + layer.out_features))
    assert layer.weight.abs().max().item() == pytest.approx(bound, rel=0.05)
    assert (layer.bias == 0).all()
    assert not (plain.decoder[0].bias == 0).any()
    net = oodgen.build_classifier(typed(CLASSIFIER | {"init": "glorot_uniform"}))
    assert (net.head[-1].bias == 0).all()


def test_latents_that_do_not_vary_are_an_error():
    with pytest.raises(InputError, match="same latent; train it longer"):
        oodgen.fit_ellipsoid(torch.ones(10, 3), 0.95, "eigen")


def test_every_shell_latent_lies_between_the_radii(generator):
    torch.manual_seed(0)
    labels = torch.arange(300) % 3
    latents = generator.shell(labels)
    for k, one in enumerate(generator.ellipsoids):
        share = one.distance(latents[labels == k]) / one.radius
        assert 1 - 1e-6 <= share.min() < 1.03
        assert 1.47 < share.max() <= 1.5 + 1e-6


def test_type_2_decodes_with_its_own_class(cvae, generator):
    labels = torch.arange(9) % 3
    torch.manual_seed(4)
    latents = generator.shell(labels).float()
    torch.manual_seed(4)
    found = generator.type2(labels)
    expected = cvae.decode(latents, cvae.one_hot(labels))
    assert torch.equal(found, (expected * 255).round().byte())


# the classifier


def test_the_class_weight_is_averaged_over_the_batch_size():
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    pseudo = torch.tensor([[0.0, 0.0, 3.0], [1.0, 1.0, 1.0]])
    known = math.log(1 + 2 * math.exp(-2)) + math.log(1 + 2 * math.exp(-1))
    rejected = math.log(1 + 2 * math.exp(-3)) + math.log(3)
    terms = oodgen.rejecting_loss(logits, torch.tensor([0, 1]), pseudo, 0.1)
    assert terms["loss"].item() == pytest.approx((known + 0.1 * rejected) / 4)
    assert terms["accuracy"].item() == 1
    assert terms["rejected"].item() == 0.5


def test_pools_are_refreshed_on_schedule_and_known_by_their_epoch(generator):
    settings = typed(CLASSIFIER | {"type1_every": 3, "type2_every": 1})
    pools = oodgen.Pools(generator, settings, 7)
    seen = []
    for epoch in range(1, 8):
        pools.refresh(epoch)
        assert len(pools.images["type1"]) == len(pools.images["type2"]) == 30
        seen.append({name: images.clone() for name, images in pools.images.items()})
    changes = [
        [not torch.equal(a[name], b[name]) for a, b in itertools.pairwise(seen)]
        for name in ("type1", "type2")
    ]
    assert changes[0] == [False, False, True, False, False, True]
    assert changes[1] == [True] * 6
    resumed = oodgen.Pools(generator, settings, 7)
    resumed.refresh(5)
    assert all(torch.equal(resumed.images[name], seen[4][name]) for name in seen[4])


def test_a_step_draws_the_given_numbers_of_both(generator):
    pools = oodgen.Pools(generator, typed(CLASSIFIER), 0)
    pools.refresh(1)
    batch = pools.draw()
    assert batch.shape == (9, 1, 8, 8)
    assert batch.dtype == torch.float32
    pool = [pools.images[name].float() / 255 for name in ("type1", "type2")]
    for part, own, other in ((batch[:5], *pool), (batch[5:], *pool[::-1])):
        assert all((image == own).flatten(1).all(1).any() for image in part)
        assert not any((image == other).flatten(1).all(1).any() for image in part)


def test_training_stopped_and_resumed_ends_as_if_it_had_not(cvae, image_set, tmp_path, monkeypatch):
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    save_trained(tmp_path / "vae", CVAE, cvae, TrainingResult([], 0))
    inputs = Inputs(image_set, models={"vae": TrainedModel(tmp_path / "vae")})
    whole, history = oodgen.fit_classifier(typed(CLASSIFIER), inputs, run_in(tmp_path / "whole"))
    refresh = oodgen.Pools.refresh

    def stop(pools, epoch):
        if epoch == 3:
            raise KeyboardInterrupt
        refresh(pools, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(oodgen.Pools, "refresh", stop)
        with pytest.raises(KeyboardInterrupt):
            oodgen.fit_classifier(typed(CLASSIFIER), inputs, run_in(tmp_path / "cut"))
    resumed, again = oodgen.fit_classifier(typed(CLASSIFIER), inputs, run_in(tmp_path / "cut"))
    first, second = cpu_state(whole), cpu_state(resumed)
    assert all(torch.equal(first[name], second[name]) for name in first)
    # 72 images in batches of 16: five steps an epoch
    assert list(history.snapshots) == list(again.snapshots) == [4, 8, 12, 15]
    assert history.history[-1]["validation_loss"] == again.history[-1]["validation_loss"]


# scores


@pytest.fixture
def detector(tmp_path):
    torch.manual_seed(0)
    state = cpu_state(classifiers.build(typed(CLASSIFIER)))
    content = {"classifier": {"settings": CLASSIFIER, "state": state}}

    def load(score):
        save_model(tmp_path / "detector.pt", content | {"score": score})
        return oodgen.load(load_model(tmp_path / "detector.pt"), Compute(torch.device("cpu")))

    return load


@pytest.mark.parametrize("score", ["reject", "max"])
def test_scores_order_images_as_the_probabilities_do(detector, score):
    one = detector(score)
    images = torch.rand(40, 1, 8, 8)
    with torch.no_grad():
        p = one.classifier(images).double().softmax(1)
        found = one.score(images)
        predicted = one.predict(images)
    expected = p[:, 3] if score == "reject" else 1 - p[:, :3].max(1).values
    assert found.dtype == torch.float64
    assert torch.allclose(found, torch.log(expected / (1 - expected)))
    if score == "max":
        assert torch.equal(predicted, p[:, :3].argmax(1))
    else:
        assert torch.equal(predicted, torch.where(p.argmax(1) == 3, -1, p.argmax(1)))


def test_scores_do_not_saturate():
    one = oodgen.OODGenDetector(torch.nn.Identity(), "max", 2)
    # float32 probabilities of both are exactly 1
    logits = torch.tensor([[50.0, 0.0, 0.0], [60.0, 0.0, 0.0]])
    assert one.score(logits)[0] == pytest.approx(math.log(2) - 50)
    assert one.score(logits)[1] < one.score(logits)[0]


@pytest.mark.parametrize("score", ["reject", "max"])
def test_a_score_does_not_depend_on_the_batch(detector, score):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (30, 8, 8, 1), dtype=np.uint8)
    whole = ImageSet(images, np.zeros(30, np.int64))
    once = run({"": detector(score)}, whole, CPU)[""][0]
    parts = run({"": detector(score)}, whole, replace(CPU, scoring_batch=7))[""][0]
    assert np.allclose(once, parts, rtol=0, atol=1e-5)


def test_a_snapshot_changes_the_classifier_alone(detector):
    one = detector("reject")
    images = torch.rand(4, 1, 8, 8)
    state = cpu_state(one.classifier.extractor)
    state["head.3.bias"] = state["head.3.bias"] + torch.tensor([0.0, 0, 0, 2])
    with torch.no_grad():
        before = one.score(images)
        later = oodgen.at_snapshot(one, state).score(images)
        assert torch.allclose(later, before + 2, atol=1e-5)
        assert torch.equal(one.score(images), before)


def test_bytes_take_short_steps_away_and_floats_keep_them(generator):
    """As released, type I is not rounded: most pixels of a short step would stay."""
    floats = dataclasses.replace(
        generator, settings=Generation.read(PLAIN_GENERATION | {"type1_bytes": False})
    )
    index = torch.zeros(200, dtype=torch.int64)
    found = []
    for one in (generator, floats):
        torch.manual_seed(0)
        moved = to_unit(one.type1(index, torch.full((200,), 0.01)))
        assert moved.dtype == torch.float32
        assert 0 <= moved.min() <= moved.max() <= 1
        found.append((moved != generator.base.images[index] / 255).double().mean().item())
    assert found[0] < 0.5 * found[1]
