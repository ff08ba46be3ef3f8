"""Pictures of means and contrasts: over a covariate, over a factor, or row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pandas.api import types

from hglm.plots.axes import (
    DARK,
    LIGHT,
    get_axes,
    most_rows,
    sample_levels,
    size_in_inches,
    tidy_axes,
)
from hglm.plots.labels import counted, short, short_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LOOKS", "MOST_CURVES", "effects", "estimates", "legend"]

MOST_CURVES, MOST_PLACES, MOST_ROWS = 6, 24, 40
"""Curves, levels along an axis, and rows that a reader can take in."""

LOOKS = (
    {"color": DARK, "marker": "o", "linestyle": "-"},
    {"color": "0.5", "marker": "s", "linestyle": "--"},
    {"color": DARK, "marker": "^", "linestyle": ":"},
    {"color": "0.5", "marker": "D", "linestyle": "-."},
    {"color": DARK, "marker": "v", "linestyle": (0, (5, 1, 1, 1, 1, 1))},
    {"color": "0.5", "marker": "P", "linestyle": (0, (1, 3))},
)
"""Told apart without colour."""


def effects(
    table: pd.DataFrame, x: str, by: str | None = None, label: str = "", ax: Axes | None = None
) -> Axes:
    """Draw means against a variable: curves with bands, or points with intervals.

    Parameters
    ----------
    table
        Columns `x`, `by`, ``"estimate"``, ``"conf_low"`` and ``"conf_high"``.
    x, by
        Variable of the axis, and that of the curves.
    label
        Of the estimates.
    ax
        Axes to draw in.
    """
    is_curve = types.is_numeric_dtype(table[x]) and table[x].nunique() > 2
    levels = [None] if by is None else list(dict.fromkeys(table[by]))
    shown = [levels[i] for i in sample_levels(len(levels), MOST_CURVES)]
    kinds = list(dict.fromkeys(table[x]))
    places = [kinds[i] for i in sample_levels(len(kinds), MOST_PLACES)]
    names = short_labels(map(_named, places))
    ax = get_axes(ax, 6.0, 4.0 if is_curve else 3.6 + 0.05 * max(map(len, names)))
    for i, level in enumerate(shown):
        own = table if by is None else table[table[by] == level]
        look = LOOKS[i]
        if is_curve:
            _curve(ax, own.sort_values(x), x, look, _named(level))
        else:
            shift = 0.14 * (i - 0.5 * (len(shown) - 1))
            _points(ax, own.set_index(x).reindex(places), shift, look, _named(level))
    if not is_curve:
        _name_places(ax, names)
    if by is not None:
        legend(ax, counted(by, len(shown), len(levels)))
    xlabel = x if is_curve else counted(x, len(places), len(kinds))
    return tidy_axes(ax, xlabel=xlabel, ylabel=short(label, 40))


def estimates(
    table: pd.DataFrame,
    labels: Sequence[str],
    label: str = "",
    null: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the rows of a table of means or contrasts with their intervals.

    Parameters
    ----------
    table
        Columns `labels`, ``"estimate"``, ``"conf_low"`` and ``"conf_high"``.
    labels
        Columns that name a row.
    label
        Of the estimates.
    null
        Where no difference stands: 0, or 1 for ratios.
    ax
        Axes to draw in; where they are low, fewer rows are drawn.
    """
    known = table[table["estimate"].notna()]
    shown = known.iloc[sample_levels(len(known), most_rows(ax, MOST_ROWS, 0.22))]
    names = [", ".join(str(v) for v in row) for row in shown[list(labels)].itertuples(index=False)]
    texts = short_labels(names, 36)
    ax = get_axes(ax, 4.0 + 0.06 * max(map(len, texts), default=0), 1.1 + 0.3 * len(shown))
    place = np.arange(len(shown))[::-1]
    if null is not None:
        ax.axvline(null, color=LIGHT, linewidth=0.8)
    ax.hlines(place, shown["conf_low"], shown["conf_high"], color=DARK, linewidth=1.2)
    ax.plot(shown["estimate"], place, "o", color=DARK, ms=5)
    ax.set_yticks(place, labels=texts)
    ax.set_ylim(-0.7, len(shown) - 0.3)
    rows = ", ".join(labels)
    ylabel = counted(rows, len(shown), len(known)) if len(shown) < len(known) else ""
    return tidy_axes(ax, xlabel=label, ylabel=ylabel)


def legend(ax: Axes, title: str) -> None:
    """Tell the labelled curves above the picture, where nothing is covered."""
    handles = [line for line in ax.lines if not str(line.get_label()).startswith("_")]
    texts = short_labels(str(line.get_label()) for line in handles)
    across = max(1, 52 // (max(map(len, texts)) + 7))
    ax.legend(
        handles,
        texts,
        title=title,
        frameon=False,
        fontsize=9,
        title_fontsize=9,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=min(across, len(texts)),
        columnspacing=1.2,
        handlelength=3.2,
    )


def _named(level: Any) -> str:
    return f"{level:.4g}" if isinstance(level, float) else str(level)


def _curve(ax: Axes, own: pd.DataFrame, x: str, look: dict[str, Any], name: str) -> None:
    ax.fill_between(
        own[x], own["conf_low"], own["conf_high"], color=look["color"], alpha=0.1, linewidth=0
    )
    line = {key: look[key] for key in ("color", "linestyle")}
    ax.plot(own[x], own["estimate"], linewidth=1.6, label=name, **line)


def _points(ax: Axes, own: pd.DataFrame, shift: float, look: dict[str, Any], name: str) -> None:
    place = np.arange(len(own)) + shift
    ax.vlines(place, own["conf_low"], own["conf_high"], color=look["color"], linewidth=1.2)
    line = {**look, "linewidth": 0.7}
    ax.plot(place, own["estimate"], ms=5, label=name, **line)


def _name_places(ax: Axes, names: Sequence[str]) -> None:
    """Name the places of a factor, slanting where the names would touch."""
    ax.set_xticks(range(len(names)), labels=list(names))
    if 0.09 * max(map(len, names)) > size_in_inches(ax)[0] / len(names) - 0.1:
        for label in ax.get_xticklabels():
            label.set(rotation=40, ha="right", rotation_mode="anchor")
    ax.set_xlim(-0.6, len(names) - 0.4)
