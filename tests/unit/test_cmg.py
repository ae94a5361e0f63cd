"""CMG: losses by hand, generation, and what fine-tuning may and may not touch."""

import math
from dataclasses import replace

import pytest
import torch
from typed import complete, typed

from ood.data.images import ImageSet
from ood.detection import classifier as classifiers
from ood.detection.contract import run
from ood.errors import InputError
from ood.methods import cmg
from ood.training.device import Compute
from ood.training.model_files import cpu_state, load_model, restore, save_model
from ood.training.run import Inputs, Run, derive_seed

CPU = Compute(torch.device("cpu"))
LOGITS = torch.tensor([[2.0, 0.0, 0.0], [5.0, 1.0, -1.0]])
PSEUDO = torch.tensor([[1.0, 1.0, 1.0]])


CLASSIFIER = complete(
    "classifier",
    architecture="convnet",
    shape=[8, 8, 1],
    n_classes=2,
    extra_outputs=1,
    width=0.1,
    hidden=16,
    dropout=0.0,
    head_dropout=0.0,
    normalization=None,
    augmentation="none",
    epochs=20,
    batch_size=8,
    optimizer={"name": "adam", "learning_rate": 1e-3},
)


@pytest.fixture(scope="module")
def stage_1(tmp_path_factory):
    """The state of a classifier that tells the two classes apart."""
    network, trained = classifiers.fit(
        typed(CLASSIFIER),
        Inputs(image_set()),
        Run(derive_seed(0, "classifier"), CPU, tmp_path_factory.mktemp("s") / "checkpoint.pt", ""),
    )
    assert trained.history[-1]["accuracy"] > 0.9
    return cpu_state(network)


@pytest.fixture
def classifier(stage_1):
    return restore(classifiers.build, {"settings": CLASSIFIER, "state": stage_1}, CPU)


def cvae(n_classes=2, latent=6):
    torch.manual_seed(1)
    settings = complete(
        "cmg_cvae",
        n_classes=n_classes,
        architecture="conv",
        latent=latent,
        hidden=16,
        width=0.1,
        padding=1,
    )
    return cmg.build_cvae(typed(settings)).eval().requires_grad_(False)


def settings(loss="softmax", **changes):
    usual = {"sigma": 3, "pseudo_per_batch": 8, "epochs": 2}
    usual["optimizer"] = {"name": "adam", "learning_rate": 1e-2}
    if loss == "energy":
        usual["energy"] = {"weight": 0.1, "in_quantile": 0.2, "out_quantile": 0.8}
    return typed(complete("cmg", loss=loss, **usual | changes))


def image_set(count=30):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 8, 8, 1), dtype=torch.uint8, generator=generator)
    labels = torch.arange(count) % 2
    images[labels == 1, :4] = 0
    return ImageSet(images.numpy(), labels.numpy())


def fine_tune(tmp_path, chosen, network, snapshots=False):
    run = Run(0, CPU, tmp_path / "checkpoint.pt", "", snapshots)
    return cmg.fine_tune(chosen, network, cvae(), image_set(), run)


def test_energies_by_hand():
    torch.testing.assert_close(cmg.energy(LOGITS), torch.tensor([-2.239545, -5.020581]))
    torch.testing.assert_close(cmg.energy(PSEUDO), torch.tensor([-2.098612]))


def test_the_energy_loss_by_hand():
    terms = cmg.energy_loss(LOGITS, torch.tensor([0, 0]), PSEUDO, (-4.0, -1.5), 0.1)
    assert terms["in"].item() == pytest.approx(1.549601, abs=1e-6)
    assert terms["out"].item() == pytest.approx(0.358337, abs=1e-6)
    known = -(math.log(math.exp(2) / (math.exp(2) + 2)) + 5 - 5.020581) / 2
    assert terms["known"].item() == pytest.approx(known, abs=1e-6)
    assert terms["loss"].item() == pytest.approx(known + 0.1 * (1.549601 + 0.358337), abs=1e-6)


def test_the_softmax_loss_rejects_among_the_first_logits_only():
    pseudo = torch.tensor([[0.0, 0.0, 0.0, 50.0]])
    terms = cmg.softmax_loss(LOGITS, torch.tensor([0, 0]), pseudo, n_classes=2)
    assert terms["rejected"].item() == pytest.approx(math.log(3), abs=1e-6)
    assert terms["loss"].item() == pytest.approx((terms["known"] + terms["rejected"]).item())


def test_margins_are_the_named_elements_of_the_sorted_energies():
    energies = -torch.arange(10, 20).float()
    pseudo = -torch.arange(0, 5).float()
    # sorted: -19 … -10, element int(.2 * 10) = 2; sorted: -4 … 0, element int(.8 * 5) = 4
    assert cmg.energy_margins(energies, pseudo, 0.2, 0.8) == (-17.0, 0.0)


def test_contradicting_margins_stop_with_both_values():
    with pytest.raises(InputError, match=r"m_in = 5\.0000.*m_out = -5\.0000"):
        cmg.energy_margins(torch.full((5,), 5.0), torch.full((5,), -5.0), 0.2, 0.8)


