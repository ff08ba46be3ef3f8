"""Pictures of random effects: caterpillars, shrinkage, fitted lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hglm.errors import OptionError
from hglm.plots.axes import DARK, LIGHT, get_axes, sample_levels, tidy_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["caterpillar", "fitted_lines", "shrinkage"]

MOST_LEVELS = 60
"""Levels that a reader can take in; more are sampled, with a note."""


def caterpillar(ranef: pd.DataFrame, group: str, term: str, ax: Axes | None = None) -> Axes:
    """Draw the random effects of one term, in order, with their intervals.

    Parameters
    ----------
    ranef
        From `Fit.ranef()`.
    group, term
        Grouping factor and coefficient.
    ax
        Axes to draw in.
    """
    rows = _rows(ranef, group, term).sort_values("estimate")
    shown = rows.iloc[sample_levels(len(rows), MOST_LEVELS)]
    place = np.arange(len(shown))
    ax = get_axes(ax, 5.0, 1.2 + 0.19 * len(shown))
    ax.axvline(0.0, color=LIGHT, linewidth=0.8)
    ax.hlines(place, shown["conf_low"], shown["conf_high"], color=LIGHT)
    ax.plot(shown["estimate"], place, "o", color=DARK, markersize=4)
    ax.set_yticks(place, labels=[str(level) for level in shown["level"]], fontsize=8)
    ax.set_ylim(-0.8, len(shown) - 0.2)
    note = f" ({len(shown)} of {len(rows)})" if len(shown) < len(rows) else ""
    return tidy_axes(ax, xlabel=f"{term}: deviation from the population", ylabel=f"{group}{note}")


def shrinkage(
    separate: pd.DataFrame,
    partial: pd.DataFrame,
    population: tuple[float, float],
    ax: Axes | None = None,
) -> Axes:
    """Draw how far partial pooling moves each level from its own fit.

    Parameters
    ----------
    separate, partial
        Two coefficients a level (columns), fitted to each level alone and by the
        mixed model; the same index of levels.
    population
        The fixed effects.
    ax
        Axes to draw in.
    """
    ax = get_axes(ax, 5.5, 5.0)
    x, y = separate.columns
    levels = separate.index.intersection(partial.index)
    shown = levels[sample_levels(len(levels), MOST_LEVELS)]
    for level in shown:
        start = separate.loc[level].to_numpy(dtype=float)
        end = partial.loc[level].to_numpy(dtype=float)
        ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": LIGHT, "shrinkA": 2})
    ax.plot(separate.loc[shown, x], separate.loc[shown, y], "o", mfc="white", mec=DARK, ms=5)
    ax.plot(partial.loc[shown, x], partial.loc[shown, y], "o", color=DARK, ms=4)
    ax.plot(*population, "+", color=DARK, ms=14, mew=2)
    handles = [
        ax.plot([], [], "o", mfc="white", mec=DARK, ms=5, label="each level alone")[0],
        ax.plot([], [], "o", color=DARK, ms=4, label="mixed model")[0],
        ax.plot([], [], "+", color=DARK, ms=12, mew=2, label="population")[0],
    ]
    ax.legend(handles=handles, frameon=False, fontsize=9, loc="best")
    return tidy_axes(ax, xlabel=str(x), ylabel=str(y))


def fitted_lines(frame: pd.DataFrame, x: str, response: str, most: int = 12) -> Figure | SubFigure:
    """Draw the data and the fitted values, one panel a level.

    Parameters
    ----------
    frame
        Columns `x`, ``"response"``, ``"fitted"`` and ``"level"``.
    x, response
        Names for the axes.
    most
        Panels at most; levels are sampled evenly, with a note.
    """
    levels = list(dict.fromkeys(frame["level"]))
    shown = [levels[i] for i in sample_levels(len(levels), most)]
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    first = get_axes(None, 2.2 * columns, 1.9 * rows)
    figure = first.figure
    first.remove()
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax in panels.flat[len(shown) :]:
        ax.set_visible(False)
    for level, ax in zip(shown, panels.flat, strict=False):
        own = frame[frame["level"] == level].sort_values(x)
        ax.plot(own[x], own["response"], "o", mfc="white", mec=DARK, ms=3.5)
        ax.plot(own[x], own["fitted"], "-", color=DARK, linewidth=1.4)
        ax.set_title(str(level), fontsize=9)
        tidy_axes(ax)
    note = f" ({len(shown)} of {len(levels)} levels)" if len(shown) < len(levels) else ""
    figure.supxlabel(f"{x}{note}", fontsize=10)
    figure.supylabel(response, fontsize=10)
    return figure


def _rows(ranef: pd.DataFrame, group: str, term: str) -> pd.DataFrame:
    rows = ranef[(ranef["group"] == group) & (ranef["term"] == term)]
    if len(rows):
        return rows
    pairs = ranef[["group", "term"]].drop_duplicates()
    known = "; ".join(f"{t} of {g}" for g, t in pairs.itertuples(index=False))
    raise OptionError(f"There is no random effect {term!r} of {group!r}; the model has {known}.")
