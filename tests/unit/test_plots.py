"""Pictures: looks that tell methods apart, scales that show something, files of each format."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from ood.reports import plots


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, kept open to be looked into."""
    found = []
    monkeypatch.setattr(plots, "save", lambda figure, path: found.append(figure))
    yield found
    plt.close("all")


def test_more_looks_than_methods_of_the_longest_recipe():
    names = [f"method_{number}" for number in range(49)]
    looks = plots.styles(names)
    assert len({(str(look["linestyle"]), look["color"]) for look in looks.values()}) == 49
    assert plots.styles(names[:3]) == {name: looks[name] for name in names[:3]}


def test_the_best_few_and_the_reference_have_their_own_looks(drawn):
    names = [f"m{number}" for number in range(12)]
    runs = {
        name: [(np.array([0, 0.01, 1]), np.array([0, 0.9 - n / 20, 1]), 0.9 - n / 20)]
        for n, name in enumerate(names)
    }
    style = plots.styles(names)
    plots.roc("unused", "t", runs, style, "m11")
    lines = {line.get_label(): line for line in drawn[0].axes[0].get_lines()}
    strong = {name for name in names if lines[name].get_color() == style[name]["color"]}
    assert strong == {*names[: plots.LEADING], "m11"}
    assert drawn[0].axes[0].get_xscale() == "log"
    # nothing is lost at a rate of zero, which a logarithm does not know
    assert lines["m0"].get_xdata()[0] == pytest.approx(1)


@pytest.mark.parametrize("crowded", [False, True])
def test_a_histogram_of_scores_that_are_all_alike_goes_by_rank(drawn, crowded):
    rng = np.random.default_rng(0)
    known = rng.normal(0, 1e-4 if crowded else 1, 1000)
    plots.histograms("unused", "t", {"a": (known, rng.normal(3, 1, 1000), 0.9)})
    axis = drawn[0].axes[0]
    assert axis.get_xlabel() == ("images that score lower, %" if crowded else "score")
    assert [patch.get_xy()[:, 1].max() < 20 for patch in axis.patches] == [True, True]


def test_the_chosen_calibration_is_framed(drawn):
    rows = [(t, e, 0.5 + t / 10000 + e) for t in (1000, 10, 1) for e in (0.002, 0.0)]
    plots.calibration("x", "t", pd.DataFrame(rows, columns=["temperature", "epsilon", "auroc"]))
    (frame,) = drawn[0].axes[0].patches
    # of three temperatures the last, of two steps the second
    assert frame.get_xy() == (0.5, 1.5)


def test_the_heat_map_ranks_by_the_first_group(drawn):
    rows = [("a", "x", "near", 0.9), ("b", "x", "near", 0.6), ("a", "y", "far", 0.5)]
    rows = pd.DataFrame(
        [*rows, ("b", "y", "far", 1.0)], columns=["method", "ood_set", "group", "auroc_mean"]
    )
    plots.heatmap("unused", "t", rows)
    assert [text.get_text() for text in drawn[0].axes[0].get_yticklabels()] == ["a", "b"]
    assert [text.get_text() for text in drawn[0].axes[0].texts] == ["90.0", "50.0", "60.0", "100.0"]


@pytest.mark.parametrize(
    ("kind", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")]
)
def test_the_suffix_chooses_the_format_and_the_bytes_repeat(tmp_path, kind, start):
    history = pd.DataFrame(
        {"epoch": [1, 2], "step": [1, 2], "loss": [2.0, 1.0], "learning_rate": 0.1}
        | {"images_per_second": 1.0, "seconds": 1.0}
    )
    for name in ("a", "b"):
        plots.curves(tmp_path / f"{name}.{kind}", "title", history)
    first, second = ((tmp_path / f"{name}.{kind}").read_bytes() for name in ("a", "b"))
    assert first.startswith(start)
    assert first == second
