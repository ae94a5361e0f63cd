"""A finished run: what its files hold, and what reruns after which change."""

import os
import re
import signal
import subprocess
import time
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from ood.files import load_json

TABLES = "results/tables/metrics.csv"
# a picture of a kind, where it is enough to draw that kind
PLOTS = "results/plots/smoke/tiny"
GATHERED = Counter(compare=1, tables=1, plot_heatmap=1, plot_ranks=1)
SCORES = Counter(score_baselines_classifier=1, score_brightness=1, score_cmg_energy=1)
PICTURES = Counter(plot_roc=1, plot_f1=1, plot_histograms=1)


def metrics(project):
    return pd.read_csv(project.path("results/tables/metrics.csv"))


def contents(project, pattern):
    """Bytes of every file that matches; records of who made it aside."""
    found = {name: one[0] for name, one in project.contents(pattern).items()}
    return {name: one for name, one in found.items() if not name.endswith(".json")}


def made(text, rule):
    """How many files each job of a rule made, of how many, where some are up to date."""
    found = re.findall(rf"\[{rule} [^\]]*\] (\d+) of (\d+) files are new", text)
    return [tuple(map(int, pair)) for pair in found]


def scored(project, method):
    """The image sets that the last scoring job of a method scored."""
    (log,) = project.path("results/logs/smoke/tiny/seed0/scores").glob(f"{method}.log")
    return set(re.findall(r"scored (\w+)", log.read_text()))


def test_the_first_run_fills_every_table(finished):
    table = metrics(finished)
    assert len(table) == 3 * 2
    assert table["auroc"].between(0, 1).all()
    assert table["id_accuracy"].isna().sum() == 2
    for name in ("summary", "leaderboard", "costs"):
        assert not pd.read_csv(finished.path(f"results/tables/{name}.csv")).empty
    costs = pd.read_csv(finished.path("results/tables/costs.csv"))
    assert set(costs["step"]) == {"models", "detectors", "pseudo_ood", "scores"}
    assert set(costs["scale"]) == {"smoke"}
    assert (costs["seconds"] > 0).all()
    assert costs.loc[costs["name"] == "classifier", "images_per_second"].item() > 0
    comparisons = pd.read_csv(finished.path("results/tables/comparisons.csv"))
    assert len(comparisons) == 2 * 2
    auroc = table.set_index(["method", "ood_set"])["auroc"]
    for row in comparisons.itertuples():
        difference = auroc[row.method, row.ood_set] - auroc["msp", row.ood_set]
        assert abs(row.auroc_difference - difference) < 1e-12
        assert row.auroc_difference_low <= difference <= row.auroc_difference_high
    assert "Nothing to be done" in finished.run()


def test_touching_every_file_and_moving_the_folder_rerun_nothing(finished, tmp_path):
    moved = finished.copy(tmp_path / "elsewhere" / "project")
    for folder in ("rules", "workflow_scripts", "benchmarks", "profiles", "envs"):
        for path in moved.path(folder).rglob("*"):
            os.utime(path)
    for name in ("Snakefile", "config.yaml"):
        os.utime(moved.path(name))
    assert moved.planned() == Counter()


def test_a_comment_a_docstring_and_a_new_net_rerun_nothing(finished):
    for name, old, new in (
        (
            "detection/classifier.py",
            '"""A classifier with fresh weights.',
            '"""A net with fresh weights.',
        ),
        ("errors.py", "class InputError", "# the only one\n\n\nclass InputError"),
        ("training/loop.py", "import math\n", "\nimport math  # for isfinite\n"),
    ):
        path = finished.path("workflow_scripts/ood", name)
        assert path.read_text().count(old) == 1
        path.write_text(path.read_text().replace(old, new))
    net = finished.path("workflow_scripts/ood/models/convnet.py").read_text()
    finished.path("workflow_scripts/ood/models/other.py").write_text(net)
    # what a setting may be is no setting
    allowed = finished.path("workflow_scripts/ood/settings/cmg.py")
    allowed.write_text(allowed.read_text().replace('["conv", "resnet"]', '["conv", "resnet", "x"]'))
    assert finished.planned() == Counter()


def test_a_changed_net_reruns_those_who_chose_it_and_says_so(finished):
    path = finished.path("workflow_scripts/ood/models/two_conv.py")
    path.write_text(path.read_text() + "\nUNUSED = 1\n")
    assert finished.planned() == Counter()
    path = finished.path("workflow_scripts/ood/models/convnet.py")
    path.write_text(path.read_text() + "\nUNUSED = 1\n")
    text = finished.run("--dry-run", "--quiet", "host")
    assert re.search(r"rule train_classifier:.*?reason: .*?ood/models/convnet\.py", text, re.S)
    planned = finished.planned()
    assert planned["train_classifier"] == 1
    assert planned["train_cmg_cvae"] == planned["score_brightness"] == 0


