"""CSI: views, shifts, losses, heads and scores against loops, the published chain and by hand."""

import colorsys
import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from typed import ADAM, complete, optimizer, typed

from ood.augmentations import views as augmentations
from ood.augmentations.views import Views
from ood.data.images import ImageSet, to_tensor, to_unit
from ood.detection import classifier as classifiers
from ood.errors import InputError
from ood.methods import cmg, csi
from ood.training import checkpoint
from ood.training.device import Compute
from ood.training.model_files import (
    TrainedModel,
    TrainingResult,
    load_model,
    restore,
    save_model,
    save_trained,
)
from ood.training.optimizers import build_optimizer, learning_rate
from ood.training.run import Inputs, Run

CPU = Compute(torch.device("cpu"))
TRUNK = {
    "architecture": "resnet18",
    "shape": [8, 8, 1],
    "n_classes": 3,
    "width": 0.0625,
    "resize": None,
    "normalization": {"mean": [0.5], "sd": [0.5]},
}
LARS = {"name": "lars", "learning_rate": 1.0, "momentum": 0.9, "weight_decay": 1e-6, "trust": 1e-3}
ENCODER = {
    **TRUNK,
    "projection": 16,
    "labeled": False,
    "shift": "rotation",
    "flip": False,
    "crop": [0.54, 1.0],
    "jitter": {"value": 0.4, "contrast": 0.4},
    "temperature": 0.5,
    "training_images": None,
    "epochs": 2,
    "batch_size": 8,
    "optimizer": LARS | {"cosine": True, "warmup": {"start": 0.1, "share": 0.1}},
}
HEAD = {
    **TRUNK,
    "hidden": None,
    "head_dropout": 0,
    "extra_outputs": 1,
    "joint": False,
    "passes": 2,
    "epochs": 4,
    "batch_size": 8,
    "optimizer": {"name": "sgd", "learning_rate": 0.01, "momentum": 0.9, "nesterov": False}
    | {"weight_decay": 0},
}
ENCODER, HEAD = complete("csi_encoder", **ENCODER), complete("csi_classifier", **HEAD)
DETECTOR = complete(
    "csi", score="whole", encoder="encoder", test_samples=2, test_crop=0.54, known_images=None
)


@pytest.fixture(scope="module")
def image_set():
    generator = np.random.default_rng(0)
    patterns = generator.integers(0, 200, (3, 8, 8, 1))
    labels = np.arange(48) % 3
    images = patterns[labels] + generator.integers(0, 56, (48, 8, 8, 1))
    return ImageSet(images.astype(np.uint8), labels)


def run_in(folder, seed=0):
    return Run(seed, CPU, folder / "checkpoint.pt", "x", origin=(seed, "csi"))


def encoder(folder, image_set, **changes):
    """Trained and saved."""
    settings = ENCODER | changes
    network, trained = csi.fit_encoder(typed(settings), Inputs(image_set), run_in(folder))
    save_trained(folder / "encoder", settings, network, trained)
    return TrainedModel(folder / "encoder")


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory, image_set):
    return encoder(tmp_path_factory.mktemp("unlabelled"), image_set)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory, image_set):
    return encoder(tmp_path_factory.mktemp("labelled"), image_set, labeled=True, temperature=0.07)


def head(folder, image_set, labelled, **changes):
    settings = HEAD | changes
    inputs = Inputs(image_set, models={"encoder": labelled})
    network, trained = csi.fit_head(typed(settings), inputs, run_in(folder))
    save_trained(folder / "head", settings, network, trained)
    return TrainedModel(folder / "head"), trained


# views


def test_a_view_is_the_published_chain_of_steps():
    torch.manual_seed(0)
    images, views = torch.rand(40, 3, 32, 32), Views(True, (0.08, 1.0))
    drawn, turns = views.draw(40, (32, 32), torch.device("cpu")), torch.arange(40) % 4
    found = views.apply(images, drawn, turns)
    for i in range(40):
        one = images[i : i + 1]
        one = torch.rot90(one.flip(3) if drawn["flip"][i] else one, int(turns[i]), (2, 3))
        width, height, x, y = drawn["window"][i]
        theta = torch.tensor([[[width, 0, x], [0, height, y]]])
        grid = F.affine_grid(theta, [1, 3, 32, 32], align_corners=False)
        expected = F.grid_sample(one, grid, padding_mode="reflection", align_corners=False)
        torch.testing.assert_close(found[i : i + 1], expected, atol=1e-5, rtol=0)


