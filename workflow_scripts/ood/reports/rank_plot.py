"""The critical-difference diagram (Demšar 2006)."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from scikit_posthocs import critical_difference_diagram

from ood.evaluation.ranks import LEVEL
from ood.reports.figures import COLOURS, STYLE, save


@plt.rc_context(STYLE)
def critical_difference(
    path: str | Path, title: str, ranks: pd.Series, p_values: pd.DataFrame
) -> None:
    """Methods along their mean ranks; a bar joins those that cannot be told apart.

    :param ranks: by method, the best first
    :param p_values: of each pair
    """
    figure, axis = plt.subplots(figsize=(9, 1.6 + 0.19 * len(ranks)), layout="constrained")
    drawn = critical_difference_diagram(
        ranks,
        p_values,
        alpha=LEVEL,
        ax=axis,
        label_fmt_left="{label}  {rank:.1f} ",
        label_fmt_right=" {rank:.1f}  {label}",
        label_props={"size": 9},
        elbow_props={"color": "grey", "linewidth": 0.8},
        marker_props={"color": COLOURS[0], "s": 18},
        crossbar_props={"color": COLOURS[1], "marker": None, "linewidth": 2.5},
        text_h_margin=0.02,
    )
    for label in drawn["labels"]:
        label.set_color("black")
    for (bar,) in drawn["crossbars"]:
        # a bar goes through its methods in the order of a set, another one in each process
        ends = bar.get_xdata()
        bar.set_data([min(ends), max(ends)], bar.get_ydata()[:2])
    axis.set_title(title, pad=24)
    save(figure, path)
