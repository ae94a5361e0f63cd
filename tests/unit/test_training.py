"""The training loop: resume, divergence, augmentation, seeds, model files."""

import importlib
import itertools
import os
import threading
from collections import OrderedDict

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from typed import ADAM, complete, optimizer, typed

from ood.augmentations.crop_flip import crop_flip
from ood.augmentations.shift_flip import shift_flip
from ood.data.images import ImageSet
from ood.errors import InputError
from ood.settings.training import BatchedEpochs, Steps
from ood.training import checkpoint, loop
from ood.training.batches import Batches, hold_out
from ood.training.device import Compute, compute_for, state_digest
from ood.training.loop import train
from ood.training.model_files import load_model, load_weights, save_model
from ood.training.optimizers import build_optimizer, learning_rate
from ood.training.run import Inputs, Run, derive_seed
from ood.training.validation import Validation, add_terms, mean_terms

CPU = Compute(torch.device("cpu"))


def settings(epochs, batch_size, learning_rate):
    chosen = {"name": "adam", "learning_rate": learning_rate}
    return BatchedEpochs(epochs=epochs, batch_size=batch_size, optimizer=chosen)


class Stopped(Exception):
    """Stands in for a kill."""


@pytest.fixture(autouse=True)
def not_looked_at(monkeypatch):
    """Losses here count their calls, or change with them; `test_health` looks."""
    monkeypatch.setattr(loop, "look", lambda *_: {})


@pytest.fixture
def every_step(monkeypatch):
    """A checkpoint after each step."""
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0)


def run(folder, epochs=4, identity="a", stop_at=None, **more):
    """Train a small net with dropout and batch norm, five steps an epoch; perhaps stop at one."""
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)
    ).train()
    images = torch.randint(0, 256, (40, 1, 4, 4), dtype=torch.uint8, generator=seeded())
    labels = torch.randint(0, 3, (40,), generator=seeded())
    steps = []

    def loss(batch, targets):
        steps.append(len(batch))
        if len(steps) == stop_at:
            raise Stopped
        return {"loss": F.cross_entropy(network(batch), targets)}

    trained = train(
        network,
        loss,
        Batches(images, labels, 8, augment=crop_flip(1)),
        settings(epochs, 8, 0.01),
        Run(7, CPU, folder / "checkpoint.pt", identity),
        **more,
    )
    return network, trained, len(steps)


def seeded():
    return torch.Generator().manual_seed(0)


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first.values(), second.values(), strict=True))


def test_a_run_stopped_in_the_middle_of_an_epoch_ends_as_if_it_had_not(tmp_path, monkeypatch):
    whole, history, steps = run(tmp_path / "whole", snapshot_every=3)
    # a clock that goes on by a second each time it is read: once a step, once after an epoch, and
    # once at a checkpoint. The first is due after the second epoch
    clock = itertools.count()
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 12)
    with pytest.raises(Stopped):
        run(tmp_path / "cut", stop_at=12, snapshot_every=3)
    resumed, resumed_history, resumed_steps = run(tmp_path / "cut", snapshot_every=3)
    assert (steps, resumed_steps) == (20, 10)
    assert same(whole.state_dict(), resumed.state_dict())
    assert [row["loss"] for row in history.history] == [
        row["loss"] for row in resumed_history.history
    ]
    assert list(history.snapshots) == list(resumed_history.snapshots) == [3, 6, 9, 12, 15, 18, 20]
    for step, state in history.snapshots.items():
        assert same(state, resumed_history.snapshots[step])