def test_windows_are_of_whole_pixels_inside_the_image():
    torch.manual_seed(0)
    drawn = Views(False, (0.08, 1.0)).draw(20_000, (32, 32), torch.device("cpu"))
    window = drawn["window"].double()
    sides, centres = window[:, :2] * 32, window[:, 2:] * 32
    assert torch.allclose(sides, sides.round())
    assert torch.allclose(centres, centres.round())  # in half pixels
    assert (sides.min(), sides.max()) == (8, 32)
    assert ((centres.abs() + sides) <= 32).all()
    # what does not fit is drawn again: large windows are rarer
    assert (sides.prod(1) / 1024).mean() == pytest.approx(0.491, abs=0.005)
    assert centres.mean().abs() < 0.1
    whole = Views(False, None).draw(3, (32, 32), torch.device("cpu"))["window"]
    assert whole.tolist() == [[1, 1, 0, 0]] * 3


def test_each_view_has_draws_of_its_own():
    torch.manual_seed(0)
    jitter = {"value": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.07}
    drawn = Views(True, (0.08, 1.0), jitter).draw(20_000, (32, 32), torch.device("cpu"))
    assert drawn["flip"].float().mean() == pytest.approx(0.5, abs=0.02)
    assert drawn["grey"].float().mean() == pytest.approx(0.2, abs=0.02)
    kept = drawn["value"] != 1
    assert kept.float().mean() == pytest.approx(0.8, abs=0.02)
    for name in ("contrast", "saturation"):
        assert torch.equal(drawn[name] != 1, kept)
        assert drawn[name].min() >= 0.6
        assert drawn[name].max() <= 1.4
    assert torch.equal(drawn["hue"] != 0, kept)
    assert drawn["hue"].abs().max() <= 0.07
    assert torch.corrcoef(torch.stack([drawn["value"], drawn["contrast"]])[:, kept])[0, 1] < 0.05


def test_hue_saturation_and_value_are_those_of_colorsys():
    torch.manual_seed(0)
    images = torch.rand(1, 3, 20, 20)
    images[:, :, 0, 0] = 0.3  # grey
    images[:, :, 0, 1] = 0.0
    found = augmentations.to_hsv(images)
    pixels = images[0].flatten(1).T.tolist()
    expected = torch.tensor([colorsys.rgb_to_hsv(*pixel) for pixel in pixels]).T
    hue = found[0].flatten() % 1
    torch.testing.assert_close(hue, expected[0], atol=1e-5, rtol=0)
    for mine, other in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(mine.flatten(), other, atol=1e-5, rtol=0)
    torch.testing.assert_close(augmentations.from_hsv(*found), images, atol=1e-6, rtol=0)


@pytest.mark.parametrize("first", [True, False])
def test_colours_by_hand(first):
    images = torch.tensor([0.2, 0.4, 0.6, 0.8]).view(1, 1, 2, 2)
    drawn = {"value": torch.tensor([1.4]), "contrast": torch.tensor([0.5])}
    drawn |= {"contrast_first": torch.tensor(first)}
    found = augmentations.colour(images, drawn).flatten()
    # contrast about the mean .5, or about that of .28 .56 .84 1
    expected = [0.49, 0.63, 0.77, 0.91] if first else [0.475, 0.615, 0.755, 0.835]
    assert found.tolist() == pytest.approx(expected)


