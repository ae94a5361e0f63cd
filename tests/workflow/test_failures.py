"""Bad input, killed jobs, dead downloads: what a user sees, and what is kept."""

import gzip
import hashlib
import os
import re
import signal
import struct
import subprocess
import time

import numpy as np
import pandas as pd
import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "sede=1"], "--config: unknown key 'sede'; did you mean 'seeds'?"),
        (
            ["--config", "methods=[cmg_enrgy]"],
            "--config: methods: unknown method 'cmg_enrgy'; did you mean 'cmg_energy'?",
        ),
        (["--config", "benchmarks=[tny]"], "unknown benchmark 'tny'; did you mean 'tiny'?"),
    ],
)
def test_mistakes_are_reported_before_any_job(fresh, arguments, message):
    text = fresh.run(*arguments, check=False)
    assert message in text
    assert "Traceback" not in text
    assert not fresh.path("results").exists()


def test_results_on_a_link_to_nowhere_are_an_error_before_any_job(fresh):
    fresh.path("results").symlink_to(fresh.path("elsewhere/results"))
    text = fresh.run(check=False)
    assert "results is a link to" in text
    assert "make that folder" in text
    assert "Traceback" not in text


def test_ood_classes_without_images_are_an_error_before_any_job(fresh):
    def change(benchmark):
        benchmark["ood"]["near"][0]["classes"] = [12]

    fresh.edit("benchmarks/tiny.yaml", change)
    text = fresh.run(check=False)
    assert "benchmarks/tiny.yaml: ood.near[0].classes: digits has labels 0 to 9" in text
    assert "Traceback" not in text


def test_a_diverging_training_says_so_and_keeps_what_was_computed(fresh):
    def change(recipe):
        recipe["models"]["classifier"]["optimizer"]["learning_rate"] = 1e30

    fresh.edit_recipe(change)
    text = fresh.run("results/tables/metrics.csv", check=False)
    # at the end, where one looks
    last = text.splitlines()[-5:]
    place = "results/logs/smoke/tiny/seed0/models/classifier.log"
    assert f"failed: train_classifier, see {place}" in last
    assert re.search(r"training diverged: .* lower learning_rate \(now 1e\+30\)", text)
    log = fresh.path("results/logs/smoke/tiny/seed0/models/classifier.log").read_text()
    assert "training diverged" in log
    assert "Traceback" not in log
    assert fresh.path("results/smoke/tiny/seed0/models/cvae/model.pt").exists()
    assert fresh.path("results/smoke/tiny/seed0/metrics/brightness/uniform.json").exists()
    fresh.run("available")
    table = pd.read_csv(fresh.path("results/available/metrics.csv"))
    assert set(table["method"]) == {"brightness"}


@pytest.mark.faults
def test_a_killed_training_ends_with_the_same_scores(make_project, fresh):
    """SIGKILL to every process half-way; the rerun resumes and gives the same bytes."""
    long = make_project(fresh.folder.with_name("whole"))

    def change(recipe):
        recipe["models"]["classifier"]["epochs"]["smoke"] = 12

    targets = ["results/smoke/tiny/seed0/scores/msp/digits.parquet"]
    for project in (long, fresh):
        project.edit_recipe(change)
        code = project.path("workflow_scripts/ood/training/checkpoint.py")
        often = code.read_text().replace("CHECKPOINT_SECONDS = 60", "CHECKPOINT_SECONDS = 0")
        code.write_text(often)
    long.run(*targets)
    fresh.run("results/smoke/tiny/seed0/models/cvae/model.pt")
    kept = fresh.contents("results/smoke/tiny/seed0/models/cvae/*")

    checkpoint = fresh.path("results/smoke/tiny/seed0/models/classifier/checkpoint.pt")
    with open(os.devnull, "wb") as nowhere:
        running = subprocess.Popen(
            fresh.command(*targets),
            cwd=fresh.folder,
            stdout=nowhere,
            stderr=nowhere,
            start_new_session=True,
        )
        limit = time.monotonic() + 120
        while not checkpoint.exists():
            assert running.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.005)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    assert not fresh.path("results/smoke/tiny/seed0/models/classifier/model.pt").exists()

    fresh.run("--unlock")
    text = fresh.run(*targets)
    assert re.search(r"resuming after epoch \d+", text)
    assert not checkpoint.exists()
    assert fresh.contents("results/smoke/tiny/seed0/models/cvae/*") == kept
    for name in ("scores/msp/digits.parquet", "models/classifier/model.pt"):
        path = f"results/smoke/tiny/seed0/{name}"
        assert fresh.path(path).read_bytes() == long.path(path).read_bytes()