@pytest.mark.parametrize("snapshot_every", [None, 3])
def test_checkpoints_by_time_resume_within_an_epoch(tmp_path, monkeypatch, snapshot_every):
    whole, history, _ = run(tmp_path / "whole", snapshot_every=snapshot_every)
    # a run shorter than their distance leaves none
    assert not (tmp_path / "whole" / "checkpoint.pt").exists()
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0)
    for stop_at in (7, 6, 4):
        with pytest.raises(Stopped):
            run(tmp_path / "cut", stop_at=stop_at, snapshot_every=snapshot_every)
    resumed, resumed_history, steps = run(tmp_path / "cut", snapshot_every=snapshot_every)
    assert steps == 20 - 6 - 5 - 3  # none is repeated
    assert same(whole.state_dict(), resumed.state_dict())
    assert [row["loss"] for row in history.history] == [
        row["loss"] for row in resumed_history.history
    ]
    assert list(history.snapshots) == list(resumed_history.snapshots)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_compiled_training_is_the_same_again_and_when_it_is_resumed(
    tmp_path, every_step, precision
):
    def fit(folder, stop_at=None, compiled=True):
        torch.manual_seed(3)
        network = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3),
            nn.Linear(16, 3),
        )  # fmt: skip
        images = torch.randint(0, 256, (36, 1, 4, 4), dtype=torch.uint8, generator=seeded())
        labels = torch.randint(0, 3, (36,), generator=seeded())
        taken = []

        def stopping(batch):
            taken.append(len(batch))
            if len(taken) == stop_at:
                raise Stopped
            return batch

        def loss(batch, targets):
            return {"loss": F.cross_entropy(network(batch).float(), targets)}

        data = Batches(images, labels, 8, augment=stopping)
        compute = Compute(torch.device("cpu"), precision, compile=compiled)
        run_ = Run(7, compute, tmp_path / folder / "checkpoint.pt", "")
        trained = train(network, loss, data, settings(3, 8, 0.01), run_)
        # the last batch of an epoch is smaller
        assert set(taken) == {8, 4}
        return network.state_dict(), [row["loss"] for row in trained.history]

    for folder in ("whole", "again", "cut", "eager"):
        (tmp_path / folder).mkdir()
    whole, losses = fit("whole")
    again, _ = fit("again")
    assert same(whole, again)
    torch._dynamo.reset()
    # at an epoch's last batch, whose shape is then the first that is compiled
    with pytest.raises(Stopped):
        fit("cut", stop_at=10)
    torch._dynamo.reset()
    resumed, _ = fit("cut")
    assert same(whole, resumed)
    _, plain = fit("eager", compiled=False)
    # dropout draws other numbers there
    assert losses[0] == pytest.approx(plain[0], rel=0.5)
    assert losses != plain


def test_what_looks_at_a_network_calls_the_loss_as_it_is(tmp_path, monkeypatch):
    compiled, looked = [], []
    monkeypatch.setattr(torch, "compile", lambda function, **_: compiled.append(function) or loss)
    monkeypatch.setattr(loop, "look", lambda network, one, *_: looked.append(one) or {})
    network = nn.Linear(1, 1)

    def loss(batch, targets):
        return {"loss": network(batch).mean()}

    compute = Compute(torch.device("cpu"), compile=True)
    data = Batches(torch.rand(4, 1), torch.arange(4), 2)
    train(network, loss, data, settings(1, 2, 0.1), Run(0, compute, tmp_path / "c.pt", ""))
    assert compiled == [loss]
    assert set(looked) == {loss}


def test_steps_take_the_place_of_epochs(tmp_path):
    seen = []
    network = nn.Linear(1, 1)

    def loss(batch, targets):
        seen.append(targets.tolist())
        return {"loss": network(batch).mean()}

    by_steps = Steps(
        steps=8,
        evaluate_every=3,
        batch_size=2,
        optimizer=optimizer(**ADAM | {"learning_rate": 0.1}),
    )
    run_ = Run(0, CPU, tmp_path / "checkpoint.pt", "")
    trained = train(network, loss, Batches(torch.rand(5, 1), torch.arange(5), 2), by_steps, run_)
    assert [row["step"] for row in trained.history] == [3, 6, 8]
    assert [row["epoch"] for row in trained.history] == pytest.approx([1.2, 2.4, 3.2])
    assert [len(batch) for batch in seen] == [2] * 8
    # within an evaluation interval no image comes again before all have come
    assert len({label for batch in seen[:2] for label in batch}) == 4


def test_the_learning_rate_decays_with_every_step(tmp_path):
    network = nn.Linear(1, 1, bias=False)

    def loss(batch, targets):
        return {"loss": network.weight.sum(), "weight": network.weight.detach().sum()}

    start = network.weight.item()
    falling = optimizer(name="adam", learning_rate=0.1, decay=0.5)
    chosen = BatchedEpochs(epochs=2, batch_size=2, optimizer=falling)
    run_ = Run(0, CPU, tmp_path / "checkpoint.pt", "")
    data = Batches(torch.rand(4, 1), torch.zeros(4, dtype=torch.int64), 2)
    trained = train(network, loss, data, chosen, run_)
    assert [row["learning_rate"] for row in trained.history] == [0.1 * 0.5, 0.1 * 0.5**3]
    # Adam's steps are as long as the learning rate where the gradient is constant
    assert start - network.weight.item() == pytest.approx(0.1 * (1 + 0.5 + 0.25 + 0.125), abs=1e-6)