def test_grey_views_have_the_luma_in_all_channels():
    torch.manual_seed(0)
    images = torch.rand(2, 3, 4, 4)
    one = torch.ones(2)
    drawn = {"value": one, "contrast": one, "saturation": one, "hue": 0 * one}
    drawn |= {"grey": torch.tensor([True, False]), "contrast_first": torch.tensor(True)}
    found = augmentations.colour(images, drawn)
    luma = 0.299 * images[0, 0] + 0.587 * images[0, 1] + 0.114 * images[0, 2]
    torch.testing.assert_close(found[0], luma.expand(3, 4, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(found[1], images[1], atol=1e-5, rtol=0)


# shifts


def test_shifts_are_groups():
    images = torch.rand(2, 1, 6, 8, generator=torch.Generator().manual_seed(0))
    square = images[..., :6]
    for a, b in itertools.product(range(4), repeat=2):
        turned = csi.shifted(csi.shifted(square, "rotation", a), "rotation", b)
        assert torch.equal(turned, csi.shifted(square, "rotation", (a + b) % 4))
        swapped = csi.shifted(csi.shifted(images, "cutperm", a), "cutperm", b)
        assert torch.equal(swapped, csi.shifted(images, "cutperm", a ^ b))
        mirrored = csi.shifted(square, "rotation", a).flip(3)
        assert torch.equal(mirrored, csi.shifted(square.flip(3), "rotation", -a % 4))
        # so a flip may come before or after
        assert torch.equal(
            csi.shifted(images, "cutperm", a).flip(3), csi.shifted(images.flip(3), "cutperm", a)
        )
    assert not torch.equal(csi.shifted(images, "cutperm", 1), images)
    with pytest.raises(InputError, match="even height and width"):
        csi.shifted(torch.rand(1, 1, 7, 8), "cutperm", 1)


@pytest.mark.parametrize("kind", ["none", "rotation", "cutperm"])
def test_views_come_copy_by_copy_and_shift_by_shift(kind):
    images = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found, shifts = csi.draw_views(images, Views(False, None), kind, copies=2)
    count = csi.SHIFTS[kind]
    assert shifts.tolist() == [k for k in range(count) for _ in range(3)] * 2
    for index, (view, shift) in enumerate(zip(found, shifts.tolist(), strict=True)):
        expected = csi.shifted(images[index % 3][None], kind, shift)[0]
        torch.testing.assert_close(view, expected, atol=1e-6, rtol=0)


def test_the_shifts_of_a_copy_share_the_flip():
    torch.manual_seed(1)
    images = torch.rand(50, 1, 8, 8)
    found, _ = csi.draw_views(images, Views(True, None), "rotation", copies=2)
    copies = found.view(2, 4, 50, 1, 8, 8)
    flipped = torch.stack(
        [
            torch.stack([torch.rot90(one, -k, (2, 3)) for k, one in enumerate(copy)])
            for copy in copies
        ]
    )
    mirrored = (flipped - images).abs().amax((3, 4, 5)) > 1e-4
    assert (mirrored == mirrored[:, :1]).all()
    assert 20 < mirrored[:, 0].sum() < 80
    assert (mirrored[0, 0] != mirrored[1, 0]).any()


# losses


def loop(projections, positives, temperature):
    """The mean over views of the mean over its positives."""
    unit = F.normalize(projections.double(), dim=1)
    total = 0.0
    for i, mine in enumerate(positives):
        others = [j for j in range(len(unit)) if j != i]
        below = sum(math.exp(float(unit[i] @ unit[j]) / temperature) for j in others)
        chances = [float(unit[i] @ unit[j]) / temperature - math.log(below) for j in mine]
        total -= sum(chances) / len(mine)
    return total / len(unit)


def test_the_similarity_loss_is_a_double_loop_over_pairs():
    torch.manual_seed(0)
    projections = torch.randn(12, 5)
    partners = [[(i + 6) % 12] for i in range(12)]
    found = csi.similarity_loss(projections, 0.5)
    assert found.item() == pytest.approx(loop(projections, partners, 0.5), rel=1e-6)
    # neither the order of the images nor that of the copies matters
    order = torch.randperm(6)
    mixed = projections[torch.cat([order, order + 6])]
    assert csi.similarity_loss(mixed, 0.5).item() == pytest.approx(found.item())
    assert csi.similarity_loss(projections.roll(6, 0), 0.5).item() == pytest.approx(found.item())


@pytest.mark.parametrize(
    ("projections", "temperature", "expected"),
    [
        (torch.ones(1024, 4), 0.5, 6.930495),  # log(2 N - 1)
        (torch.eye(512).repeat(2, 1), 0.5, 4.936721),
        (torch.eye(512).repeat(2, 1), 0.07, 0.000638),
    ],
)
def test_the_similarity_loss_of_known_projections(projections, temperature, expected):
    found = csi.similarity_loss(projections, temperature).item()
    assert found == pytest.approx(expected, abs=2e-6)


def test_the_supervised_loss_is_a_loop_over_groups():
    torch.manual_seed(0)
    projections, groups = torch.randn(12, 5), torch.tensor([0, 1, 2, 0, 1, 1, 0, 1, 2, 0, 1, 1])
    positives = [[j for j in range(12) if j != i and groups[j] == groups[i]] for i in range(12)]
    found = csi.supervised_loss(projections, groups, 0.07)
    assert found.item() == pytest.approx(loop(projections, positives, 0.07), rel=1e-5)
    alone = torch.arange(6).repeat(2)
    same = csi.similarity_loss(projections, 0.07)
    assert csi.supervised_loss(projections, alone, 0.07).item() == pytest.approx(same.item())


# the optimiser


def test_lars_by_hand():
    weights, zero = (torch.nn.Parameter(torch.tensor(v)) for v in ([3.0, 4.0], [0.0, 0.0]))
    lars = build_optimizer([weights, zero], optimizer(**LARS | {"weight_decay": 0}))
    for expected in ([2.997, 4.004], [2.9912992, 4.0116011]):
        for value in (weights, zero):
            value.grad = torch.tensor([0.6, -0.8])
        lars.step()
        assert weights.tolist() == pytest.approx(expected, abs=1e-6)
    # the first step of a tensor of zeros is not scaled: -g, then momentum and a scaled one
    second = 1 + 0.9 + 1e-3
    assert zero.tolist() == pytest.approx([-0.6 * second, 0.8 * second], abs=1e-6)


def test_weight_decay_counts_in_the_rate_of_lars():
    weights = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    weights.grad = torch.tensor([0.0, 1.0])
    build_optimizer([weights], optimizer(**LARS | {"weight_decay": 0.1})).step()
    rate = 1e-3 * 5 / (1 + 0.1 * 5)
    assert weights.tolist() == pytest.approx([3 - rate * 0.3, 4 - rate * 1.4], abs=1e-6)


def test_the_rate_warms_up_and_falls_along_a_cosine():
    falling = optimizer(**LARS, cosine=True, warmup={"start": 0.1, "share": 0.01})
    rates = [learning_rate(falling, epoch, 1000) for epoch in (0, 5, 10, 1000)]
    assert rates == pytest.approx([0.1, 0.55, 1.0, 0.000247], abs=1e-6)


# training


def test_an_interrupted_training_ends_as_if_it_had_not_been(tmp_path, image_set, monkeypatch):
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0)
    whole = encoder(tmp_path / "whole", image_set)
    calls, original = itertools.count(), csi.similarity_loss

    def stopping(*arguments):
        if next(calls) == 8:
            raise KeyboardInterrupt
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(csi, "similarity_loss", stopping)
        with pytest.raises(KeyboardInterrupt):
            encoder(tmp_path / "cut", image_set)
    resumed = encoder(tmp_path / "cut", image_set)
    assert all(torch.equal(v, resumed.state[name]) for name, v in whole.state.items())


def test_what_training_records(tmp_path, image_set):
    _, trained = csi.fit_encoder(typed(ENCODER), Inputs(image_set), run_in(tmp_path))
    row = trained.history[-1]
    assert row["loss"] == pytest.approx(row["similarity"] + row["shift"])
    assert 0 <= row["shift_accuracy"] <= 1
    assert row["norm"] > 0
    settings = ENCODER | {"shift": "none", "training_images": 20, "epochs": 1}
    _, trained = csi.fit_encoder(typed(settings), Inputs(image_set), run_in(tmp_path))
    assert trained.history[0]["step"] == 3  # of 20 images in batches of 8
    assert "shift" not in trained.history[0]


@pytest.mark.parametrize("joint", [False, True])
def test_a_head_learns_the_classes_and_leaves_the_trunk_alone(tmp_path, image_set, labelled, joint):
    saved, trained = head(tmp_path, image_set, labelled, joint=joint, epochs=20)
    for name, value in labelled.state.items():
        if name.startswith("features."):
            assert torch.equal(saved.state[name], value), name
    assert saved.state["head.0.weight"].shape[0] == (12 if joint else 4)
    # of the same draw of the views
    first, last = trained.history[0], trained.history[-2]
    assert last["loss"] < first["loss"]
    assert 0 < last["accuracy"] < 1


def test_each_epoch_of_a_head_takes_the_next_draw_of_the_views(tmp_path, image_set, labelled):
    _, two = head(tmp_path / "two", image_set, labelled, passes=2, epochs=3)
    _, four = head(tmp_path / "four", image_set, labelled, passes=4, epochs=3)
    losses = [[row["loss"] for row in trained.history] for trained in (two, four)]
    assert losses[0][:2] == losses[1][:2]
    assert losses[0][2] != losses[1][2]


def test_weights_of_another_trunk_are_an_error(tmp_path, image_set, labelled):
    with pytest.raises(InputError, match="weights of another size"):
        head(tmp_path, image_set, labelled, width=0.125)


def test_cmg_takes_the_labelled_trunk_for_an_ordinary_classifier(tmp_path, image_set, labelled):
    saved, _ = head(tmp_path, image_set, labelled)
    cvae = complete("cmg_cvae", architecture="conv", latent=4, hidden=16, width=0.05, padding=1)
    network = cmg.build_cvae(typed(cvae))
    save_trained(tmp_path / "cvae", cvae, network, TrainingResult([], 0))
    energy = {"weight": 0.1, "in_quantile": 0.01, "out_quantile": 0.99}
    settings = complete(
        "cmg",
        loss="energy",
        sigma=5,
        pseudo_per_batch=8,
        energy=energy,
        optimizer=ADAM | {"learning_rate": 1e-4},
    )
    models = {"classifier": saved, "cvae": TrainedModel(tmp_path / "cvae")}
    fitted = cmg.fit(typed(settings), Inputs(image_set, models=models), run_in(tmp_path))
    tuned = fitted.content["classifier"]["state"]
    changed = {name for name, value in saved.state.items() if not torch.equal(value, tuned[name])}
    assert changed == {"head.0.weight", "head.0.bias"}


# scores


def detector(saved, image_set, folder, **changes):
    """Fitted, saved and loaded as the workflow does it."""
    fitted = csi.fit(
        typed(DETECTOR | changes), Inputs(image_set, models={"encoder": saved}), run_in(folder)
    )
    save_model(folder / "detector.pt", fitted.content)
    return csi.load(load_model(folder / "detector.pt"), CPU), fitted


@pytest.mark.parametrize("crop", [None, 0.54])
@pytest.mark.parametrize("shift", ["none", "rotation", "cutperm"])
def test_both_parts_have_mean_one_over_the_training_images(tmp_path, image_set, shift, crop):
    saved = encoder(tmp_path, image_set, shift=shift, flip=True)
    one, fitted = detector(saved, image_set, tmp_path, test_crop=crop)
    images = to_unit(to_tensor(image_set.images))
    with torch.no_grad():
        similarity, logits = one.parts(images)
        assert similarity.mean().item() == pytest.approx(1, abs=1e-5)
        assert logits.mean().item() == pytest.approx(1, abs=1e-4)
        one.whole = False
        assert one.score(images).mean().item() == pytest.approx(-1, abs=1e-5)
        one.whole = True
        assert one.score(images).mean().item() == pytest.approx(-2, abs=2e-4)
    assert one.predict(images) is None
    assert len(fitted.facts["mean_shift_logits"]) == csi.SHIFTS[shift]


def test_an_image_is_scored_as_in_any_batch_and_always_alike(tmp_path, image_set, unlabelled):
    one, _ = detector(unlabelled, image_set, tmp_path)
    (tmp_path / "again").mkdir()
    again, _ = detector(unlabelled, image_set, tmp_path / "again", score="similarity")
    images = to_unit(to_tensor(image_set.images))
    with torch.no_grad():
        whole = one.parts(images)[0]
        parts = torch.cat([one.parts(part)[0] for part in images.split(5)])
        torch.testing.assert_close(whole, parts, atol=1e-5, rtol=1e-5)
        # the samples follow from the encoder, so that detectors on it share their passes
        assert torch.equal(again.parts(images)[0], whole)
        turned = one.parts(torch.rot90(images, 1, (2, 3)))[0]
        assert not torch.allclose(turned, whole, atol=1e-3)


def test_the_size_of_projections_does_not_matter_nor_their_direction(
    tmp_path, image_set, unlabelled
):
    one, _ = detector(unlabelled, image_set, tmp_path)
    last = unlabelled.state
    turn = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(0)))[0]
    changed = {name: value.clone() for name, value in last.items()}
    for name in ("projection.2.weight", "projection.2.bias"):
        changed[name] = 3 * turn @ changed[name]
    content = {"settings": ENCODER | {"drawn": []}, "state": changed}
    plain = {"settings": ENCODER | {"drawn": []}, "state": last}
    images, scores = to_unit(to_tensor(image_set.images)), []
    for one in (plain, content):
        passes = csi.restore_passes(one, CPU)
        statistics = csi.fit_statistics(passes.extractor, image_set, CPU)
        with torch.no_grad():
            scores.append(csi.CSIDetector(passes, statistics, False).score(images))
    torch.testing.assert_close(*scores, atol=1e-5, rtol=1e-5)