def test_code_that_serves_users_alone_reruns_nothing(finished):
    def edit(name):
        path = finished.path("workflow_scripts/ood", name)
        path.write_text(path.read_text() + "\nUNUSED = 1\n")

    edit("inference.py")
    assert finished.planned() == Counter()
    # what loads a detector for scoring trains nothing
    edit("detection/files.py")
    planned = finished.planned()
    assert planned["score_cmg_energy"] == 1
    assert not {name for name in planned if name.startswith(("train", "fine_tune", "prepare"))}


def test_a_new_ood_set_is_scored_with_the_detectors_that_exist(finished):
    finished.edit("benchmarks/tiny.yaml", lambda b: b["ood"]["far"].append("gaussian"))
    before = contents(finished, "results/smoke/tiny/**/*")
    assert finished.planned() == GATHERED + SCORES + PICTURES + Counter(
        generate_noise=1, evaluate=3, plot_image_sets=1
    )
    targets = TABLES, f"{PLOTS}/roc/gaussian.png"
    text = finished.run(*targets)
    after = contents(finished, "results/smoke/tiny/**/*")
    assert {name: after[name] for name in before} == before
    assert made(text, r"score_tiny_\w+") == [(1, 3)] * 3
    assert made(text, "evaluate_tiny") == [(1, 5)] * 3
    assert made(text, "plot_roc_tiny") == [(1, 3)]
    assert len(metrics(finished)) == 3 * 3
    assert "Nothing to be done" in finished.run(*targets)


def test_a_new_seed_trains_its_own_models_only(finished):
    finished.configure(seeds=[0, 1])
    before = finished.contents("results/smoke/tiny/seed0/**/*") | finished.contents("data/**/*")
    assert finished.planned() == GATHERED + SCORES + Counter(
        train_classifier=1,
        train_cmg_cvae=1,
        fine_tune_cmg=1,
        evaluate=3,
        plot_roc=1,
        plot_f1=1,
        plot_curves=1,
    )
    text = finished.run(TABLES, "results/plots/smoke/tiny/curves/seed1/models/cvae.png")
    assert made(text, "plot_curves_tiny") == [(3, 6)]
    after = finished.contents("results/smoke/tiny/seed0/**/*") | finished.contents("data/**/*")
    assert after == before
    table = metrics(finished)
    assert set(table["seed"]) == {0, 1}
    both = table[table["method"] == "msp"].set_index(["ood_set", "seed"])["auroc"]
    assert both["unseen_digits", 0] != both["unseen_digits", 1]


def test_a_new_method_is_scored_on_the_models_that_exist(finished):
    finished.configure(methods=["msp", "brightness", "cmg_energy", "max_logit"])
    before = contents(finished, "results/smoke/tiny/**/*")
    # max_logit is scored in the job that scored msp, which makes its files alone
    assert finished.planned() == GATHERED + PICTURES + Counter(
        score_baselines_classifier=1, evaluate=2
    )
    text = finished.run(TABLES, f"{PLOTS}/histograms/max_logit.png")
    assert made(text, "score_tiny_baselines_classifier") == [(2, 4)]
    assert made(text, "evaluate_tiny") == [(0, 4)]
    assert made(text, "plot_histograms_tiny") == [(1, 4)]
    after = contents(finished, "results/smoke/tiny/**/*")
    assert {name: after[name] for name in before} == before
    assert len(metrics(finished)) == 4 * 2


def test_a_changed_setting_reruns_its_method_alone(finished):
    finished.edit_recipe(
        lambda r: r["methods"]["cmg_energy"]["optimizer"].update(learning_rate=0.5)
    )
    before = contents(finished, "results/smoke/tiny/**/*")
    assert finished.planned() == GATHERED + PICTURES + Counter(
        generate_cmg=1, fine_tune_cmg=1, score_cmg_energy=1, evaluate=1, plot_curves=1
    )
    curves = f"{PLOTS}/curves/seed0/detectors/cmg_energy.png"
    text = finished.run(TABLES, curves, f"{PLOTS}/histograms/msp.png")
    assert made(text, "plot_curves_tiny") == [(1, 3)]
    assert made(text, "plot_histograms_tiny") == [(1, 3)]
    after = contents(finished, "results/smoke/tiny/**/*")
    changed = {name for name in before if after[name] != before[name]}
    assert changed
    assert all("/cmg_energy/" in name for name in changed)