def test_the_learning_rate_drops_at_shares_of_the_steps():
    plain = {"name": "adam", "learning_rate": 0.1, "drops": {"at": [0.5, 0.75], "factor": 0.1}}
    rates = [learning_rate(optimizer(**plain), done, 100) for done in (0, 49, 50, 74, 75, 99)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    both = optimizer(**plain, decay=0.9)
    assert learning_rate(both, 75, 100) == pytest.approx(0.001 * 0.9**75)


def test_the_learning_rate_is_a_triangle():
    plain = {"name": "adam", "learning_rate": 2.0, "linear": 0.1}
    warmed = optimizer(**plain, warmup={"start": 0.2, "share": 0.25})
    rates = [learning_rate(warmed, done, 100) for done in (0, 5, 25, 50, 100)]
    assert rates == pytest.approx([0.4, 0.72, 2.0, 2 * (1 - 0.9 / 3), 0.2])
    assert learning_rate(optimizer(**plain), 50, 100) == pytest.approx(2 * 0.55)


def test_other_inputs_come_beside_each_batch_each_before_any_twice(tmp_path):
    network, seen = nn.Linear(1, 1), []

    def loss(batch, targets, others):
        assert len(others) == len(batch)
        seen.extend(others.flatten().tolist())
        return {"loss": network(batch).mean()}

    inputs, others = torch.rand(8, 1), torch.arange(3.0)[:, None]
    run_ = Run(0, CPU, tmp_path / "checkpoint.pt", "")
    labels = torch.zeros(8, dtype=torch.int64)
    data = Batches(inputs, labels, 4, beside=others)
    train(network, loss, data, settings(2, 4, 0.1), run_)
    assert len(seen) == 16
    for start in (0, 3, 8, 11):
        assert sorted(seen[start : start + 3]) == [0, 1, 2]


def test_no_more_come_beside_a_batch_than_it_has(tmp_path):
    sizes = []

    def loss(batch, targets, others):
        sizes.append((len(batch), len(others)))
        return {"loss": network(batch).mean()}

    network = nn.Linear(1, 1)
    data = Batches(torch.rand(7, 1), torch.zeros(7, dtype=int), 4, beside=torch.rand(9, 1))
    train(network, loss, data, settings(1, 4, 0.1), Run(0, CPU, tmp_path / "checkpoint.pt", ""))
    assert sizes == [(4, 4), (3, 3)]


@pytest.mark.parametrize("stop_at", [None, 12])
def test_the_best_epoch_is_kept_beside_the_last(tmp_path, stop_at, every_step):
    network, found = nn.Linear(1, 1, bias=False), []

    def loss(batch, targets):
        found.append(network.training)
        if len(found) == stop_at:
            raise Stopped
        return {"loss": network(batch).mean()}

    def measure():
        assert not network.training
        assert not torch.is_grad_enabled()
        return {"weight": network.weight.item()}

    def best(history):
        # the second epoch, once it is there
        return min(2, len(history))

    def trained_again():
        return train(
            network,
            loss,
            Batches(torch.ones(8, 1), torch.zeros(8, dtype=torch.int64), 2),
            settings(4, 2, 0.1),
            Run(0, CPU, tmp_path / "checkpoint.pt", ""),
            validation=Validation(measure=measure, best=best),
        )

    if stop_at:
        with pytest.raises(Stopped):
            trained_again()
    trained = trained_again()
    assert all(found)
    weights = [row["weight"] for row in trained.history]
    assert len(weights) == 4
    assert (trained.kept_epoch, trained.best_epoch) == (4, 2)
    assert network.weight.item() == pytest.approx(weights[3])
    assert trained.best_state["weight"].item() == pytest.approx(weights[1])
    assert weights[1] != weights[3]


def test_a_checkpoint_of_another_run_is_not_resumed(tmp_path, caplog, every_step):
    run(tmp_path, epochs=2, identity="a")
    _, _, steps = run(tmp_path, epochs=2, identity="b")
    assert steps == 10


def test_a_damaged_checkpoint_is_not_resumed(tmp_path, caplog, every_step):
    run(tmp_path, epochs=2)
    path = tmp_path / "checkpoint.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    _, _, steps = run(tmp_path, epochs=2)
    assert steps == 10
    assert "is not what was written" in caplog.text


@pytest.mark.parametrize("size", [0, 50])
def test_a_file_of_the_users_that_is_cut_off_is_an_error(tmp_path, size):
    torch.save({"a": torch.zeros(3)}, tmp_path / "mine.pt")
    (tmp_path / "mine.pt").write_bytes((tmp_path / "mine.pt").read_bytes()[:size])
    with pytest.raises(InputError, match=r"mine\.pt: damaged model file \(.+\); delete it"):
        load_model(tmp_path / "mine.pt")


def test_a_text_file_for_weights_is_an_error(tmp_path):
    (tmp_path / "mine.pt").write_text("weights, they said\n")
    with pytest.raises(InputError, match=r"mine\.pt: ") as raised:
        load_model(tmp_path / "mine.pt")
    assert "weights_only" not in str(raised.value)


def test_a_loss_that_is_not_finite_stops_with_advice(tmp_path):
    network = nn.Linear(2, 1)

    def loss(batch, targets):
        return {"loss": network(batch).mean() * float("nan")}

    message = r"diverged.*step 2 of 4.*lower learning_rate \(now 0.5\)"
    with pytest.raises(InputError, match=message):
        train(
            network,
            loss,
            Batches(torch.rand(4, 2), torch.zeros(4, dtype=torch.int64), 2),
            settings(2, 2, 0.5),
            Run(0, CPU, tmp_path / "checkpoint.pt", ""),
        )
    assert not (tmp_path / "checkpoint.pt").exists()


def test_every_image_is_seen_once_an_epoch_and_a_lone_last_one_is_left_out(tmp_path):
    seen = []
    network = nn.Linear(1, 1)

    def loss(batch, targets):
        seen.append(targets.tolist())
        return {"loss": network(batch).mean()}

    train(
        network,
        loss,
        Batches(torch.rand(9, 1), torch.arange(9), 4),
        settings(1, 4, 0.1),
        Run(0, CPU, tmp_path / "checkpoint.pt", ""),
    )
    assert [len(batch) for batch in seen] == [4, 4]
    assert len({label for batch in seen for label in batch}) == 8


def test_history_means_weigh_images_not_batches(tmp_path):
    network = nn.Linear(1, 1)

    def loss(batch, targets):
        return {"loss": network(batch).mean() * 0, "label": targets.double().mean()}

    trained = train(
        network,
        loss,
        Batches(torch.rand(6, 1), torch.arange(6), 4),
        settings(1, 4, 0.1),
        Run(0, CPU, tmp_path / "checkpoint.pt", ""),
    )
    assert trained.history[0]["label"] == pytest.approx(2.5)


def validated(folder, validation_losses, patience, epochs=6, stop_before=None):
    """Train one weight whose validation loss follows a list; it counts the epochs."""
    network = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        network.weight.zero_()
    epoch_now = []

    def before(epoch):
        if epoch == stop_before:
            raise Stopped
        epoch_now.append(epoch)
        with torch.no_grad():
            network.weight.fill_(epoch)

    def loss(batch, targets):
        given = 0.0 if network.training else validation_losses[epoch_now[-1] - 1]
        return {"loss": network(batch).mean() * 0 + given}

    trained = train(
        network,
        loss,
        Batches(torch.rand(4, 1), torch.zeros(4, dtype=torch.int64), 2),
        settings(epochs, 2, 0.1),
        Run(0, CPU, folder / "checkpoint.pt", ""),
        validation=Validation(
            (torch.rand(3, 1), torch.zeros(3, dtype=torch.int64)), patience=patience
        ),
        before_epoch=before,
    )
    return network.weight.item(), trained


def test_patience_stops_and_goes_back_to_the_best_epoch(tmp_path):
    losses = [3.0, 1.0, 2.0, 1.0, 0.5, 0.1]
    weight, trained = validated(tmp_path, losses, patience=2)
    assert (weight, trained.kept_epoch, len(trained.history)) == (2, 2, 4)
    assert [row["validation_loss"] for row in trained.history] == losses[:4]


def test_without_patience_the_last_epoch_is_kept(tmp_path):
    weight, trained = validated(tmp_path, [1.0, 2, 3, 4, 5, 6], patience=None)
    assert (weight, trained.kept_epoch, len(trained.history)) == (6, 6, 6)


def test_a_resumed_run_remembers_its_best_epoch(tmp_path, every_step):
    losses = [3.0, 1.0, 2.0, 2.0, 2.0, 2.0]
    with pytest.raises(Stopped):
        validated(tmp_path, losses, patience=3, stop_before=4)
    weight, trained = validated(tmp_path, losses, patience=3)
    assert (weight, trained.kept_epoch, len(trained.history)) == (2, 2, 5)
    # and once more, after the job was killed between its last checkpoint and its outputs
    weight, trained = validated(tmp_path, losses, patience=3, stop_before=6)
    assert (weight, trained.kept_epoch, len(trained.history)) == (2, 2, 5)


def test_validation_is_in_eval_mode_and_leaves_training_alone(tmp_path):
    modes = []

    def whole(folder, **more):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 1))

        def loss(batch, targets):
            modes.append((network.training, torch.is_grad_enabled()))
            return {"loss": network(batch).square().mean()}

        inputs, labels = torch.rand(6, 2, generator=seeded()), torch.zeros(6, dtype=torch.int64)
        run = Run(0, CPU, tmp_path / f"{folder}.pt", "")
        train(network, loss, Batches(inputs, labels, 3), settings(3, 3, 0.1), run, **more)
        return network.state_dict()

    without = whole("a")
    assert set(modes) == {(True, True)}
    held_out = (torch.rand(5, 2), torch.zeros(5, dtype=torch.int64))
    assert same(without, whole("b", validation=Validation(held_out)))
    assert set(modes) == {(True, True), (False, False)}


