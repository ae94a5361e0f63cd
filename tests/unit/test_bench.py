"""The benchmark for a GPU runs, here on a CPU, and knows today's models."""

import json
from pathlib import Path

import gpu
import peers
import torch

from ood.config.kinds import settings_of
from ood.errors import InputError


def test_scores_and_speed_are_measured(tmp_path, capsys):
    out = tmp_path / "found.json"
    arguments = ["--device", "cpu", "--minutes", "2", "--seconds", "0.1", "--out", str(out)]
    arguments += ["--methods", "odin", "cmg_energy", "oodgen", "--deterministic"]
    gpu.main([*arguments, "--models", "mnist/single_classifier"])
    found = json.loads(out.read_text())
    assert {name: row["passes"] for name, row in found["scores"].items()} == {
        "odin": True,
        "cmg_energy": True,
        "oodgen": True,
    }
    row = found["speed"]["mnist/single_classifier"]
    for precision in ("float32", "bfloat16"):
        rate = row[precision]["steps_per_second"]
        # 100 epochs of 60,000 images in batches of 100
        assert abs(row[precision]["hours"] - 60_000 / rate / 3600) < 1e-9
        assert row[precision]["equal"]
    assert row["minimal_loop"] > 0
    assert row["waits_per_step"] == 0
    assert set(found["hours"]) == {"mnist/msp_single", "mnist/odin_single"}
    assert 100 < row["operators_per_step"] < 10_000
    # indices, learning rate
    assert 0 < row["operators_with_graph"] < 10
    assert "| mnist/single_classifier |" in capsys.readouterr().out


def test_operators_alone_and_a_page_of_what_was_found(tmp_path):
    arguments = ["--device", "cpu", "--methods", "--seconds", "0", "--scale", "quick"]
    files = []
    for name in ("single_classifier", "oodgen_vae"):
        files.append(str(tmp_path / f"{name}.json"))
        found = gpu.main([*arguments, "--out", files[-1], "--models", f"mnist/{name}"])
        assert set(found["speed"]) == {f"mnist/{name}"}
        assert not found["hours"]
    page = tmp_path / "page.md"
    gpu.main(["--page", str(page), "--read", *files])
    text = page.read_text()
    assert text.count("`quick` scale") == 2
    for name, row in found["speed"].items():
        cells = [name, row["operators_per_step"], row["operators_with_graph"]]
        assert f"| {' | '.join(map(str, cells))} |" in text


def test_the_page_is_that_of_the_files_that_are_kept():
    root = Path(__file__).parents[2]
    files = sorted((root / "bench" / "gpu").glob("*.json"))
    assert gpu.page(files) == (root / "docs" / "gpu.md").read_text()


def test_parts_without_names_are_left_out_and_a_model_that_fails_is_named(tmp_path, monkeypatch):
    found = gpu.main(["--device", "cpu", "--methods", "--models"])
    assert found["scores"] == found["speed"] == {}

    def fails(*_):
        raise InputError("all images of a class have the same latent\nmore")

    monkeypatch.setattr(gpu.Bench, "model", fails)
    out = tmp_path / "found.json"
    arguments = ["--device", "cpu", "--methods", "--out", str(out)]
    found = gpu.main([*arguments, "--models", "mnist/single_classifier"])
    named = "mnist/single_classifier (all images of a class have the same latent)"
    assert found["left_out"] == json.loads(out.read_text())["left_out"] == [named]


def test_a_checkpoint_is_of_one_fit(tmp_path):
    bench = gpu.Bench("cpu", 60, tmp_path)
    assert bench.run(gpu.CPU).checkpoint != bench.run(gpu.CPU).checkpoint


def test_a_score_that_differs_does_not_pass(monkeypatch, tmp_path):
    original = gpu.run_detectors

    def otherwise(detectors, images, compute):
        scores, predicted = original(detectors, images, compute)[""]
        if compute is not gpu.CPU:
            scores = scores + 0.01 * scores.std()
        return {"": (scores, predicted)}

    monkeypatch.setattr(gpu, "run_detectors", otherwise)
    found = gpu.Bench("cpu", 60, tmp_path).scores(["msp_single"])
    assert not found["msp_single"]["passes"]


def test_a_minimal_loop_knows_every_optimiser_of_the_plan():
    models = [one for plan in gpu.PLAN["speed"].values() for one in plan["models"].values()]
    images, labels = torch.zeros(4, 1, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64)
    seen = set()
    for one in models:
        network = torch.nn.Linear(1, 1)
        optimizer = settings_of("models", one["settings"]).optimizer
        device = torch.device("cpu")
        taken = peers.minimal_steps(
            network, lambda net, x, y: net(x).mean(), images, labels, optimizer, device, 2
        )
        next(taken)
        seen.add(optimizer.name)
    assert seen == {"adam", "sgd", "rmsprop", "adadelta", "lars"}