def test_the_cvae_loss_by_hand():
    images, reconstructions = torch.zeros(2, 1, 2, 2), torch.full((2, 1, 2, 2), 0.5)
    mean = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    log_variance = torch.tensor([[0.0, math.log(2)], [0.0, 0.0]])
    # KL of the first image: .5 * (1^2) + .5 * (2 - 1 - ln 2)
    kl = (0.5 + 0.5 * (1 - math.log(2))) / 2
    terms = cmg.cvae_loss(images, reconstructions, mean, log_variance)
    assert terms["kl"].item() == pytest.approx(kl, abs=1e-6)
    assert terms["loss"].item() == pytest.approx(0.25 + kl / 4, abs=1e-6)
    halved = cmg.cvae_loss(images, reconstructions, mean, log_variance, kl_weight=0.5)
    assert halved["loss"].item() == pytest.approx(0.25 + kl / 8, abs=1e-6)


def test_mixing_picks_each_dimension_from_one_parent_with_even_chance():
    torch.manual_seed(0)
    first, second = torch.zeros(500, 32), torch.ones(500, 32)
    mixed = cmg.mix(first, second)
    assert set(mixed.unique().tolist()) == {0.0, 1.0}
    assert mixed.mean().item() == pytest.approx(0.5, abs=0.015)
    assert 0 < mixed[0].mean() < 1


def test_generated_images_and_pairs():
    torch.manual_seed(0)
    images, pairs = cmg.generate_images(cvae(n_classes=6), 6000, sigma=3)
    assert images.shape == (6000, 1, 8, 8)
    assert 0 <= images.min() <= images.max() <= 1
    equal = (pairs[:, 0] == pairs[:, 1]).double().mean().item()
    assert equal == pytest.approx(1 / 6, abs=0.02)
    assert torch.bincount(pairs.flatten()).min() > 1800


def test_latents_have_standard_deviation_sigma(monkeypatch):
    model = cvae(latent=50)
    seen = []
    monkeypatch.setattr(model, "decode", lambda z, e: seen.append(z) or torch.zeros(1))
    cmg.generate_images(model, 400, sigma=5)
    assert seen[0].std().item() == pytest.approx(5, rel=0.01)


@pytest.mark.parametrize("loss", ["softmax", "energy"])
def test_fine_tuning_changes_the_head_and_nothing_else(tmp_path, loss, classifier):
    classifier.train()
    before = cpu_state(classifier)
    fine_tune(tmp_path, settings(loss), classifier)
    after = cpu_state(classifier)
    for name, value in before.items():
        unchanged = torch.equal(value, after[name])
        assert unchanged == name.startswith("features."), name


def test_fine_tuning_keeps_snapshots_only_when_asked(tmp_path, classifier):
    without = fine_tune(tmp_path / "a", settings(), classifier)
    kept = fine_tune(tmp_path / "b", settings(), classifier, snapshots=True)
    assert without.snapshots == {}
    assert list(kept.snapshots) == [2, 4, 6, 8]
    detector = cmg.CMGDetector(classifier.features, classifier.head, "softmax", 2)
    images = torch.rand(3, 1, 8, 8)
    last = detector.score(images)
    first = cmg.at_snapshot(detector, kept.snapshots[2]).score(images)
    assert not torch.equal(first, last)
    assert torch.equal(cmg.at_snapshot(detector, kept.snapshots[8]).score(images), last)


def test_fine_tuning_learns_to_reject_pseudo_ood(tmp_path, classifier):
    torch.manual_seed(5)
    pseudo, _ = cmg.generate_images(cvae(), 200, 3)
    detector = cmg.CMGDetector(classifier.features, classifier.head, "softmax", 2)
    with torch.no_grad():
        start = detector.score(pseudo).mean()
    fine_tune(tmp_path, settings(epochs=10), classifier)
    with torch.no_grad():
        assert detector.score(pseudo).mean() > start + 1


def test_the_softmax_score_is_the_log_odds_of_rejection(classifier):
    detector = cmg.CMGDetector(classifier.features, classifier.head, "softmax", 2)
    images = torch.rand(4, 1, 8, 8)
    with torch.no_grad():
        reject = classifier(images).double().softmax(1)[:, 2]
        torch.testing.assert_close(detector.score(images), torch.log(reject / (1 - reject)))


def test_the_energy_score_ignores_the_reject_logit(classifier):
    detector = cmg.CMGDetector(classifier.features, classifier.head, "energy", 2)
    images = torch.rand(4, 1, 8, 8)
    with torch.no_grad():
        expected = -classifier(images).double()[:, :2].exp().sum(1).log()
        torch.testing.assert_close(detector.score(images), expected)


def content(classifier):
    tuned = {"settings": CLASSIFIER, "state": cpu_state(classifier)}
    return {"loss": "softmax", "classifier": tuned}


def test_detector_files_and_batch_independence(tmp_path, classifier):
    save_model(tmp_path / "detector.pt", content(classifier))
    detector = cmg.load(load_model(tmp_path / "detector.pt"), CPU)
    whole, predicted = run({"": detector}, image_set(), CPU)[""]
    parts, _ = run({"": detector}, image_set(), replace(CPU, scoring_batch=7))[""]
    assert whole.dtype == "float64"
    assert abs(whole - parts).max() < 1e-5
    assert (predicted == image_set().labels).mean() > 0.9


def test_scoring_passes_each_batch_through_the_extractor_once(classifier):
    detector = cmg.load(content(classifier), CPU)
    passes = []
    detector.features.extractor.register_forward_hook(lambda *_: passes.append(1))
    other = {name: value + 1 for name, value in cpu_state(detector.head).items()}
    pair = {"a": detector, "b": cmg.at_snapshot(detector, other)}
    found = run(pair, image_set(), replace(CPU, scoring_batch=10))
    assert len(passes) == 3
    assert (found["a"][0] != found["b"][0]).all()