def test_a_shift_weight_that_is_not_positive_drops_the_part_and_says_so(
    tmp_path, image_set, unlabelled
):
    # as the unlabelled encoder's logits are, or all positive or all negative
    for bias, flagged in ((1000.0, False), (-1000.0, True)):
        folder = tmp_path / str(flagged)
        network = restore(csi.Encoder, unlabelled.content, CPU)
        with torch.no_grad():
            network.shift[0].bias.fill_(bias)
        save_trained(folder / "encoder", ENCODER, network, TrainingResult([], 0))
        one, fitted = detector(TrainedModel(folder / "encoder"), image_set, folder)
        assert one.whole is not flagged
        assert (fitted.flags != []) is flagged
        similar, other = detector(
            TrainedModel(folder / "encoder"), image_set, folder, score="similarity"
        )
        assert not similar.whole
        assert other.flags == []


def test_the_joint_head_is_averaged_over_the_shifts(tmp_path, image_set, labelled):
    saved, _ = head(tmp_path, image_set, labelled, joint=True)
    settings = complete("csi", score="joint", classifier="classifier")
    fitted = csi.fit(typed(settings), Inputs(models={"classifier": saved}), run_in(tmp_path))
    one = csi.load(fitted.content, CPU)
    images = to_unit(to_tensor(image_set.images))
    network = csi.build_head(saved.settings).eval()
    network.load_state_dict(saved.state)
    with torch.no_grad():
        logits = sum(
            network(torch.rot90(images, k, (2, 3)))[:, 3 * k : 3 * k + 3].double() for k in range(4)
        )
        expected = F.softmax(logits / 4, dim=1).max(1)
        torch.testing.assert_close(one.score(images), -expected.values, atol=1e-6, rtol=1e-6)
        assert torch.equal(one.predict(images), expected.indices)


def test_a_joint_head_has_the_shift_of_its_encoder(tmp_path, image_set):
    saved = encoder(tmp_path, image_set, labeled=True, shift="cutperm")
    joint, _ = head(tmp_path, image_set, saved, joint=True)
    assert csi.restore_joint(joint.content, CPU).extractor.kind == "cutperm"
    alone = encoder(tmp_path / "alone", image_set, shift="none")
    with pytest.raises(InputError, match="a joint head needs an encoder with a shift"):
        head(tmp_path, image_set, alone, joint=True)


def test_views_of_another_size_need_no_other_detector(tmp_path, image_set):
    saved = encoder(tmp_path, image_set, resize=16)
    assert dataclasses.asdict(csi.views_of(saved.settings))["size"] == 16
    one, _ = detector(saved, image_set, tmp_path, test_crop=None)
    with torch.no_grad():
        assert one.score(to_unit(to_tensor(image_set.images))).shape == (48,)
    linear, _ = head(tmp_path, image_set, saved, resize=16)
    network = restore(classifiers.build, linear.content, CPU)
    with torch.no_grad():
        assert network(torch.rand(2, 1, 8, 8)).shape == (2, 4)
