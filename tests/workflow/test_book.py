"""A study's numbers on their way into the book."""

import pandas as pd
import pytest


def test_a_study_is_recorded_and_written(finished):
    study = {"name": "tiny", "title": "Tiny", "question": "Does it run?", "finding": "It does."}
    study["measures"] = ["auroc", "fpr95"]
    finished.path("studies").mkdir()
    claim = "{paper: P, says: it counts, method: cmg_energy, than: msp, studies: {quick: [tiny]}}"
    finished.path("docs").mkdir()
    finished.path("docs/claims.yaml").write_text(f"claims:\n  - {claim}\n")
    finished.edit("config.yaml", lambda content: content.update(study=study))
    content = finished.path("config.yaml").read_text()
    finished.path("studies/tiny.yaml").write_text(content)
    finished.configure(study=None)
    asked = ["record", "book", "--configfile", "studies/tiny.yaml"]
    assert set(finished.planned(*asked)) == {"record", "book"}
    finished.run(*asked)
    kept = pd.read_csv(finished.path("studies/results/tiny.csv"))
    metrics = pd.read_csv(finished.path("results/tables/metrics.csv"))
    assert len(kept) == 2 * len(metrics)
    keys = ["method", "ood_set"]
    both = kept[kept["measure"] == "auroc"].merge(metrics, on=keys)
    assert both["mean"].tolist() == pytest.approx(both["auroc"].tolist())
    assert set(kept["revision"]) == {"unknown"}
    book = finished.path("docs/results.md").read_text()
    for value in both["mean"]:
        assert f"{100 * value:.2f}" in book
    (line,) = [line for line in book.splitlines() if line.startswith("| P ")]
    assert "better on" in line or "seed" in line
    assert "[tiny](#tiny)" in line
    # with the numbers committed, the book alone needs no results
    assert not finished.planned("book")
