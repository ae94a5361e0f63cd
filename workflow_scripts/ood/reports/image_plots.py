"""Pictures of images and of latent spaces."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from ood.reports.figures import COLOURS, STYLE, save


@plt.rc_context(STYLE)
def grid(
    path: str | Path,
    title: str,
    rows: list[tuple[str, np.ndarray]],
    heads: list[str] | None = None,
) -> None:
    """Rows of images with a title each; uint8 ``[N, H, W, C]``, or float32 clipped to [0, 1].

    :param heads: titles of the columns
    """
    columns = max(len(images) for _, images in rows)
    figure, axes = plt.subplots(
        len(rows),
        columns,
        figsize=(columns * 0.8 + 1.6, len(rows) * 0.86),
        squeeze=False,
        layout="constrained",
    )
    for line, (name, images) in zip(axes, rows, strict=True):
        for axis in line:
            axis.axis("off")
        for axis, image in zip(line, images, strict=False):
            shown = image if image.dtype == np.uint8 else image.clip(0, 1)
            axis.imshow(shown.squeeze(), cmap="gray", vmin=0, vmax=255 if shown is image else 1)
        line[0].text(
            -0.15, 0.5, name, ha="right", va="center", transform=line[0].transAxes, fontsize=10
        )
    for axis, head in zip(axes[0], heads or [], strict=False):
        axis.set_title(head, fontsize=9)
    figure.suptitle(title, fontsize=11)
    save(figure, path)


@plt.rc_context(STYLE)
def latents(
    path: str | Path,
    title: str,
    known: np.ndarray,
    shell: np.ndarray,
    labels: np.ndarray,
    outlines: list[list[np.ndarray]],
) -> None:
    """Latents in a plane by class: of ID images, and of the shells around the classes.

    :param known: ``[N, 2]``
    :param shell: ``[N, 2]``
    :param labels: ``[N]``, of both
    :param outlines: closed lines ``[P, 2]`` by class, in the order of the labels
    """
    figure, axis = plt.subplots(figsize=(7.6, 7), layout="constrained")
    for number, (label, lines) in enumerate(zip(np.unique(labels), outlines, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        chosen = labels == label
        axis.scatter(*known[chosen].T, s=9, color=colour, alpha=0.6, lw=0)
        axis.scatter(*shell[chosen].T, s=16, color=colour, alpha=0.6, marker="x", lw=0.8)
        for line in lines:
            axis.plot(*line.T, color=colour, lw=1)
        # there are more classes than colours
        axis.annotate(
            str(label),
            known[chosen].mean(0),
            ha="center",
            va="center",
            fontsize=13,
            bbox={"boxstyle": "circle,pad=0.2", "facecolor": "white", "edgecolor": colour},
        )
    axis.set_title(title)
    axis.set_aspect("equal", adjustable="datalim")
    axis.grid(alpha=0.3)
    save(figure, path)


@plt.rc_context(STYLE)
def planes(
    path: str | Path,
    title: str,
    panels: dict[str, tuple[np.ndarray, np.ndarray]],
    classes: list[str],
) -> None:
    """Scatter plots of points by the names of their groups. Classes are labelled in place, in
    colours where they are alone; other groups have the colours where there are any, and a legend.

    :param panels: by title, points ``[N, 2]`` and names ``[N]``
    """
    figure, axes = plt.subplots(
        1, len(panels), figsize=(6 * len(panels), 6), squeeze=False, layout="constrained"
    )
    for axis, (head, (points, names)) in zip(axes[0], panels.items(), strict=True):
        found = list(dict.fromkeys(names[np.argsort(~np.isin(names, classes), kind="stable")]))
        others = [name for name in found if name not in classes]
        for name in found:
            chosen = points[names == name]
            if name in classes:
                colour = "0.7" if others else COLOURS[classes.index(name) % len(COLOURS)]
                axis.scatter(*chosen.T, s=7, lw=0, alpha=0.7, color=colour)
                if len(classes) <= 20:
                    axis.annotate(
                        name,
                        np.median(chosen, axis=0),
                        ha="center",
                        va="center",
                        bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "alpha": 0.8},
                    )
            else:
                number = others.index(name)
                axis.scatter(
                    *chosen.T,
                    s=16,
                    lw=0,
                    alpha=0.8,
                    marker="ov^<>sPXD"[number % 9],
                    color=COLOURS[number % len(COLOURS)],
                    label=name,
                )
        if others:
            axis.legend(fontsize=9)
        axis.set(title=head, xticks=[], yticks=[])
    figure.suptitle(title)
    save(figure, path)


@plt.rc_context(STYLE)
def pixel_maps(path: str | Path, title: str, rows: list[list[np.ndarray]]) -> None:
    """Images, log p and log ratio of their pixels, a row per image set, as the paper shows them.

    :param rows: images uint8 ``[16, H, W, C]``, log p ``[16, H, W]`` and log ratio ``[16, H, W]``
    """

    def tiled(stack: np.ndarray) -> np.ndarray:
        # a line of nothing between the images
        wide = stack.astype(float) / (255 if stack.dtype == np.uint8 else 1)
        edge = [(0, 0), (0, 1), (0, 1)] + [(0, 0)] * (stack.ndim - 3)
        wide = np.pad(wide, edge, constant_values=np.nan)
        lines = wide.reshape(4, 4, *wide.shape[1:])
        return np.concatenate([np.concatenate(list(line), axis=1) for line in lines], axis=0)

    figure, axes = plt.subplots(
        len(rows), 3, figsize=(12, 3.7 * len(rows)), squeeze=False, layout="constrained"
    )
    # one scale for all rows, which are there to be compared; a few pixels may lie outside
    lowest = np.quantile(np.concatenate([one[1].ravel() for one in rows]), 0.01)
    widest = np.quantile(np.abs(np.concatenate([one[2].ravel() for one in rows])), 0.99)
    for line, (images, likelihood, ratio) in zip(axes, rows, strict=True):
        line[0].imshow(tiled(images).squeeze(), cmap="gray", vmin=0, vmax=1)
        for axis, values, scale in (
            (line[1], likelihood, {"cmap": "cividis", "vmin": lowest, "vmax": 0}),
            # white is no difference: negative ratios are told from positive ones
            (line[2], ratio, {"cmap": "PuOr", "vmin": -widest, "vmax": widest}),
        ):
            shown = axis.imshow(tiled(values), **scale)
            extend = "min" if axis is line[1] else "both"
            figure.colorbar(shown, ax=axis, label="nats per pixel", extend=extend)
    heads = ("images", "log p, foreground model", "log ratio, foreground − background")
    for axis, head in zip(axes[0], heads, strict=True):
        axis.set_title(head)
    for axis in axes.flat:
        axis.set_axis_off()
    figure.suptitle(title)
    save(figure, path)