def test_held_out_images_are_a_share_and_never_trained_on():
    kept, held = hold_out(50, 0.1, 3)
    assert (len(kept), len(held)) == (45, 5)
    assert sorted([*kept, *held]) == list(range(50))
    assert list(held) == list(hold_out(50, 0.1, 3)[1])
    assert list(held) != list(hold_out(50, 0.1, 4)[1])


@pytest.mark.parametrize(
    ("chosen", "steps"),
    [
        ({"name": "adam", "learning_rate": 0.1}, [0.9, 0.8]),
        # v = (1 - alpha) g^2, then x -= lr g / sqrt(v)
        (
            {"name": "rmsprop", "learning_rate": 0.01, "alpha": 0.75, "eps": 1e-12},
            [1 - 0.02, 1 - 0.02 - 0.01 / (0.25 * 0.75 + 0.25) ** 0.5],
        ),
        # the first step is lr sqrt(eps) / sqrt((1 - rho) g^2 + eps) g
        # v = mu v + g, x -= lr v; Nesterov looks ahead: x -= lr (g + mu v)
        (
            {"name": "sgd", "learning_rate": 0.1, "momentum": 0.5, "nesterov": False}
            | {"weight_decay": 0},
            [0.9, 0.75],
        ),
        (
            {"name": "sgd", "learning_rate": 0.1, "momentum": 0.5, "nesterov": True}
            | {"weight_decay": 0},
            [0.85, 0.675],
        ),
        (
            {"name": "adadelta", "learning_rate": 0.5, "rho": 0.5, "weight_decay": 0},
            [1 - 0.5 * (1e-6 / (0.5 + 1e-6)) ** 0.5],
        ),
    ],
)
def test_optimisers_take_the_steps_of_their_papers(chosen, steps):
    parameter = nn.Parameter(torch.ones(1, dtype=torch.float64))
    built = build_optimizer([parameter], optimizer(**chosen))
    for expected in steps:
        built.zero_grad()
        parameter.sum().backward()
        built.step()
        assert parameter.item() == pytest.approx(expected, abs=1e-6)


