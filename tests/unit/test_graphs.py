"""Training steps as CUDA graphs: recorded and repeated on a CPU, and as they are on a GPU."""

import functools

import gpu
import pytest
import torch
import torch.nn.functional as F
from recorded import Recorded
from torch import nn
from typed import optimizer

from ood.methods import cmg
from ood.settings.training import BatchedEpochs
from ood.training import checkpoint, graphs, loop, optimizers
from ood.training.batches import Batches
from ood.training.device import Compute, state_digest
from ood.training.lars import LARS
from ood.training.loop import train
from ood.training.model_files import save_trained
from ood.training.run import Run

ON_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CPU, GRAPHS = Compute(torch.device("cpu")), Compute(torch.device("cpu"), graphs=True)
MODELS = gpu.PLAN["scores"]["models"]
# one of each kind
KINDS = [
    "classifier", "small_classifier", "cvae", "csi_encoder", "csi_labeled_encoder", "foreground",
    "background_mutation_rate_0_1_l2_0", "vmdls_encoder", "vmdls_autoencoder",
    "leave_out_member_group_0", "plain_member_group_0", "csi_joint_classifier", "oodgen_vae",
    "oodgen_classifier",
]  # fmt: skip


OPTIMIZERS = {
    "adam": {},
    "sgd": {"momentum": 0.9, "nesterov": False, "weight_decay": 0.0},
    "lars": {"trust": 0.1, "momentum": 0.9, "weight_decay": 0.0},
    "rmsprop": {"alpha": 0.9, "eps": 1e-7},
    "adadelta": {"rho": 0.9, "weight_decay": 0.0},
}


@pytest.fixture
def recorded(monkeypatch):
    """Graphs as a CPU can have them."""
    monkeypatch.setattr(loop, "CUDA", Recorded)
    monkeypatch.setattr(Recorded, "captures", 0)
    for name in ("rmsprop", "adadelta"):
        # as on a GPU
        joined = functools.partial(optimizers.OPTIMIZERS[name], foreach=True)
        monkeypatch.setitem(optimizers.OPTIMIZERS, name, joined)


@pytest.fixture(scope="module")
def images():
    first = next(iter(MODELS.values()))["settings"]
    return gpu.pictures(240, first["shape"], first["n_classes"])


@pytest.fixture
def trained(recorded, monkeypatch, tmp_path, images):
    """A digest of a model's weights after three epochs, and the captures it took."""
    bench = gpu.Bench("cpu", 600, tmp_path)

    def fit(name, graphed):
        monkeypatch.setattr(graphs, "WARM_UP", 3 if graphed else 10**9)
        monkeypatch.setattr(Recorded, "captures", 0)
        one = MODELS[name]
        for other in one["models"].values():
            if not (tmp_path / other / "model.pt").exists():
                network, found = bench.fit_model(MODELS[other], images, CPU, tmp_path)
                save_trained(tmp_path / other, MODELS[other]["settings"], network, found)
        # batches of a quarter of the images, and a smaller one where the model takes any
        settings = dict(one["settings"])
        settings |= {"epochs": 3} if "epochs" in settings else {"steps": 9, "evaluate_every": 4}
        if "batch_size" in settings:
            settings["batch_size"] = min(settings["batch_size"], 20)
        network, _ = bench.fit_model(one | {"settings": settings}, images, GRAPHS, tmp_path)
        return state_digest(network.state_dict()), Recorded.captures

    return fit


@pytest.mark.parametrize("name", KINDS)
def test_a_graph_of_every_kind_of_training_computes_what_its_steps_compute(trained, name):
    (stepped, none), (repeated, captures) = trained(name, False), trained(name, True)
    assert none == 0
    assert captures >= 1
    assert repeated == stepped


def test_what_an_epoch_replaces_is_captured_anew(trained, monkeypatch):
    stepped, _ = trained("oodgen_classifier", False)
    monkeypatch.setattr(graphs.Step, "forget", lambda self: None)
    assert trained("oodgen_classifier", True)[0] != stepped


