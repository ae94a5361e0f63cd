"""Plots of scores, metrics, training runs and images, safe for colour-blind readers.

Shares and AUROCs are drawn in percent. A file's suffix chooses its format: png, pdf or svg.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle

from ood.reports.figures import COLOURS, DASHES, STYLE, save

# as many methods stand out where all are drawn
LEADING = 6
# a histogram with this share of the ID images in one bin shows nothing
CROWDED = 0.8
ID_COLOUR, OOD_COLOUR = "#0072B2", "#D55E00"


def styles(methods: list[str]) -> dict[str, dict]:
    """How each method's line is drawn in all pictures of a run, by its place among all methods."""
    return {
        name: {
            "color": COLOURS[number % len(COLOURS)],
            "linestyle": DASHES[number // len(COLOURS) % len(DASHES)],
        }
        for number, name in enumerate(methods)
    }


@plt.rc_context(STYLE)
def curves(path: str | Path, title: str, history: pd.DataFrame) -> None:
    """One panel per recorded term over epochs, with the validation images' where there are any; the
    learning rate where it changes."""
    left_out = ["epoch", "step", "images_per_second", "seconds"]
    if history["learning_rate"].nunique() == 1:
        left_out.append("learning_rate")
    names = [name for name in history.columns.drop(left_out) if not name.startswith("validation_")]
    figure, axes = plt.subplots(
        1, len(names), figsize=(3.6 * len(names), 3), squeeze=False, layout="constrained"
    )
    for axis, name in zip(axes[0], names, strict=True):
        line = {"marker": "o", "ms": 3}
        axis.plot(history["epoch"], history[name], color=COLOURS[0], label="training", **line)
        if (held_out := f"validation_{name}") in history:
            axis.plot(
                history["epoch"], history[held_out], color=COLOURS[1], label="validation", **line
            )
            axis.legend(frameon=False)
        axis.set(xlabel="epoch", title=name.replace("_", " "))
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    figure.suptitle(title)
    save(figure, path)


def _strength(ordered: list[str], reference: str, style: dict[str, dict]) -> dict[str, dict]:
    """How lines are drawn where there are many: the best few and the reference as always, the
    others thin and grey behind them.

    :param ordered: methods, best first
    """
    strong = {*ordered[:LEADING], reference}
    return {
        name: {**style[name], "lw": 1.8, "zorder": 3}
        if name in strong
        else {"color": "0.75", "lw": 0.8, "zorder": 2}
        for name in ordered
    }


def _ranking(axis, title: str, labels: dict[str, str]) -> None:
    """A legend beside the axes, which keep their size however long it is: all methods in the order
    of ``labels``."""
    handles, names = axis.get_legend_handles_labels()
    lines = dict(zip(names, handles, strict=True))
    legend = axis.legend(
        [lines[name] for name in labels],
        list(labels.values()),
        title=title,
        loc="center left",
        bbox_to_anchor=(1.02, 0.5),
        frameon=False,
        fontsize=9,
    )
    legend.set_in_layout(False)


@plt.rc_context(STYLE)
def roc(
    path: str | Path,
    title: str,
    runs: dict[str, list[tuple[np.ndarray, np.ndarray, float]]],
    style: dict[str, dict],
    reference: str,
) -> None:
    """ROC curves over a logarithmic axis, a line per seed; the legend has the best mean AUROC on
    top.

    :param runs: by method, for each seed the false and true positive rates and the AUROC
    :param style: see ``styles``
    """
    means = {name: np.mean([auroc for _, _, auroc in seeds]) for name, seeds in runs.items()}
    figure, axis = plt.subplots(figsize=(5.4, 5), layout="constrained")
    # one flagged image of all is the least that can be told from none
    smallest = min(false[false > 0].min() for seeds in runs.values() for false, _, _ in seeds)
    left = max(smallest, 1e-4)
    chance = np.geomspace(left, 1, 200)
    axis.plot(100 * chance, 100 * chance, color="0.6", lw=1, ls=":")
    labels, ordered = {}, sorted(runs, key=means.get, reverse=True)
    for name, look in _strength(ordered, reference, style).items():
        labels[name] = f"{name}  {100 * means[name]:.1f}"
        if len(runs[name]) > 1:
            labels[name] += f" ± {100 * np.std([one[2] for one in runs[name]], ddof=1):.1f}"
        for number, (false, true, _) in enumerate(runs[name]):
            alpha = 1 if len(runs[name]) == 1 else 0.7
            label = None if number else name
            # what is flagged before the first ID image is drawn at the left end
            axis.plot(100 * false.clip(left), 100 * true, alpha=alpha, label=label, **look)
    axis.set(
        xscale="log",
        xlim=(100 * left, 100),
        ylim=(-1, 101),
        xlabel="ID images flagged, %",
        ylabel="OOD images flagged, %",
        title=title,
    )
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    _ranking(axis, "AUROC, %", labels)
    axis.grid(alpha=0.3)
    save(figure, path)


@plt.rc_context(STYLE)
def f1(
    path: str | Path, title: str, table: pd.DataFrame, style: dict[str, dict], reference: str
) -> None:
    """Macro F1 over the share of ID images accepted, a line per method and seed; the legend has the
    best mean at 95 % on top.

    :param table: rows of ``open_set.f1_curve`` with ``method`` and ``seed``
    """
    figure, axis = plt.subplots(figsize=(6.4, 5), layout="constrained")
    lines = {
        name: [line for _, line in rows.groupby("seed")]
        for name, rows in table.groupby("method", sort=False)
    }
    heights = {
        name: np.mean([np.interp(0.95, one["id_accepted"], one["f1"]) for one in seeds])
        for name, seeds in lines.items()
    }
    ordered = sorted(lines, key=heights.get, reverse=True)
    for name, look in _strength(ordered, reference, style).items():
        for index, one in enumerate(lines[name]):
            label = None if index else name
            axis.plot(100 * one["id_accepted"], 100 * one["f1"], label=label, **look)
    axis.axvline(95, color="0.8", lw=1)
    axis.set(xlabel="ID images accepted, %", ylabel="macro F1 with unknown, %", title=title)
    _ranking(axis, "F1 at 95 %", {name: f"{name}  {100 * heights[name]:.1f}" for name in ordered})
    axis.grid(alpha=0.3)
    save(figure, path)


@plt.rc_context(STYLE)
def trajectory(
    path: str | Path,
    title: str,
    runs: dict[str, list[tuple[list[int], list[float]]]],
    style: dict[str, dict],
) -> None:
    """AUROC over steps of training, a line per seed.

    :param runs: by method, for each seed the steps and the AUROC at each
    """
    figure, axis = plt.subplots(figsize=(7.6, 4.4), layout="constrained")
    axis.axhline(50, color="0.8", lw=1)
    for name, seeds in runs.items():
        for index, (steps, aurocs) in enumerate(seeds):
            label = None if index else name
            percent = [100 * auroc for auroc in aurocs]
            axis.plot(steps, percent, marker="o", ms=4, label=label, **style[name])
    axis.set(xlabel="step", ylabel="AUROC, %", title=title)
    axis.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    axis.grid(alpha=0.3)
    save(figure, path)


@plt.rc_context(STYLE)
def histograms(
    path: str | Path,
    title: str,
    panels: dict[str, tuple[np.ndarray, np.ndarray, float]],
    columns: int = 3,
) -> None:
    """Panels with the share of ID and of OOD images at each score; over the scores' ranks where
    nearly all ID images score alike.

    :param panels: by title, the scores of ID images and of OOD images, and the AUROC
    """
    columns = min(columns, len(panels))
    lines = -(-len(panels) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(4.2 * columns, 2.8 * lines), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    for axis, (name, (known, unknown, auroc)) in zip(axes.flat, panels.items(), strict=False):
        bins, label_below = _bins(known, unknown), "score"
        counts = np.histogram(known.clip(bins[0], bins[-1]), bins)[0]
        if counts.max() > CROWDED * len(known):
            ranks = pd.Series(np.concatenate([known, unknown])).rank().to_numpy() - 0.5
            ranks *= 100 / len(ranks)
            known, unknown = ranks[: len(known)], ranks[len(known) :]
            bins, label_below = np.linspace(0, 100, 50), "images that score lower, %"
        for values, colour, label in (
            (known, ID_COLOUR, "ID"),
            (unknown, OOD_COLOUR, "OOD"),
        ):
            weights = np.full(len(values), 100 / len(values))
            axis.hist(
                values.clip(bins[0], bins[-1]),
                bins,
                weights=weights,
                color=colour,
                alpha=0.55,
                label=label,
                histtype="stepfilled",
            )
        axis.set(
            title=f"{name}  (AUROC {100 * auroc:.1f} %)", xlabel=label_below, ylabel="images, %"
        )
        axis.legend(frameon=False)
    figure.suptitle(title)
    save(figure, path)


def _bins(known: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Edges over each set's own bulk: the larger set alone would push the smaller one out."""
    finite = [values[np.isfinite(values)] for values in (known, unknown)]
    ends = [np.quantile(values, [0.005, 0.995]) for values in finite if len(values)]
    low, high = np.min(ends, initial=np.inf), np.max(ends, initial=-np.inf)
    if not np.isfinite([low, high]).all():
        low, high = 0.0, 0.0
    return np.linspace(low, high if high > low else low + 1, 50)


@plt.rc_context(STYLE)
def calibration(path: str | Path, title: str, rows: pd.DataFrame) -> None:
    """AUROC on the validation sets for every temperature and input step; the chosen one framed.

    :param rows: ``temperature``, ``epsilon`` and ``auroc``, the chosen ones first
    """
    table = rows.pivot(index="temperature", columns="epsilon", values="auroc")
    figure, axis = plt.subplots(
        figsize=(1.8 + 1.2 * table.shape[1], 1.4 + 0.6 * len(table)), layout="constrained"
    )
    values = 100 * table.to_numpy()
    # where all settings do as well the colours would show rounding
    span = {"vmin": min(values.min(), values.max() - 1), "vmax": values.max()}
    image = axis.imshow(values, cmap="cividis", aspect="auto", **span)
    axis.set_xticks(range(table.shape[1]), [f"{value:g}" for value in table.columns])
    axis.set_yticks(range(len(table)), [f"{value:g}" for value in table.index])
    axis.set(xlabel="input step ε", ylabel="temperature", title=title)
    _write_cells(axis, image, values)
    corner = [
        list(line).index(rows.iloc[0][name]) - 0.5
        for line, name in ((table.columns, "epsilon"), (table.index, "temperature"))
    ]
    axis.add_patch(Rectangle(corner, 1, 1, fill=False, lw=3, edgecolor=OOD_COLOUR))
    figure.colorbar(image, ax=axis, label="AUROC, %")
    save(figure, path)


@plt.rc_context(STYLE)
def heatmap(path: str | Path, title: str, summary: pd.DataFrame) -> None:
    """Mean AUROC, methods by OOD sets, in the order of ``summary``; on top the best mean over the
    first group, as in the leaderboard."""
    table = summary.pivot(index="method", columns="ood_set", values="auroc_mean")
    table = 100 * table[list(dict.fromkeys(summary["ood_set"]))]
    groups = summary.drop_duplicates("ood_set").set_index("ood_set")["group"]
    leading = table.columns[groups[table.columns] == groups.iloc[0]]
    table = table.loc[table[leading].mean(axis=1).sort_values(ascending=False).index]
    figure, axis = plt.subplots(
        figsize=(2.4 + 1.15 * table.shape[1], 1.4 + 0.42 * len(table)), layout="constrained"
    )
    # below chance is all one colour: the numbers tell, and what matters lies above
    image = axis.imshow(table, cmap="cividis", vmin=50, vmax=100, aspect="auto")
    axis.set_xticks(
        range(table.shape[1]),
        [f"{name}\n({groups[name]})" for name in table.columns],
        rotation=25,
        ha="right",
        rotation_mode="anchor",
    )
    axis.set_yticks(range(len(table)), table.index)
    _write_cells(axis, image, table.to_numpy())
    axis.set_title(title)
    figure.colorbar(image, ax=axis, label="AUROC, %", extend="min")
    save(figure, path)


def _write_cells(axis, image, values: np.ndarray) -> None:
    """The numbers of a heat map, in what can be read on their colour."""
    for (row, column), value in np.ndenumerate(values):
        axis.text(
            column,
            row,
            "–" if np.isnan(value) else f"{value:.1f}",
            ha="center",
            va="center",
            color="black" if image.norm(value) > 0.5 else "white",
        )
