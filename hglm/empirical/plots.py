"""Pictures of empirical Bayes fits: axes in, axes out.

Caterpillars need nothing from here: `EBayes.ranef()` has the columns that
`hglm.plots.caterpillar` takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hglm.empirical.normal.forest import forest_table
from hglm.empirical.result import EBayes
from hglm.errors import OptionError
from hglm.plots.axes import DARK, LIGHT, get_axes, sample_levels, tidy_axes
from hglm.plots.labels import counted, short_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["forest", "prior", "shrinkage"]

MOST_LINES = 60
"""Groups that a reader can take in as lines; more are sampled, with a note."""


def forest(fit: EBayes, ax: Axes | None = None, level: float = 0.95) -> Axes:
    """Draw a forest plot: studies as squares by weight, summary as a diamond."""
    table = forest_table(fit, level)
    ax = get_axes(ax, 6.0, 1.0 + 0.25 * len(table))
    height = np.arange(len(table))[::-1]
    numbers = table[["estimate", "conf_low", "conf_high", "weight"]].to_numpy(dtype=float)
    ax.axvline(0.0, color=LIGHT, linewidth=0.8)
    for y, kind, (centre, low, high, weight) in zip(height, table["kind"], numbers, strict=True):
        if kind == "summary":
            ax.fill([low, centre, high, centre], [y, y + 0.3, y, y - 0.3], color=DARK)
            ax.axvline(centre, color=DARK, linestyle=":", linewidth=0.9)
            continue
        ax.plot([low, high], [y, y], color=DARK, linestyle="--" if kind == "prediction" else "-")
        if kind == "group":
            ax.plot(centre, y, "s", color=DARK, markersize=3 + np.sqrt(weight))
    ax.set_yticks(height, short_labels(table["level"], 30))
    return tidy_axes(ax, xlabel="estimate")


def prior(fit: EBayes, ax: Axes | None = None) -> Axes:
    """Draw an estimated prior on a grid, with its standard errors where known."""
    table = fit.prior()
    if "theta" not in table:
        raise OptionError(
            f"The prior of {fit.model!r} is not on a grid; its parameters are in hyperparameters()."
        )
    ax = get_axes(ax)
    if "std_error" in table:
        low = np.maximum(table["mass"] - table["std_error"], 0.0)
        high = table["mass"] + table["std_error"]
        ax.fill_between(table["theta"], low, high, color=LIGHT, alpha=0.5, linewidth=0)
        ax.plot(table["theta"], table["mass"], color=DARK)
    else:
        ax.vlines(table["theta"], 0.0, table["mass"], color=DARK)
    return tidy_axes(ax, xlabel="parameter", ylabel="prior mass")


def shrinkage(fit: EBayes, ax: Axes | None = None, term: str | None = None) -> Axes:
    """Draw each group's own estimate above its posterior mean, joined by a line."""
    table = fit.augment()
    table = table[table["term"] == (term or table["term"].iloc[0])].sort_values("observed")
    if table.empty:
        raise OptionError(f"There is no term {term!r}; choose one of ranef()['term'].")
    shown = table.iloc[sample_levels(len(table), MOST_LINES)]
    ax = get_axes(ax, 6.0, 3.5)
    for own, shrunk in zip(shown["observed"], shown["estimate"], strict=True):
        ax.plot([own, shrunk], [1.0, 0.0], color=LIGHT, linewidth=0.8)
    ax.plot(shown["observed"], np.ones(len(shown)), "o", mfc="white", mec=DARK, markersize=5)
    ax.plot(shown["estimate"], np.zeros(len(shown)), "o", color=DARK, markersize=4)
    ax.set_yticks([0.0, 1.0], ["posterior mean", "own estimate"])
    ax.set_ylim(-0.15, 1.15)
    return tidy_axes(ax, xlabel=counted(str(table["term"].iloc[0]), len(shown), len(table)))