def test_fine_tuning_is_captured_too(recorded, monkeypatch, images, tmp_path):
    plain = gpu.PLAN["scores"]["methods"]["cmg_softmax"]["settings"]
    settings = gpu.settings_of("methods", plain)
    settings = settings.model_copy(update={"batch_size": 20, "epochs": 2})
    shape, classes = images.images.shape[1:], int(images.labels.max()) + 1
    found = []
    for warm_up in (10**9, 3):
        monkeypatch.setattr(graphs, "WARM_UP", warm_up)
        torch.manual_seed(0)
        cvae = cmg.CVAE(shape, classes, "conv", 4, 16, 0.1, 1).eval()
        features = nn.Sequential(nn.Flatten(), nn.Linear(images.images[0].size, 8))
        features.out_features = 8
        classifier = cmg.Classifier(features, None, classes + 1)
        cmg.fine_tune(settings, classifier, cvae, images, Run(1, GRAPHS, tmp_path / "x.pt", ""))
        found.append(state_digest(classifier.state_dict()))
    assert Recorded.captures == 1
    assert found[0] == found[1]


def fit(folder, compute, *, name="adam", per_image=None, epochs=4, stop_at=None, decay=0.9, **more):
    """Train a small net on images that stay, five steps and a smaller one an epoch."""
    torch.manual_seed(3)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))
    network.to(compute.device)
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (42, 1, 4, 4), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 3, (42,), generator=generator)

    def loss(batch, targets):
        logits = network(batch)
        if per_image:
            logits = logits + per_image(batch)
        return {"loss": F.cross_entropy(logits, targets)}

    class Stopping(Batches):
        taken = 0

        def chosen(self, number):
            Stopping.taken += 1
            if Stopping.taken == stop_at:
                raise InterruptedError
            return super().chosen(number)

    chosen = optimizer(name=name, learning_rate=0.25, decay=decay, **OPTIMIZERS[name])
    settings = BatchedEpochs(epochs=epochs, batch_size=8, optimizer=chosen)
    data = Stopping(pictures, labels, 8)
    run = Run(7, compute, folder / "checkpoint.pt", "a")
    trained = train(network, loss, data, settings, run, **more)
    return network, trained


# the two others read the rate as a number on a CPU
@pytest.mark.parametrize("name", ["adam", "sgd", "lars"])
def test_the_learning_rate_of_each_step_reaches_the_graph(recorded, tmp_path, name):
    graphed, _ = fit(tmp_path / "graphs", GRAPHS, name=name)
    assert Recorded.captures == 1
    plain, _ = fit(tmp_path / "plain", CPU, name=name)
    for one, other in zip(graphed.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_rate_that_stays_would_be_seen(tmp_path):
    plain, _ = fit(tmp_path / "plain", CPU)
    steady, _ = fit(tmp_path / "steady", CPU, decay=None)
    assert not torch.allclose(next(steady.parameters()), next(plain.parameters()), atol=1e-3)


def test_lars_takes_a_rate_that_a_graph_can_read(tmp_path):
    weights = [torch.randn(4, 3, generator=torch.Generator().manual_seed(1)) for _ in range(2)]
    found = []
    for rate in (0.3, torch.tensor(0.3)):
        values = [nn.Parameter(one.clone()) for one in weights]
        stepped = LARS(values, lr=rate, weight_decay=0.1)
        for _ in range(3):
            sum(one.square().sum() for one in values).backward()
            stepped.step()
        found.append(values)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("stop_at", [5, 9, 13])
def test_a_captured_training_resumes_within_an_epoch(recorded, tmp_path, monkeypatch, stop_at):
    whole, history = fit(tmp_path / "whole", GRAPHS)
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0)
    with pytest.raises(InterruptedError):
        fit(tmp_path / "cut", GRAPHS, stop_at=stop_at)
    resumed, resumed_history = fit(tmp_path / "cut", GRAPHS)
    assert state_digest(whole.state_dict()) == state_digest(resumed.state_dict())
    losses = [[row["loss"] for row in one.history] for one in (history, resumed_history)]
    assert losses[0] == losses[1]


