"""Pictures of empirical Bayes fits: Axes in, Axes out.

matplotlib is not imported: the caller brings the Axes. Caterpillar and
shrinkage plots need nothing from here: `EBayes.ranef()` has the columns that
the plots of mixed models take.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hglm.empirical.normal.forest import forest_table
from hglm.empirical.result import EBayes
from hglm.errors import OptionError

__all__ = ["forest", "prior", "shrinkage"]


def forest(fit: EBayes, ax: Any, level: float = 0.95) -> Any:
    """Draw a forest plot: studies as squares by weight, summary as a diamond."""
    table = forest_table(fit, level)
    height = np.arange(len(table))[::-1]
    numbers = table[["estimate", "conf_low", "conf_high", "weight"]].to_numpy(dtype=float)
    for y, kind, (centre, low, high, weight) in zip(height, table["kind"], numbers, strict=True):
        if kind == "summary":
            ax.fill([low, centre, high, centre], [y, y + 0.3, y, y - 0.3], color="C0")
            ax.axvline(centre, color="C0", linestyle=":", linewidth=1)
            continue
        ax.plot([low, high], [y, y], color="0.3", linestyle="--" if kind == "prediction" else "-")
        if kind == "group":
            ax.plot(centre, y, "s", color="0.1", markersize=3 + np.sqrt(weight))
    ax.axvline(0.0, color="0.7", linewidth=1)
    ax.set_yticks(height, [str(level) for level in table["level"]])
    ax.set_xlabel("estimate")
    return ax


def prior(fit: EBayes, ax: Any) -> Any:
    """Draw an estimated prior on a grid, with its standard errors where known."""
    table = fit.prior()
    if "theta" not in table:
        raise OptionError(
            f"The prior of {fit.model!r} is not on a grid; its parameters are in hyperparameters()."
        )
    if "std_error" in table:
        low = np.maximum(table["mass"] - table["std_error"], 0.0)
        ax.fill_between(table["theta"], low, table["mass"] + table["std_error"], alpha=0.3)
        ax.plot(table["theta"], table["mass"], color="C0")
    else:
        ax.vlines(table["theta"], 0.0, table["mass"], color="C0")
    ax.set_xlabel("parameter")
    ax.set_ylabel("prior mass")
    return ax


def shrinkage(fit: EBayes, ax: Any, term: str | None = None) -> Any:
    """Draw each group's own estimate above its posterior mean, joined by a line."""
    table = fit.augment()
    table = table[table["term"] == (term or table["term"].iloc[0])]
    if table.empty:
        raise OptionError(f"There is no term {term!r}; choose one of ranef()['term'].")
    for own, shrunk in zip(table["observed"], table["estimate"], strict=True):
        ax.plot([own, shrunk], [1.0, 0.0], color="0.6", linewidth=0.8)
    ax.plot(table["observed"], np.ones(len(table)), "o", color="0.2", markersize=3)
    ax.plot(table["estimate"], np.zeros(len(table)), "o", color="C0", markersize=3)
    ax.set_yticks([0.0, 1.0], ["posterior mean", "own estimate"])
    ax.set_xlabel(str(table["term"].iloc[0]))
    return ax
