"""Figures: one look, written whole, the same bytes each time."""

from pathlib import Path

import matplotlib.pyplot as plt

from ood.files import atomic

# Okabe and Ito's palette without yellow, which vanishes on white; dashes tell repeats apart
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"]
DASHES = ["-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (4, 4)), (0, (1, 4))]
# while a picture is drawn, so that whoever imports this module keeps their own; the salt makes the
# same picture the same file
STYLE = {"font.size": 11, "figure.dpi": 110, "savefig.dpi": 110, "svg.hashsalt": "ood"}
UNDATED = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}


def save(figure, path: str | Path) -> None:
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axis in figure.axes:
        # beside axes that keep their size
        if legend := axis.get_legend():
            legend.set_in_layout(True)
    # as "tight" has it, which draws once more to know
    shown = figure.get_tightbbox().padded(plt.rcParams["savefig.pad_inches"])
    kind = Path(path).suffix[1:]
    with atomic(path) as temporary:
        figure.savefig(temporary, bbox_inches=shown, format=kind, metadata=UNDATED[kind])
    plt.close(figure)