def test_crop_and_flip_moves_whole_images():
    torch.manual_seed(0)
    images = torch.rand(64, 3, 6, 6)
    padded = F.pad(images, [2] * 4)
    flipped = found = 0
    for original, image in zip(padded, crop_flip(2)(images), strict=True):
        windows = original.unfold(1, 6, 1).unfold(2, 6, 1).permute(1, 2, 0, 3, 4)
        straight = (windows == image).all(dim=(2, 3, 4)).any()
        mirrored = (windows == image.flip(2)).all(dim=(2, 3, 4)).any()
        found += bool(straight | mirrored)
        flipped += bool(mirrored)
    assert found == 64
    assert 20 < flipped < 44


def test_a_shift_mirrors_the_border():
    torch.manual_seed(0)
    images = torch.rand(64, 3, 6, 6)
    padded = F.pad(images, [2] * 4, mode="reflect")
    for original, image in zip(padded, shift_flip()(images), strict=True):
        windows = original.unfold(1, 6, 1).unfold(2, 6, 1).permute(1, 2, 0, 3, 4)
        assert any((windows == one).all(dim=(2, 3, 4)).any() for one in (image, image.flip(2)))


def test_seeds_differ_by_name_and_number_and_never_change():
    seeds = {derive_seed(a, b) for a in range(3) for b in ("classifier", "cvae")}
    assert len(seeds) == 6
    assert derive_seed(0, "classifier") == 5370965152689910204
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_model_file_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("executed",))

    torch.save(Evil(), tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"model\.pt: .*could execute code") as raised:
        load_model(tmp_path / "model.pt")
    # no advice on loading it anyway
    assert "weights_only" not in str(raised.value)