def test_what_writes_the_same_bytes_changes_nothing_after_it(finished):
    """The CVAE is trained again with other code that means the same; what follows is up to date."""
    source = finished.path("workflow_scripts/ood/models/vae.py")
    source.write_text(source.read_text() + "\nUNUSED = 1\n")
    before = contents(finished, "results/**/*")
    planned = finished.planned()
    assert planned["train_cmg_cvae"] == planned["fine_tune_cmg"] == 1
    assert planned["train_classifier"] == planned["score_baselines_classifier"] == 0
    drawn = [f"{PLOTS}/{name}.png" for name in ("roc/uniform", "f1/uniform", "histograms/msp")]
    text = finished.run(TABLES, *drawn)
    assert all(new == 0 for new, _ in made(text, r"plot_(?:roc|f1|histograms)_tiny"))
    after = contents(finished, "results/**/*")
    changed = {name for name in before if after[name] != before[name]}
    assert not {name for name in changed if name.endswith((".pt", ".parquet", ".png"))}


def test_an_edited_metric_reruns_evaluation_and_no_training(finished):
    source = finished.path("workflow_scripts/ood/evaluation/metrics.py")
    source.write_text(source.read_text() + "\nUNUSED = 1\n")
    planned = finished.planned()
    assert planned["evaluate"] == 3
    assert set(planned) <= {"evaluate", "tables", "compare"} | {
        name for name in planned if "plot" in name
    }


def test_the_oracle_protocol_adds_rows_and_keeps_the_final_ones(finished):
    before = metrics(finished)
    finished.configure(protocols=["final", "oracle"])
    finished.run(TABLES)
    table = metrics(finished)
    final = table[table["protocol"] == "final"].reset_index(drop=True)
    pd.testing.assert_frame_equal(final, before)
    oracle = table[table["protocol"] == "oracle"]
    assert set(oracle["method"]) == {"cmg_energy"}
    assert set(oracle["tuned_on"]) == {"OOD test set"}
    assert (oracle["snapshot"] > 0).all()
    board = finished.path("results/tables/leaderboard.md").read_text()
    assert "oracle" in board


def test_tables_keep_what_today_s_config_does_not_ask_for(finished):
    whole = metrics(finished)
    compared = pd.read_csv(finished.path("results/tables/comparisons.csv"))
    finished.configure(methods=["msp"])
    finished.run(TABLES)
    pd.testing.assert_frame_equal(metrics(finished), whole)
    pd.testing.assert_frame_equal(
        pd.read_csv(finished.path("results/tables/comparisons.csv")), compared
    )
    # another benchmark with images of its own
    tiny = finished.path("benchmarks/tiny.yaml").read_text()
    other = tiny.replace("classes: [6, 7]", "classes: [8]")
    finished.path("benchmarks/other.yaml").write_text(other)
    finished.configure(benchmarks=["other"])
    finished.run(TABLES)
    assert set(metrics(finished)["benchmark"]) == {"tiny", "other"}
    assert len(metrics(finished)) == 3 * 2 + 2
    # a setting that would make a method's rows otherwise: they are left out, and counted
    finished.edit_recipe(lambda r: r["methods"]["cmg_energy"].update(sigma=2))
    finished.run(TABLES, "--forcerun", "tables")
    table = metrics(finished)
    assert set(table["method"]) == {"msp", "brightness"}
    assert len(table) == 2 * 2 + 2
    board = finished.path("results/tables/leaderboard.md").read_text()
    assert "Left out, 2 pairs" in board
    assert "smoke tiny cmg_energy: 2" in board


def test_an_ood_set_that_left_the_benchmark_leaves_the_tables(finished):
    assert set(metrics(finished)["ood_set"]) == {"unseen_digits", "uniform"}
    finished.edit("benchmarks/tiny.yaml", lambda b: b["ood"].pop("far"))
    finished.run(TABLES)
    for name in ("metrics", "summary", "comparisons"):
        table = pd.read_csv(finished.path(f"results/tables/{name}.csv"))
        assert set(table["ood_set"]) == {"unseen_digits"}
    board = finished.path("results/tables/leaderboard.md").read_text()
    assert "smoke tiny OOD set uniform: 3" in board


def test_another_scale_overwrites_nothing(finished):
    planned = finished.planned("--config", "scale=quick")
    assert planned["train_classifier"] == planned["fine_tune_cmg"] == 1
    text = finished.run("--dry-run", "--config", "scale=quick", "--quiet", "host")
    written = set(re.findall(r"^ +output: (.*)", text, re.M))
    assert len(written) > 10
    assert not [line for line in written if "results/smoke/" in line]


