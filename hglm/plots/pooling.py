"""Pictures of partial pooling: arrows from each level alone to the mixed model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hglm.plots.axes import DARK, LIGHT, get_axes, most_rows, sample_levels, tidy_axes
from hglm.plots.labels import counted, short_labels
from hglm.plots.levels import MOST_LEVELS
from hglm.typing import Vector

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["pooling", "shrinkage"]

SPREAD, KINDS = 3.0, 5
"""Ratio and number of distinct sizes from which a picture against size says more."""


def shrinkage(
    separate: pd.DataFrame,
    partial: pd.DataFrame,
    population: tuple[float, float],
    group: str = "level",
    ax: Axes | None = None,
) -> Axes:
    """Draw how far partial pooling moves two coefficients of each level.

    Parameters
    ----------
    separate, partial
        Two coefficients a level (columns), of each level alone and by the mixed model;
        the index of `separate` holds the levels that are drawn.
    population
        The fixed effects.
    group
        What the levels are.
    ax
        Axes to draw in.
    """
    ax = get_axes(ax, 6.0, 5.4)
    x, y = separate.columns
    shown = separate.index[sample_levels(len(separate), MOST_LEVELS)]
    alone, mixed = separate.loc[shown], partial.loc[shown]
    _arrows(ax, alone.to_numpy(dtype=float), mixed.to_numpy(dtype=float))
    ax.plot(*population, "+", color=DARK, ms=14, mew=2, zorder=4)
    _legend(ax, counted(f"{group} alone", len(shown), len(separate)), "+")
    return tidy_axes(ax, xlabel=str(x), ylabel=str(y))


def pooling(
    separate: pd.Series,
    partial: pd.Series,
    sizes: pd.Series,
    population: float,
    group: str = "level",
    ax: Axes | None = None,
) -> Axes:
    """Draw how far partial pooling moves one coefficient of each level.

    Against the number of rows of a level where these differ much, since small levels
    move most; else level by level.

    Parameters
    ----------
    separate, partial, sizes
        Coefficient of each level alone and by the mixed model, and its number of rows;
        the index of `separate` holds the levels that are drawn.
    population
        The fixed effect, to which complete pooling would move all.
    group
        What the levels are.
    ax
        Axes to draw in.
    """
    name = str(separate.name)
    rows = sizes.loc[separate.index]
    if rows.max() >= SPREAD * rows.min() and rows.nunique() >= KINDS:
        order = rows.sort_values(kind="stable").index
        shown = order[sample_levels(len(order), MOST_LEVELS)]
        ax = get_axes(ax, 6.5, 4.5)
        ax.set_xscale("log")
        place = _spread_out(rows.loc[shown].to_numpy(dtype=float))
        _arrows(ax, np.c_[place, separate.loc[shown]], np.c_[place, partial.loc[shown]])
        ax.axhline(population, color=DARK, linewidth=0.9, linestyle="--", zorder=1)
        _plain_ticks(ax, rows)
        tidy_axes(ax, xlabel=f"Rows of the {group}", ylabel=name)
    else:
        order = separate.sort_values().index
        shown = order[sample_levels(len(order), most_rows(ax, MOST_LEVELS))]
        ax = get_axes(ax, 6.0, 1.6 + 0.19 * len(shown))
        place = np.arange(len(shown), dtype=float)
        _arrows(ax, np.c_[separate.loc[shown], place], np.c_[partial.loc[shown], place])
        ax.axvline(population, color=DARK, linewidth=0.9, linestyle="--", zorder=1)
        ax.set_yticks(place, labels=short_labels(shown), fontsize=8)
        ax.set_ylim(-0.8, len(shown) - 0.2)
        tidy_axes(ax, xlabel=name, ylabel=group)
    _legend(ax, counted(f"{group} alone", len(shown), len(separate)), "--")
    return ax


def _arrows(ax: Axes, start: Vector, end: Vector) -> None:
    """Arrows from open to filled points. (q, 2) each"""
    for tail, head in zip(start, end, strict=True):
        arrow = {"arrowstyle": "->", "color": LIGHT, "shrinkA": 2, "shrinkB": 1}
        ax.annotate("", head, tail, arrowprops=arrow)
    ax.plot(*start.T, "o", mfc="white", mec=DARK, ms=5)
    ax.plot(*end.T, "o", color=DARK, ms=4)


def _legend(ax: Axes, alone: str, population: str) -> None:
    """Tell the marks, above the picture, where nothing is covered."""
    handles = [
        ax.plot([], [], "o", mfc="white", mec=DARK, ms=5, label=alone)[0],
        ax.plot([], [], "o", color=DARK, ms=4, label="mixed model")[0],
        ax.plot([], [], population, color=DARK, ms=12, mew=2, lw=0.9, label="population")[0],
    ]
    ax.legend(
        handles=handles,
        frameon=False,
        fontsize=9,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=3,
        columnspacing=1.2,
        handletextpad=0.4,
    )


def _spread_out(sizes: Vector) -> Vector:
    """Move levels of one size slightly apart, so that their arrows can be told. (q,)"""
    out = sizes.copy()
    for size in np.unique(sizes):
        own = np.flatnonzero(sizes == size)
        out[own] *= np.exp(np.linspace(-0.12, 0.12, len(own)) if len(own) > 1 else 0.0)
    return out


def _plain_ticks(ax: Axes, sizes: pd.Series) -> None:
    """Whole numbers at 1, 2, 5, 10, ... in place of powers of ten."""
    ticks = [m * 10**e for e in range(7) for m in (1, 2, 5)]
    inside = [t for t in ticks if sizes.min() <= t <= sizes.max()]
    ax.set_xticks(inside, labels=[f"{t:g}" for t in inside])
    ax.minorticks_off()