def test_the_state_digest_sees_every_value():
    state = {"a": torch.zeros(3), "b": torch.ones(2)}
    changed = {"a": torch.zeros(3), "b": torch.tensor([1.0, 1.0000001])}
    assert state_digest(state) != state_digest(changed)
    assert state_digest(state) == state_digest(dict(reversed(state.items())))


def test_asking_for_a_gpu_where_there_is_none_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with (
        pytest.raises(InputError, match="'device' is 'cuda' but PyTorch sees no GPU"),
        compute_for("cuda", tmp_path),
    ):
        pass
    with compute_for("auto", tmp_path) as chosen:
        assert chosen.device.type == "cpu"


def test_jobs_take_different_gpus_and_wait_for_a_free_one(tmp_path, monkeypatch):
    """Two devices, two locks; a device named by the scheduler is not locked."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with (
        compute_for("auto", tmp_path) as first,
        compute_for("auto", tmp_path) as second,
    ):
        assert {first.device.index, second.device.index} == {0, 1}
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
        with compute_for("auto", tmp_path) as assigned:
            assert assigned.device == torch.device("cuda")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with compute_for("auto", tmp_path) as freed:
        assert freed.device.index == 0


@pytest.mark.parametrize("wanted", [True, False])
def test_a_gpu_computes_the_same_twice_where_that_is_asked_for(wanted, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    try:
        with compute_for("cuda", tmp_path, wanted):
            assert torch.are_deterministic_algorithms_enabled() == wanted
            assert torch.backends.cudnn.benchmark != wanted
            assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8" * wanted
    finally:
        torch.use_deterministic_algorithms(False)


def test_more_jobs_than_gpus_wait_their_turn(tmp_path, monkeypatch):
    """What a `gpu` resource above the number of devices comes to."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    taken = threading.Event()

    def second():
        with compute_for("cuda", tmp_path):
            taken.set()

    waiting = threading.Thread(target=second)
    with compute_for("cuda", tmp_path):
        waiting.start()
        assert not taken.wait(1)
    assert taken.wait(5)
    waiting.join()


NETS = {
    "classifier": (
        "ood.detection.classifier",
        {"hidden": None, "head_dropout": 0, "extra_outputs": 0},
    ),
    "leave_out_member": (
        "ood.methods.leave_out",
        {
            "groups": 2,
            "group": 0,
            "partition_seed": None,
            "margin": 0.4,
            "margin_weight": 0.2,
            "accuracy_tolerance": 0.02,
            "validation_images": 10,
        },
    ),
    "vmdls_encoder": (
        "ood.methods.vmdls",
        {
            "latent": 4,
            "latent_distance": "euclidean",
            "kl_weight": 0.1,
            "generation_epoch": 1,
            "margin_max": 32,
            "margin_jump": 1.0,
            "margins_epoch": 1,
            "classes_per_batch": 4,
            "images_per_class": 2,
        },
    ),
    "vmdls_autoencoder": ("ood.methods.vmdls", {"latent": 4}),
    "cmg_cvae": (
        "ood.methods.cmg",
        {"architecture": "resnet", "latent": 4, "hidden": 8, "kl_weight": 1.0},
    ),
}


