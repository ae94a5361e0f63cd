"""The training loop: resume, divergence, augmentation, seeds, model files."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ood import training
from ood.errors import InputError
from ood.training import Machine, Run, crop_flip, derive_seed

CPU = Machine(torch.device("cpu"))


def settings(epochs, batch_size, learning_rate):
    optimizer = {"name": "adam", "learning_rate": learning_rate}
    return {"epochs": epochs, "batch_size": batch_size, "optimizer": optimizer}


class Stopped(Exception):
    """Stands in for a kill."""


def run(folder, epochs=4, identity="a", stop_in_epoch=None, **more):
    """Train a small net with dropout and batch norm; optionally stop in the middle of an epoch."""
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)
    ).train()
    images = torch.randint(0, 256, (40, 1, 4, 4), dtype=torch.uint8, generator=seeded())
    labels = torch.randint(0, 3, (40,), generator=seeded())
    steps = []

    def loss(batch, targets):
        steps.append(len(batch))
        if stop_in_epoch and len(steps) == (stop_in_epoch - 1) * 5 + 2:
            raise Stopped
        return {"loss": F.cross_entropy(network(batch), targets)}

    trained = training.train(
        network,
        loss,
        images,
        labels,
        settings(epochs, 8, 0.01),
        Run(7, CPU, folder / "checkpoint.pt", identity),
        augment=crop_flip(1),
        **more,
    )
    return network, trained, len(steps)


def seeded():
    return torch.Generator().manual_seed(0)


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first.values(), second.values(), strict=True))


def test_a_run_stopped_in_the_middle_of_an_epoch_ends_as_if_it_had_not(tmp_path):
    whole, history, steps = run(tmp_path / "whole", snapshot_every=3)
    with pytest.raises(Stopped):
        run(tmp_path / "cut", stop_in_epoch=3, snapshot_every=3)
    resumed, resumed_history, resumed_steps = run(tmp_path / "cut", snapshot_every=3)
    assert (steps, resumed_steps) == (20, 10)
    assert same(whole.state_dict(), resumed.state_dict())
    assert [row["loss"] for row in history.history] == [
        row["loss"] for row in resumed_history.history
    ]
    assert list(history.snapshots) == list(resumed_history.snapshots) == [3, 6, 9, 12, 15, 18, 20]
    for step, state in history.snapshots.items():
        assert same(state, resumed_history.snapshots[step])


def test_a_checkpoint_of_another_run_is_not_resumed(tmp_path, caplog):
    run(tmp_path, epochs=2, identity="a")
    _, _, steps = run(tmp_path, epochs=2, identity="b")
    assert steps == 10


def test_a_damaged_checkpoint_is_not_resumed(tmp_path, caplog):
    run(tmp_path, epochs=2)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:50])
    _, _, steps = run(tmp_path, epochs=2)
    assert steps == 10
    assert "damaged model file" in caplog.text


def test_a_loss_that_is_not_finite_stops_with_advice(tmp_path):
    network = nn.Linear(2, 1)

    def loss(batch, targets):
        return {"loss": network(batch).mean() * float("nan")}

    message = r"diverged.*epoch 1 of 2.*lower learning_rate \(now 0.5\)"
    with pytest.raises(InputError, match=message):
        training.train(
            network,
            loss,
            torch.rand(4, 2),
            torch.zeros(4, dtype=torch.int64),
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

    training.train(
        network,
        loss,
        torch.rand(9, 1),
        torch.arange(9),
        settings(1, 4, 0.1),
        Run(0, CPU, tmp_path / "checkpoint.pt", ""),
    )
    assert [len(batch) for batch in seen] == [4, 4]
    assert len({label for batch in seen for label in batch}) == 8


def test_history_means_weigh_images_not_batches(tmp_path):
    network = nn.Linear(1, 1)

    def loss(batch, targets):
        return {"loss": network(batch).mean() * 0, "label": targets.double().mean()}

    trained = training.train(
        network,
        loss,
        torch.rand(6, 1),
        torch.arange(6),
        settings(1, 4, 0.1),
        Run(0, CPU, tmp_path / "checkpoint.pt", ""),
    )
    assert trained.history[0]["label"] == pytest.approx(2.5)


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
    with pytest.raises(InputError, match=r"model\.pt: damaged model file"):
        training.load_model(tmp_path / "model.pt")


def test_the_state_digest_sees_every_value():
    state = {"a": torch.zeros(3), "b": torch.ones(2)}
    changed = {"a": torch.zeros(3), "b": torch.tensor([1.0, 1.0000001])}
    assert training.state_digest(state) != training.state_digest(changed)
    assert training.state_digest(state) == training.state_digest(dict(reversed(state.items())))


def test_asking_for_a_gpu_where_there_is_none_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with (
        pytest.raises(InputError, match="'device' is 'cuda' but PyTorch sees no GPU"),
        training.machine("cuda", "float32", tmp_path),
    ):
        pass
    with training.machine("auto", "float32", tmp_path) as chosen:
        assert chosen.device.type == "cpu"


def test_jobs_take_different_gpus_and_wait_for_a_free_one(tmp_path, monkeypatch):
    """Two devices, two locks; a device named by the scheduler is not locked."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with (
        training.machine("auto", "float32", tmp_path) as first,
        training.machine("auto", "float32", tmp_path) as second,
    ):
        assert {first.device.index, second.device.index} == {0, 1}
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
        with training.machine("auto", "float32", tmp_path) as assigned:
            assert assigned.device == torch.device("cuda")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with training.machine("auto", "float32", tmp_path) as freed:
        assert freed.device.index == 0
