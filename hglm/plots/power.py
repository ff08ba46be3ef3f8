"""Pictures of power: curves over sizes or effects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from hglm.plots.axes import DARK, LIGHT, get_axes, tidy_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["power_curves"]

STYLES = (("o", "-"), ("s", "--"), ("^", ":"), ("D", "-."), ("v", (0, (5, 1))), ("P", (0, (1, 1))))
"""Marker and line of each curve: to be told apart without colour."""
DODGE = 0.01
"""Part of the axis by which curves stand apart, so that no interval hides another."""
MOST_TICKS = 8
"""Sizes or effects that the axis names one by one."""


def power_curves(
    frame: pd.DataFrame, labels: Mapping[str, str], wanted: float = 0.8, ax: Axes | None = None
) -> Axes:
    """Draw power against the first of the columns that varies, a curve for each of the others.

    Parameters
    ----------
    frame
        Columns `power, conf_low, conf_high`, and some of those in `labels`.
    labels
        Columns that may vary, in order of preference for the horizontal axis -> what they
        are called.
    wanted
        Power to mark by a line.
    ax
        Axes to draw in.
    """
    ax = get_axes(ax)
    varying = [name for name in labels if name in frame and frame[name].nunique() > 1]
    x = varying[0] if varying else "n_obs"
    others = varying[1:]
    curves = list(frame.groupby(others, sort=False)) if others else [((), frame)]
    ax.axhline(wanted, color=LIGHT, linewidth=0.8, linestyle="--")
    width = DODGE * (frame[x].max() - frame[x].min())
    for i, (values, rows) in enumerate(curves):
        marker, line = STYLES[i % len(STYLES)]
        own = rows.sort_values(x)
        power = own["power"].to_numpy()
        spread = [power - own["conf_low"].to_numpy(), own["conf_high"].to_numpy() - power]
        ax.errorbar(
            own[x].to_numpy() + (i - 0.5 * (len(curves) - 1)) * width,
            power,
            yerr=spread,
            marker=marker,
            linestyle=line,
            color=DARK,
            ecolor=LIGHT,
            capsize=3,
            markersize=5,
            label=", ".join(f"{value:g}" for value in values),
        )
    if others:
        ax.legend(
            title=", ".join(labels[o] for o in others),
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=4,
            frameon=False,
            fontsize=9,
            title_fontsize=9,
        )
    if frame[x].nunique() <= MOST_TICKS:
        ax.set_xticks(sorted(frame[x].unique()))
    ax.set_ylim(-0.03, 1.03)
    name = labels.get(x, "rows")
    return tidy_axes(ax, xlabel=name[0].upper() + name[1:], ylabel="Power")