@pytest.mark.parametrize("kind", NETS)
def test_nets_are_trained_in_training_mode(tmp_path, kind):
    """Batch norm sees the batches, and the net comes back in eval mode."""
    module, more = NETS[kind]
    usual = {"architecture": "resnet18", "shape": [8, 8, 3], "n_classes": 4, "width": 0.0625}
    if kind != "cmg_cvae":
        usual["normalization"] = {"mean": [0.5] * 3, "sd": [0.5] * 3}
    chosen = typed(complete(kind, **usual | more))
    images = torch.randint(0, 256, (40, 8, 8, 3), dtype=torch.uint8, generator=seeded()).numpy()
    known = ImageSet(images, np.arange(40) % 4)
    fit = importlib.import_module(module).MODELS[kind]
    run = Run(0, CPU, tmp_path / "checkpoint.pt", "")
    network, _ = fit(chosen, Inputs(known, validation=known), run)
    counts = [one for name, one in network.state_dict().items() if name.endswith("tracked")]
    assert counts
    assert all(count > 0 for count in counts)
    assert not any(part.training for part in network.modules())


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("adam", {"betas": [0.9, 0.95], "eps": 1e-6}),
        ("sgd", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ],
)
def test_a_fused_optimiser_takes_the_steps_of_a_plain_one(name, more):
    plain = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[name]
    start, found = torch.tensor([3.0, -4.0, 0.0]), []
    for fused in (True, False):
        weights = nn.Parameter(start.clone())
        if fused:
            chosen = optimizer(name=name, learning_rate=0.1, **more)
            built = build_optimizer([weights], chosen)
            assert built.defaults["fused"]
        else:
            built = plain([weights], lr=0.1, fused=False, **more)
        for _ in range(5):
            built.zero_grad()
            (weights.square() * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
            built.step()
        found.append(weights.detach())
    torch.testing.assert_close(*found)
    assert not torch.equal(found[0], start)


@pytest.mark.parametrize("wrapped", [None, "state", "state_dict"])
def test_released_weights_take_the_place_of_training(tmp_path, wrapped):
    torch.manual_seed(0)
    released, network = (
        nn.Sequential(OrderedDict(first=nn.Linear(3, 2), norm=nn.BatchNorm1d(2))) for _ in range(2)
    )
    state = {
        f"module.{name.replace('first', 'fc')}": value
        for name, value in released.state_dict().items()
    }
    save_model(tmp_path / "w.pt", {wrapped: state} if wrapped else state)
    names = {r"^module\.": "", "^fc": "first"}
    trained = load_weights(network, tmp_path / "w.pt", names)
    assert same(network.state_dict(), released.state_dict())
    assert same(trained.best_state, released.state_dict())
    assert [row["loaded"] for row in trained.history] == [3 * 2 + 2 + 4 * 2 + 1]


def test_released_weights_that_do_not_fit_are_listed(tmp_path):
    state = {"weight": torch.zeros(2, 4), "extra": torch.zeros(1)}
    save_model(tmp_path / "w.pt", state)
    message = (
        r"w\.pt: 3 names do not fit, the first of them:\n  bias: not in the file\n"
        r"  extra: not in the network\n  weight: \[2, 4\] in the file, \[2, 3\] in the network"
    )
    with pytest.raises(InputError, match=message):
        load_weights(nn.Linear(3, 2), tmp_path / "w.pt", {})


def test_a_gpu_looks_at_as_many_images_at_once_as_it_scores():
    assert Compute(torch.device("cpu"), scoring_batch=500).chunk(100) == 100
    assert Compute(torch.device("cuda"), scoring_batch=500).chunk(100) == 500


def test_sums_of_an_epoch_keep_the_digits_of_float64():
    sums = {}
    values = torch.rand(1000, generator=seeded())
    for number, value in enumerate(values):
        add_terms(sums, {"loss": value, "one": torch.ones((), dtype=torch.bfloat16)}, number)
    exact = sum(number * value for number, value in enumerate(values.double().tolist()))
    assert mean_terms(sums, 7, "validation_") == {
        "validation_loss": exact / 7,
        "validation_one": 499_500 / 7,
    }