@pytest.mark.faults
def test_a_scoring_job_that_is_killed_keeps_the_sets_it_had_finished(first_run, tmp_path):
    """SIGKILL to all processes after two of three sets; the rerun makes the rest alone."""
    project = first_run.copy(tmp_path / "killed")
    target = "results/smoke/tiny/seed0/scores/cmg_energy/uniform.parquet"
    kept = contents(project, "results/smoke/tiny/seed0/scores/cmg_energy/*")
    for path in project.path("results/smoke/tiny/seed0/scores/cmg_energy").iterdir():
        path.unlink()
    # the second and last set waits to be scored
    source = project.path("workflow_scripts/ood/detection/contract.py")
    text = source.read_text()
    slow = text.replace(
        "    found = {name:", "    import time\n    time.sleep(3)\n    found = {name:"
    )
    assert slow != text
    source.write_text(slow)
    with open(os.devnull, "wb") as nowhere:
        running = subprocess.Popen(
            project.command(target),
            cwd=project.folder,
            stdout=nowhere,
            stderr=nowhere,
            start_new_session=True,
        )
        # what a rerun asks whether the set is there
        keys = project.path("results/keys/smoke/tiny/seed0/scores/cmg_energy.json")
        limit = time.monotonic() + 120
        while ".finished-digits" not in keys.read_text():
            assert running.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.02)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    assert not project.path(target).exists()
    project.run("--unlock")
    project.run(target)
    assert scored(project, "cmg_energy") == {"uniform"}
    after = contents(project, "results/smoke/tiny/seed0/scores/cmg_energy/*")
    assert after == kept


def test_a_set_that_fails_costs_no_other(finished):
    """The image set that is scored last is damaged: the first is not scored again."""
    for path in finished.path("results/smoke/tiny/seed0/scores/brightness").iterdir():
        path.unlink()
    damaged = finished.path("data/prepared/8x8x1/uniform/test.npz")
    content = damaged.read_bytes()
    damaged.write_bytes(content[:1000])
    target = "results/smoke/tiny/seed0/scores/brightness/uniform.parquet"
    text = finished.run(target, check=False)
    assert scored(finished, "brightness") == {"digits"}
    assert "uniform/test.npz: no image set" in text
    damaged.write_bytes(content)
    finished.run(target)
    assert scored(finished, "brightness") == {"uniform"}


def test_score_files_hold_the_contract(finished):
    for method, classifies in (("msp", True), ("brightness", False), ("cmg_energy", True)):
        path = finished.path(f"results/smoke/tiny/seed0/scores/{method}/digits.parquet")
        table = pq.read_table(path)
        assert table.column_names == ["index", "label", "prediction", "score"]
        assert [str(kind) for kind in table.schema.types] == ["int64"] * 3 + ["double"]
        assert table["index"].to_pylist() == list(range(360))
        assert set(table["label"].to_pylist()) == set(range(10))
        predictions = set(table["prediction"].to_pylist())
        assert predictions <= {0, 1, 2} if classifies else predictions == {-1}


def test_metrics_carry_their_provenance(finished):
    row = load_json(finished.path("results/smoke/tiny/seed0/metrics/cmg_energy/uniform.json"))
    assert row["n_id"] == 107
    assert row["n_ood"] == 2_000
    assert row["seed"] == 0
    assert {"params", "inputs", "versions", "git_revision", "seed"} <= set(row["provenance"])
    assert row["provenance"]["versions"]["torch"]
    detector = load_json(
        finished.path("results/smoke/tiny/seed0/detectors/cmg_energy/detector.json")
    )
    settings = detector["provenance"]["params"]["settings"]
    assert settings["sigma"] == 3
    assert detector["record"]["year"] == 2022


def test_pseudo_ood_samples_are_an_image_set(finished):
    folder = finished.path("results/smoke/tiny/seed0/pseudo_ood/cmg_energy")
    with np.load(folder / "samples.npz") as file:
        assert file["images"].shape == (512, 8, 8, 1)
        assert file["images"].dtype == np.uint8
        assert file["labels"].max() < 9
    assert (folder / "grid.png").stat().st_size > 1000


@pytest.mark.parametrize(
    "name", ["roc/uniform", "histograms/msp", "heatmap/heatmap", "image_sets/image_sets"]
)
def test_plots_are_pictures(finished, name):
    finished.check_picture(f"results/plots/smoke/tiny/{name}.png")
