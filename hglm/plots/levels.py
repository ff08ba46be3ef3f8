"""Pictures of single levels: their random effects in order, and their fitted lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pandas.api import types

from hglm.errors import OptionError
from hglm.plots.axes import DARK, LIGHT, get_axes, most_rows, new_figure, sample_levels, tidy_axes
from hglm.plots.labels import counted, short, short_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MOST_LEVELS", "caterpillar", "fitted_lines", "random_effects"]

MOST_LEVELS = 60
"""Levels that a reader can take in; more are sampled, with a note."""

PANEL, CHARACTER = 2.2, 0.08
"""Inches of a panel, and of a character on its axis."""


def caterpillar(ranef: pd.DataFrame, group: str, term: str, ax: Axes | None = None) -> Axes:
    """Draw the random effects of one term, in order, with their intervals.

    Parameters
    ----------
    ranef
        From `Fit.ranef()`.
    group, term
        Grouping factor and coefficient.
    ax
        Axes to draw in; where they are low, fewer levels are drawn.
    """
    rows = random_effects(ranef, group, term).sort_values("estimate")
    shown = rows.iloc[sample_levels(len(rows), most_rows(ax, MOST_LEVELS))]
    place = np.arange(len(shown))
    ax = get_axes(ax, 5.5, 1.2 + 0.19 * len(shown))
    ax.axvline(0.0, color=LIGHT, linewidth=0.8)
    ax.hlines(place, shown["conf_low"], shown["conf_high"], color=LIGHT)
    ax.plot(shown["estimate"], place, "o", color=DARK, markersize=4)
    ax.set_yticks(place, labels=short_labels(shown["level"]), fontsize=8)
    ax.set_ylim(-0.8, len(shown) - 0.2)
    xlabel = f"{short(term, 30)}: deviation from the population"
    return tidy_axes(ax, xlabel=xlabel, ylabel=counted(group, len(shown), len(rows)))


def fitted_lines(
    points: pd.DataFrame, curves: pd.DataFrame, x: str, response: str, total: int, note: str = ""
) -> Figure:
    """Draw the data and the fitted curve of each level, one panel a level.

    Parameters
    ----------
    points
        Columns `x`, ``"response"`` and ``"level"``.
    curves
        Columns `x`, ``"fitted"`` and ``"level"``, the levels in the order of the panels.
    x, response
        Names for the axes.
    total
        Number of levels of which those in `curves` are a sample.
    note
        What the curves stand for, under the axis.
    """
    levels = list(dict.fromkeys(curves["level"]))
    columns = len(levels) if len(levels) <= 4 else 3 if len(levels) in (5, 6, 9) else 4
    rows = -(-len(levels) // columns)
    places = _places(curves[x])
    names = short_labels(places, 16)
    longest = CHARACTER * max(map(len, names), default=0)
    upright = longest * len(names) > PANEL - 0.5
    height = 1.9 * rows + 0.4 + (longest if upright else 0.0)
    figure = new_figure(max(PANEL * columns, 4.0), height)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for spare in panels.flat[len(levels) :]:
        spare.remove()
    for place, (level, ax) in enumerate(zip(levels, panels.flat, strict=False)):
        own = points[points["level"] == level]
        curve = curves[curves["level"] == level]
        ax.plot(_at(own[x], places), own["response"], "o", mfc="white", mec=DARK, ms=3.5)
        look = "-" if len(curve) > 1 else "_"  # one place only: a dash
        ax.plot(_at(curve[x], places), curve["fitted"], look, color=DARK, linewidth=1.4, ms=14)
        if places:
            ax.set_xticks(range(len(places)), names, rotation=90 if upright else 0)
        tidy_axes(ax).tick_params(labelbottom=place + columns >= len(levels))
    for title, ax in zip(short_labels(levels), panels.flat, strict=False):
        ax.set_title(title, fontsize=9)
    label = counted(x, len(levels), total).replace(")", " levels)")
    figure.supxlabel(f"{label}\n{note}" if note else label, fontsize=10)
    figure.supylabel(short(response, 12 + 16 * rows), fontsize=10)
    return figure


def _places(values: pd.Series) -> list[Any]:
    """Levels of a variable that is no number, in order; they stand at 0, 1, ..."""
    if types.is_numeric_dtype(values) and not types.is_bool_dtype(values):
        return []
    if isinstance(values.dtype, pd.CategoricalDtype):
        return [level for level in values.dtype.categories if (values == level).any()]
    return sorted(values.unique())


def _at(values: pd.Series, places: list[Any]) -> pd.Series:
    return (
        values.map({place: i for i, place in enumerate(places)}).astype(float) if places else values
    )


def random_effects(ranef: pd.DataFrame, group: str, term: str) -> pd.DataFrame:
    """Choose the random effects of one term, or say which there are."""
    rows = ranef[(ranef["group"] == group) & (ranef["term"] == term)]
    if len(rows):
        return rows
    pairs = ranef[["group", "term"]].drop_duplicates()
    known = "; ".join(f"{t} of {g}" for g, t in pairs.itertuples(index=False))
    raise OptionError(f"There is no random effect {term!r} of {group!r}; the model has {known}.")