def test_a_checkpoint_of_graphs_is_resumed_without_them(recorded, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0)
    with pytest.raises(InterruptedError):
        fit(tmp_path, GRAPHS, stop_at=9)
    resumed, _ = fit(tmp_path, CPU)
    whole, _ = fit(tmp_path / "whole", CPU)
    for one, other in zip(resumed.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_step_that_waits_is_not_captured_and_a_line_says_why(recorded, tmp_path, caplog):
    caplog.set_level("INFO")
    waiting, _ = fit(tmp_path / "a", GRAPHS, per_image=lambda batch: float(batch.mean()))
    assert Recorded.captures == 0
    assert [one for one in caplog.messages if "no CUDA graph of the training step: aten::" in one]
    plain, _ = fit(tmp_path / "b", CPU, per_image=lambda batch: float(batch.mean()))
    for one, other in zip(waiting.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other)


# On a GPU


@pytest.fixture
def captures(monkeypatch):
    """Counts the graphs."""
    counted, original = [], graphs.CUDA.captured

    def captured(*given):
        counted.append(1)
        return original(*given)

    monkeypatch.setattr(graphs.CUDA, "captured", captured)
    return counted


@ON_GPU
@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_a_cuda_graph_trains_as_its_steps_do(tmp_path, captures, name):
    found = [
        fit(tmp_path / str(graphed), Compute(torch.device("cuda"), graphs=graphed), name=name)[0]
        for graphed in (False, True)
    ]
    assert len(captures) == 1
    for one, other in zip(*(each.parameters() for each in found), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@ON_GPU
def test_a_cuda_graph_is_captured_anew_where_its_inputs_move(tmp_path, captures):
    """As a pool of generated images, another tensor in each epoch."""
    moved = {}

    def begin(epoch):
        generator = torch.Generator().manual_seed(epoch)
        moved["pool"] = torch.rand(8, 3, generator=generator).cuda()

    def pool(batch):
        return moved["pool"][: len(batch)]

    found = [
        fit(
            tmp_path / str(graphed),
            Compute(torch.device("cuda"), graphs=graphed),
            per_image=pool,
            before_epoch=begin,
        )[0]
        for graphed in (False, True)
    ]
    assert len(captures) == 4
    for one, other in zip(*(each.parameters() for each in found), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@ON_GPU
def test_random_numbers_of_a_cuda_graph_are_those_of_its_steps(tmp_path, captures):
    def noise(batch):
        return torch.rand(len(batch), 3, device=batch.device)

    found = [
        fit(tmp_path / str(graphed), Compute(torch.device("cuda"), graphs=graphed), per_image=noise)
        for graphed in (False, True)
    ]
    assert len(captures) == 1
    (one, first), (other, second) = found
    assert first.history[-1]["loss"] == pytest.approx(second.history[-1]["loss"], rel=1e-4)
    torch.testing.assert_close(*(next(each.parameters()) for each in (one, other)))


@ON_GPU
@pytest.mark.parametrize(
    ("per_image", "reason"),
    [
        (lambda batch: float(batch.mean()), "waits for the device"),
        (lambda batch: torch.rand(3).to(batch.device), "waits for the device"),
        (lambda batch: torch.rand(()).item(), "draws random numbers on the CPU"),
    ],
)
def test_what_no_cuda_graph_can_hold_is_seen(tmp_path, captures, caplog, per_image, reason):
    caplog.set_level("INFO")
    fit(tmp_path, Compute(torch.device("cuda"), graphs=True), per_image=per_image)
    assert captures == []
    assert [one for one in caplog.messages if reason in one]
