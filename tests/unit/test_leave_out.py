"""The leave-out ensemble: its specification's worked values, partitions, steps and scores."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import softmax as scipy_softmax
from scipy.stats import entropy as scipy_entropy
from typed import complete, typed

from ood.data.images import ImageSet
from ood.methods import baselines, leave_out
from ood.training.device import Compute
from ood.training.model_files import cpu_state, load_model, save_model
from ood.training.run import Inputs, Run

CPU = Compute(torch.device("cpu"))
SETTINGS = complete(
    "leave_out_member",
    architecture="toynet",
    shape=[8, 8, 1],
    n_classes=5,
    width=0.2,
    padding=2,
    normalization={"mean": [0.5], "sd": [0.5]},
    groups=5,
    group=0,
    partition_seed=3,
    margin=0.4,
    margin_weight=0.2,
    accuracy_tolerance=0.02,
    validation_share=0.2,
    validation_images=20,
    augmentation="none",
    epochs=3,
    batch_size=16,
    optimizer={
        "name": "sgd",
        "learning_rate": 0.05,
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 5e-4,
    },
)


def images(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, 8, 8, generator=generator)


@pytest.fixture(scope="module")
def members():
    """Five untrained members whose answers differ, as a file would hold them."""
    contents = []
    for group in range(5):
        torch.manual_seed(group)
        settings = SETTINGS | {"group": group}
        member = leave_out.Member(typed(settings))
        torch.nn.init.normal_(member.classifier.head[-1].weight, std=3)
        contents.append({"settings": settings, "state": cpu_state(member)})
    return contents


@pytest.fixture
def ensemble(members):
    return leave_out.build_ensemble(members, "entropy", CPU)


def test_the_worked_example_of_the_loss():
    known = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.25, 0.25]]).log()
    left_out = torch.tensor([[0.4, 0.3, 0.3]]).log()
    torch.testing.assert_close(leave_out.entropy(known), torch.tensor([0.801819, 1.039721]))
    terms = leave_out.margin_loss(known, torch.tensor([0, 1]), left_out, 0.4, 0.2)
    assert terms["known"] == pytest.approx(0.871485, abs=1e-5)
    assert 0.4 - terms["entropy_gap"] == pytest.approx(0.231870, abs=1e-5)
    assert terms["loss"] == pytest.approx(0.917859, abs=1e-5)


def test_beyond_the_margin_only_the_cross_entropy_teaches():
    known = torch.tensor([[9.0, 0, 0]], requires_grad=True)
    flat = torch.zeros(1, 3, requires_grad=True)
    label = torch.tensor([1])
    leave_out.margin_loss(known, label, flat, 0.4, 0.2)["loss"].backward()
    (alone,) = torch.autograd.grad(F.cross_entropy(known, label), known)
    torch.testing.assert_close(known.grad, alone, rtol=0, atol=0)
    assert (flat.grad == 0).all()


def test_within_the_margin_both_entropies_teach():
    known = torch.tensor([[1.0, 0, 0]], requires_grad=True)
    others = torch.tensor([[2.0, 0, 0]], requires_grad=True)
    leave_out.margin_loss(known, torch.tensor([0]), others, 0.4, 0.2)["loss"].backward()
    # the left-out image is pushed towards less sure, the ID image towards surer
    assert others.grad[0, 0] > 0
    assert known.grad[0, 0] < 0


def test_partitions_are_those_of_the_public_code():
    assert leave_out.partition(10, 5, 3) == [[5, 4], [1, 2], [9, 6], [7, 0], [3, 8]]
    first = "6 9 15 23 25 34 42 45 59 64 67 71 75 77 82 83 93 96 97 98"
    assert sorted(leave_out.partition(100, 5, 3)[0]) == [int(k) for k in first.split()]
    assert leave_out.partition(10, 5, None) == [[8, 9], [6, 7], [4, 5], [2, 3], [0, 1]]


@pytest.mark.parametrize(
    ("n_classes", "groups", "seed"), [(10, 5, 3), (10, 10, 3), (6, 5, None), (100, 5, 0), (3, 2, 1)]
)
def test_every_class_is_left_out_by_exactly_one_member(n_classes, groups, seed):
    parts = leave_out.partition(n_classes, groups, seed)
    assert len(parts) == groups
    assert sorted(k for part in parts for k in part) == list(range(n_classes))
    sizes = {len(part) for part in parts}
    assert max(sizes) - min(sizes) <= 1


def test_a_member_remembers_its_classes(members):
    for content in members:
        kept = content["state"]["classes"].tolist()
        left_out = leave_out.partition(5, 5, 3)[content["settings"]["group"]]
        assert sorted(kept + left_out) == list(range(5))
        assert kept == sorted(kept)


def test_probabilities_sum_to_one_and_no_class_gets_more_than_its_members(ensemble):
    found = ensemble.probabilities(images(50))
    assert found.dtype == torch.float64
    torch.testing.assert_close(found.sum(1), torch.ones(50, dtype=torch.float64))
    assert found.max() <= 4 / 5
    alone = leave_out.Ensemble(ensemble.members[:1], 5, "entropy").probabilities(images(50))
    left_out = ensemble.members[0].left_out
    assert (alone[:, left_out] == 0).all()
    assert (alone[:, ensemble.members[0].classes] > 0).all()


def test_the_score_is_algorithm_2_in_float64(ensemble):
    detector = leave_out.LeaveOutDetector(ensemble, "certainty", 1000.0, 0.01)
    batch = images(20)
    with torch.no_grad():
        found = detector.score(batch)
        expected = np.zeros(20)
        for member, step in zip(ensemble.members, ensemble.steps(batch, 1000.0), strict=True):
            logits = member(batch - 0.01 * step).double().numpy()
            p = scipy_softmax(logits / 1000, axis=1)
            expected -= p.max(1) - scipy_entropy(p, axis=1)
    assert found.dtype == torch.float64
    # of order 1e-3 on top of 5 (ln 4 - 1/4): float32 would leave two or three digits
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-13)
    assert np.ptp(expected) > 1e-4


@pytest.mark.parametrize("perturbation", ["entropy", "odin"])
@pytest.mark.parametrize("temperature", [1.0, 1000.0])
def test_steps_are_the_signs_of_central_differences(members, perturbation, temperature):
    ensemble = leave_out.build_ensemble(members[:1], perturbation, CPU)
    member, batch = ensemble.members[0], images(3, seed=1)
    (signs,) = ensemble.steps(batch, temperature)
    member.double()
    moved = torch.eye(64, dtype=torch.float64).view(64, 1, 8, 8) * 1e-6
    for image, sign in zip(batch.double(), signs, strict=True):
        with torch.no_grad():
            target = member(image[None]).argmax(1)

            def value(x, target=target):
                logits = member(x) / temperature
                if perturbation == "entropy":
                    return leave_out.entropy(logits)
                return F.cross_entropy(logits, target.expand(len(x)), reduction="none")

            slope = (value(image + moved) - value(image - moved)) / 2e-6
        # where the slope is next to nothing the sign is noise
        clear = slope.abs() > 1e-3 * slope.abs().max()
        assert clear.sum() > 32
        assert (sign.flatten()[clear] == slope.sign()[clear]).all()
    member.float()


def test_no_gradient_is_a_positive_one_in_the_public_code(members):
    settings = members[0]["settings"]
    flat = {name: torch.zeros_like(value) for name, value in members[0]["state"].items()}
    flat["classes"] = members[0]["state"]["classes"]
    for perturbation, sign in (("odin", 1), ("entropy", 0)):
        content = {"settings": settings, "state": flat}
        ensemble = leave_out.build_ensemble([content], perturbation, CPU)
        assert (ensemble.steps(images(2), 1.0)[0] == sign).all()


def test_without_a_step_the_image_is_scored_as_it_is(ensemble):
    batch = images(10)
    found = leave_out.LeaveOutDetector(ensemble, "certainty", 10.0, 0.0).score(batch)
    with torch.no_grad():
        expected = -sum(leave_out.certainty(member(batch) / 10) for member in ensemble.members)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_a_small_step_lowers_the_entropy(ensemble):
    batch = images(200)
    with torch.no_grad():
        for member, step in zip(ensemble.members, ensemble.steps(batch, 1.0), strict=True):
            before = leave_out.entropy(member(batch))
            after = leave_out.entropy(member(batch - 1e-3 * step))
            assert (after > before).float().mean() < 0.05


@pytest.mark.parametrize("epsilon", [0.0, 0.01])
def test_scores_do_not_depend_on_the_batch(ensemble, epsilon, monkeypatch):
    detector = leave_out.LeaveOutDetector(ensemble, "certainty", 1000.0, epsilon)
    batch = images(100)
    whole, classes = detector.score(batch), detector.predict(batch)
    monkeypatch.setattr(leave_out, "CHUNK", 7)
    parts = [part.clone() for part in batch.split(1)]
    single = torch.cat([detector.score(part) for part in parts])
    torch.testing.assert_close(whole, single, rtol=0, atol=1e-6)
    assert torch.equal(classes, torch.cat([detector.predict(part) for part in parts]))


def test_detectors_that_share_an_ensemble_do_not_mix_batches(ensemble):
    one = leave_out.LeaveOutDetector(ensemble, "certainty", 1.0, 0.01)
    other = leave_out.LeaveOutDetector(ensemble, "certainty", 1000.0, 0.02)
    batches = images(8), images(8, seed=1)
    found = [detector.score(batch) for batch in batches for detector in (one, other)]
    alone = []
    for batch in batches:
        for detector in (one, other):
            fresh = leave_out.Ensemble(ensemble.members, 5, "entropy")
            detector = leave_out.LeaveOutDetector(
                fresh, "certainty", detector.temperature, detector.epsilon
            )
            alone.append(detector.score(batch.clone()))
    for shared, separate in zip(found, alone, strict=True):
        assert torch.equal(shared, separate)


def test_the_file_of_a_detector_brings_the_same_scores_back(members, ensemble, tmp_path):
    content = {
        "members": members,
        "perturbation": "entropy",
        "score": "certainty",
        "temperature": 10.0,
        "epsilon": 0.01,
    }
    save_model(tmp_path / "detector.pt", content)
    loaded = leave_out.load(load_model(tmp_path / "detector.pt"), CPU)
    batch = images(10)
    before = leave_out.LeaveOutDetector(ensemble, "certainty", 10.0, 0.01)
    assert torch.equal(loaded.score(batch), before.score(batch))
    assert torch.equal(loaded.predict(batch), before.predict(batch))
    changed = leave_out.at_snapshot(loaded, {"temperature": 1.0, "epsilon": 0.0})
    assert not torch.equal(changed.score(batch), before.score(batch))


def history(*rows):
    return [
        {"validation_accuracy": accuracy, "ood_detection_error": error} for accuracy, error in rows
    ]


def test_the_best_epoch_is_the_papers():
    # the third has the lowest error but lost 5 points of accuracy; equals: the first
    rows = history((0.80, 0.30), (0.90, 0.20), (0.85, 0.05), (0.89, 0.15), (0.88, 0.15))
    assert leave_out.best_epoch(rows, 0.02) == 4
    assert leave_out.best_epoch(rows, 0.06) == 3
    assert leave_out.best_epoch(rows[:2], 0.0) == 2
    # what was within reach when it was measured stays
    assert leave_out.best_epoch(history((0.5, 0.1), (0.9, 0.2)), 0.02) == 1


def test_training_a_member_keeps_the_last_and_the_best_epoch(tmp_path):
    generator = np.random.default_rng(0)
    labels = np.arange(200) % 5
    pictures = (generator.random((200, 8, 8, 1)) * 60 + labels[:, None, None, None] * 48).astype(
        np.uint8
    )
    known = ImageSet(pictures, labels)
    unknown = ImageSet(generator.integers(0, 256, (40, 8, 8, 1), np.uint8), np.zeros(40, np.int64))
    run = Run(0, CPU, tmp_path / "checkpoint.pt", "one")
    member, trained = leave_out.fit_member(typed(SETTINGS), Inputs(known, validation=unknown), run)
    assert [row["epoch"] for row in trained.history] == [1, 2, 3]
    assert trained.kept_epoch == 3
    assert trained.best_epoch == leave_out.best_epoch(trained.history, 0.02)
    assert set(trained.best_state) == set(member.state_dict())
    gaps = [row["entropy_gap"] for row in trained.history]
    assert all(abs(gap) <= math.log(4) for gap in gaps)
    # 160 images of 5 classes are trained on, 128 of them kept
    assert trained.history[-1]["step"] == 3 * 8


def test_a_plain_member_leaves_no_class_out(tmp_path):
    generator = np.random.default_rng(0)
    labels = np.arange(200) % 5
    pictures = generator.integers(0, 256, (200, 8, 8, 1), np.uint8)
    known, unknown = ImageSet(pictures, labels), ImageSet(pictures[:40], labels[:40])
    settings = {k: v for k, v in SETTINGS.items() if k not in ("margin", "margin_weight")}
    settings = settings | {"type": "plain_member"}
    run = Run(0, CPU, tmp_path / "checkpoint.pt", "one")
    member, trained = leave_out.fit_plain_member(
        typed(settings), Inputs(known, validation=unknown), run
    )
    assert member.classes.tolist() == [0, 1, 2, 3, 4]
    assert member(images(3)).shape == (3, 5)
    # 160 images of 5 classes are trained on, in batches of 16
    assert trained.history[-1]["step"] == 3 * 10
    assert trained.best_epoch == leave_out.best_epoch(trained.history, 0.02)


def test_odin_of_an_ensemble_adds_the_members_largest_probabilities(ensemble):
    """With one member it is ODIN; the step's gradients are of float64, ODIN's of float32."""
    batch = images(20)
    with torch.no_grad():
        for members in (ensemble.members[:1], ensemble.members):
            few = leave_out.Ensemble(members, 5, "odin")
            found = leave_out.LeaveOutDetector(few, "largest_probability", 10.0, 0.02).score(batch)
            expected = 0
            for member in members:
                stepped, _ = baselines.odin_step(member, batch, 10.0, 0.02)
                expected = expected + baselines.msp(member(stepped), 10.0)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
