"""Pictures of residuals and of distributions against the normal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from hglm.plots.axes import DARK, LIGHT, get_axes, tidy_axes
from hglm.typing import Vector

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["qq", "residuals_fitted", "scale_location"]

MOST_POINTS = 5000


def residuals_fitted(
    fitted: Vector, residuals: Vector, label: str = "Pearson residual", ax: Axes | None = None
) -> Axes:
    """Draw residuals against fitted values, with their running median.

    Parameters
    ----------
    fitted, residuals : (n,)
    label
        What the residuals are.
    ax
        Axes to draw in.
    """
    ax = get_axes(ax)
    _cloud(ax, fitted, residuals)
    ax.axhline(0.0, color=LIGHT, linewidth=0.8)
    ax.plot(*_running_median(fitted, residuals), color=DARK, linewidth=1.5)
    return tidy_axes(ax, xlabel="Fitted value", ylabel=label)


def scale_location(
    fitted: Vector, residuals: Vector, label: str = "Pearson residual", ax: Axes | None = None
) -> Axes:
    """Draw the size of residuals against fitted values, with their running median."""
    ax = get_axes(ax)
    size = np.sqrt(np.abs(residuals))
    _cloud(ax, fitted, size)
    ax.plot(*_running_median(fitted, size), color=DARK, linewidth=1.5)
    return tidy_axes(ax, xlabel="Fitted value", ylabel=f"√|{label}|")


def qq(values: Vector, label: str, ax: Axes | None = None) -> Axes:
    """Draw ordered values against normal quantiles, with the line through the quartiles.

    Parameters
    ----------
    values : (n,)
    label
        What they are.
    ax
        Axes to draw in.
    """
    ax = get_axes(ax, 4.5, 4.5)
    ordered = np.sort(values)
    n = len(ordered)
    normal = ndtri((np.arange(1, n + 1) - 0.375) / (n + 0.25))  # Blom's plotting positions
    low, high = np.quantile(ordered, [0.25, 0.75])
    slope = (high - low) / (2.0 * ndtri(0.75))
    ends = np.array([normal[0], normal[-1]]) if n else np.zeros(2)
    ax.plot(ends, 0.5 * (low + high) + slope * ends, color=LIGHT)
    keep = np.unique(np.linspace(0, n - 1, min(n, MOST_POINTS)).round().astype(int))
    ax.plot(normal[keep], ordered[keep], "o", color=DARK, ms=3)
    return tidy_axes(ax, xlabel="Normal quantile", ylabel=label)


def _cloud(ax: Axes, x: Vector, y: Vector) -> None:
    n = len(x)
    keep = np.arange(n) if n <= MOST_POINTS else np.linspace(0, n - 1, MOST_POINTS).astype(int)
    ax.plot(x[keep], y[keep], "o", mfc="none", mec=LIGHT, ms=3)


def _running_median(x: Vector, y: Vector) -> tuple[Vector, Vector]:
    """Medians of y in bins of equally many x, of fifteen rows or more, at most twelve."""
    order = np.argsort(x, kind="stable")
    parts = np.array_split(order, int(np.clip(len(x) // 15, 1, 12)))
    return (
        np.array([np.median(x[part]) for part in parts]),
        np.array([np.median(y[part]) for part in parts]),
    )
