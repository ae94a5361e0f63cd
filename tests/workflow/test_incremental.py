"""What reruns after which change, by running Snakemake."""

import os
from collections import Counter

import pandas as pd

PLOTS_OF_ALL = Counter(tables=1, compare=1, plot_heatmap=1)


def metrics(project):
    return pd.read_csv(project.path("results/tables/metrics.csv"))


def test_the_first_run_fills_every_table(finished):
    table = metrics(finished)
    assert len(table) == 3 * 2
    assert table["auroc"].between(0, 1).all()
    assert table["id_accuracy"].isna().sum() == 2
    for name in ("summary", "leaderboard", "published", "costs"):
        assert not pd.read_csv(finished.path(f"results/tables/{name}.csv")).empty
    costs = pd.read_csv(finished.path("results/tables/costs.csv"))
    assert set(costs["step"]) == {"models", "detectors", "scores"}
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


def test_touching_every_file_reruns_nothing(finished):
    for folder in ("rules", "workflow_scripts", "schemas", "benchmarks", "profiles", "envs"):
        for path in finished.path(folder).rglob("*"):
            os.utime(path)
    for name in ("Snakefile", "config.yaml"):
        os.utime(finished.path(name))
    assert "Nothing to be done" in finished.run()


def test_a_new_ood_set_is_scored_with_the_detectors_that_exist(finished):
    finished.edit("benchmarks/tiny.yaml", lambda b: b["ood"]["far"].append("gaussian"))
    before = finished.contents("results/tiny/**/*")
    assert finished.planned() == PLOTS_OF_ALL + Counter(
        generate_noise=1,
        score=3,
        evaluate=3,
        plot_roc=1,
        plot_f1=1,
        plot_histograms=3,
        plot_image_sets=1,
    )
    finished.run()
    after = finished.contents("results/tiny/**/*")
    assert {name: after[name] for name in before} == before
    assert len(metrics(finished)) == 3 * 3
    assert "Nothing to be done" in finished.run()


def test_a_new_seed_trains_its_own_models_only(finished):
    finished.configure(seeds=[0, 1])
    before = finished.contents("results/tiny/seed0/**/*") | finished.contents("data/**/*")
    assert finished.planned() == PLOTS_OF_ALL + Counter(
        train_classifier=1,
        train_cmg_cvae=1,
        fit_baseline=2,
        fine_tune_cmg=1,
        score=6,
        evaluate=6,
        plot_roc=2,
        plot_f1=2,
        plot_curves=3,
    )
    finished.run()
    after = finished.contents("results/tiny/seed0/**/*") | finished.contents("data/**/*")
    assert after == before
    table = metrics(finished)
    assert set(table["seed"]) == {0, 1}
    both = table[table["method"] == "msp"].set_index(["ood_set", "seed"])["auroc"]
    assert both["unseen_digits", 0] != both["unseen_digits", 1]


def test_a_new_method_is_fitted_on_the_models_that_exist(finished):
    finished.configure(methods=["msp", "brightness", "cmg_energy", "max_logit"])
    before = finished.contents("results/tiny/**/*")
    assert finished.planned() == PLOTS_OF_ALL + Counter(
        fit_baseline=1, score=2, evaluate=2, plot_roc=2, plot_f1=2, plot_histograms=1
    )
    finished.run()
    after = finished.contents("results/tiny/**/*")
    assert {name: after[name] for name in before} == before
    assert len(metrics(finished)) == 4 * 2


def test_a_changed_setting_reruns_its_method_alone(finished):
    def change(recipe):
        recipe["methods"]["cmg_energy"]["optimizer"]["learning_rate"] = 5e-4

    finished.edit("benchmarks/recipes/digits.yaml", change)
    before = finished.contents("results/tiny/**/*")
    assert finished.planned() == PLOTS_OF_ALL + Counter(
        fine_tune_cmg=1,
        score=2,
        evaluate=2,
        plot_roc=2,
        plot_f1=2,
        plot_histograms=1,
        plot_curves=1,
    )
    finished.run()
    after = finished.contents("results/tiny/**/*")
    changed = {name for name in before if after[name] != before[name]}
    assert changed
    assert all("/cmg_energy/" in name for name in changed)


def test_an_edited_source_file_reruns_its_method_alone(finished):
    source = finished.path("workflow_scripts/ood/methods/cmg.py")
    source.write_text(source.read_text() + "\nUNUSED = 1\n")
    before = finished.contents("results/tiny/**/*")
    assert finished.planned() == PLOTS_OF_ALL + Counter(
        train_cmg_cvae=1,
        generate_cmg=1,
        fine_tune_cmg=1,
        score=2,
        evaluate=2,
        plot_roc=2,
        plot_f1=2,
        plot_histograms=1,
        plot_curves=2,
    )
    finished.run()
    after = finished.contents("results/tiny/**/*")
    changed = {name for name in before if after[name][1] != before[name][1]}
    assert changed
    assert all("/cmg_energy/" in name or "/cvae/" in name for name in changed)
    # the same code gives the same scores, byte for byte
    for name in before:
        assert not name.endswith(".parquet") or after[name][0] == before[name][0]


def test_an_edited_metric_reruns_evaluation_and_no_training(finished):
    source = finished.path("workflow_scripts/ood/metrics.py")
    source.write_text(source.read_text() + "\nUNUSED = 1\n")
    planned = finished.planned()
    assert planned["evaluate"] == 6
    assert set(planned) <= {"evaluate", "tables", "compare"} | {
        name for name in planned if "plot" in name
    }


def test_the_oracle_protocol_adds_rows_and_keeps_the_final_ones(finished):
    before = metrics(finished)
    finished.configure(protocols=["final", "oracle"])
    finished.run()
    table = metrics(finished)
    final = table[table["protocol"] == "final"].reset_index(drop=True)
    pd.testing.assert_frame_equal(final, before)
    oracle = table[table["protocol"] == "oracle"]
    assert set(oracle["method"]) == {"cmg_energy"}
    assert set(oracle["tuned_on"]) == {"OOD test set"}
    assert (oracle["snapshot"] > 0).all()
    board = finished.path("results/tables/leaderboard.md").read_text()
    assert "oracle" in board


def test_moving_the_folder_reruns_nothing(finished, tmp_path):
    moved = finished.copy(tmp_path / "elsewhere" / "project")
    assert "Nothing to be done" in moved.run()