def idx(array):
    head = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def test_a_dead_address_tells_where_to_put_the_file(fresh):
    """MNIST's test split at an address that refuses, then put in place by hand."""
    generator = np.random.default_rng(0)
    parts = {
        "t10k-images-idx3-ubyte.gz": idx(generator.integers(0, 256, (20, 28, 28))),
        "t10k-labels-idx1-ubyte.gz": idx(np.arange(20) % 10),
    }
    registry = fresh.path("workflow_scripts/ood/data/registry.py")
    text = re.sub(r'"https?://[^"]*mnist/"', '"http://127.0.0.1:9/"', registry.read_text())
    for name, content in parts.items():
        digest = hashlib.md5(content).hexdigest()
        text = re.sub(rf'("{name}": )"\w+"', rf'\1"{digest}"', text, count=1)
    registry.write_text(text)
    downloads = fresh.path("workflow_scripts/ood/data/download.py")
    downloads.write_text(downloads.read_text().replace("ATTEMPTS = 3", "ATTEMPTS = 1"))

    target = "data/prepared/8x8x1/mnist/test.npz"
    failed = fresh.run(target, check=False)
    place = fresh.path("data/raw/mnist/t10k-images-idx3-ubyte.gz")
    assert "cannot download t10k-images-idx3-ubyte.gz of dataset mnist" in failed
    assert "http://127.0.0.1:9/t10k-images-idx3-ubyte.gz" in failed
    assert "Connection refused" in failed
    assert str(place) in failed

    place.parent.mkdir(parents=True, exist_ok=True)
    for name, content in parts.items():
        (place.parent / name).write_bytes(gzip.compress(content)[:-10])
    truncated = fresh.run(target, check=False)
    assert f"{place.relative_to(fresh.folder)}: truncated or damaged gzip file" in truncated
    for name, content in parts.items():
        (place.parent / name).write_bytes(gzip.compress(content))
    fresh.run(target)
    assert np.load(fresh.path(target))["labels"].tolist() == [i % 10 for i in range(20)]


@pytest.mark.slow
def test_a_model_that_died_in_training_is_flagged_wherever_it_is_used(fresh):
    """A CVAE whose KL term is all that counts: nothing fails, so the tables must say it."""
    fresh.configure(
        methods=["brightness", "cmg_energy"],
        reference="brightness",
        variants={"cmg_energy": {"broken": {"cvae.kl_weight": 10000.0}}},
    )
    fresh.run("results/tables/metrics.csv")
    flag = "cvae_broken: no latent is used"
    for name in ("metrics.csv", "leaderboard.csv"):
        flags = pd.read_csv(fresh.path("results/tables", name)).set_index("method")["flags"]
        assert flags["cmg_energy_broken"].str.contains(flag).all()
        assert not flags.drop("cmg_energy_broken").fillna("").str.contains(flag).any()
    for name in ("leaderboard.md", "overview.html"):
        assert flag in fresh.path("results/tables", name).read_text()
    health = pd.read_csv(fresh.path("results/tables/health.csv")).set_index(["model", "epoch"])
    assert "no latent is used" in health.loc[("cvae_broken", "last"), "flags"].iloc[0]
