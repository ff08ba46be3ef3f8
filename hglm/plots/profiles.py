"""Pictures of profile likelihoods: ζ of one parameter, and contours of pairs.

The contours are those of Bates & Watts (1988, Nonlinear Regression Analysis and Its
Applications, appendix 6). In the plane of (ζ_i, ζ_j) the region at distance r touches
its four sides on the profile traces, and between these

    ζ_i = r cos(a + δ(a)/2),  ζ_j = r cos(a - δ(a)/2)

with δ interpolated by a periodic cubic spline: an ellipse where the likelihood is
quadratic. The coordinates are then taken back along the profiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.interpolate import CubicSpline, PchipInterpolator

from hglm.plots.axes import DARK, LIGHT, get_axes, new_figure, tidy_axes
from hglm.typing import Vector

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["contour", "profile_pairs", "profile_zeta"]

LEVELS = (0.5, 0.8, 0.95)
"""Coverages of the contours."""


def profile_zeta(profile: pd.DataFrame, parameter: str, ax: Axes | None = None) -> Axes:
    """Draw ζ against one parameter: a straight line where Wald intervals are right.

    Parameters
    ----------
    profile
        From `Fit.profile()`.
    parameter
        Its name.
    ax
        Axes to draw in.
    """
    ax = get_axes(ax, 4.5, 3.5)
    own = profile[profile["parameter"] == parameter]
    for bound in (-1.96, 1.96):
        ax.axhline(bound, color=LIGHT, linewidth=0.8, linestyle="--")
    ax.axhline(0.0, color=LIGHT, linewidth=0.8)
    ax.plot(own["value"], own["zeta"], "-o", color=DARK, ms=3)
    return tidy_axes(ax, xlabel=parameter, ylabel="ζ")


def profile_pairs(traces: pd.DataFrame, names: Sequence[str], total: int = 0) -> Figure:
    """Draw ζ of each parameter, and below the contours of each pair.

    Parameters
    ----------
    traces
        From `hglm.inference.profile_traces`: columns `parameter, zeta` and one for each of
        `names`.
    names
        Parameters, two to six.
    total
        Number of parameters of which these are a choice, where the reader should know.
    """
    k = len(names)
    figure = new_figure(2.0 * k + 0.6, 1.9 * k + 0.6)
    panels = figure.subplots(k, k, sharex="col", squeeze=False)
    profiles = {name: traces[traces["parameter"] == name] for name in names}
    ranges = {name: _range(own, name) for name, own in profiles.items()}
    for i, row in enumerate(names):
        for j, column in enumerate(names):
            ax = panels[i, j]
            if j > i:
                ax.remove()
                continue
            if i == j:
                profile_zeta(profiles[row].rename(columns={row: "value"}), row, ax)
                ax.yaxis.tick_right()
                ax.yaxis.set_label_position("right")
                ax.spines["right"].set_visible(True)
                ax.spines["left"].set_visible(False)
            else:
                _pair(ax, profiles[column], profiles[row], column, row)
                ax.set_ylim(*ranges[row])
            tidy = {"labelsize": 8}
            ax.tick_params(**tidy, labelbottom=i == k - 1, labelleft=j == 0 and i != j)
            ax.set_xlabel(_wrapped(column) if i == k - 1 else "", fontsize=8)
            ax.set_ylabel("ζ" if i == j else _wrapped(row) if j == 0 else "", fontsize=8)
            ax.locator_params(nbins=4)
            ax.set_xlim(*ranges[column])
    title = "Profiles (diagonal) and contours of 50, 80 and 95 per cent"
    some = f"\n({k} of {total} parameters)" if k < total else ""
    figure.suptitle(title + some, fontsize=10)
    return figure


def contour(
    column: pd.DataFrame, row: pd.DataFrame, x: str, y: str, level: float
) -> tuple[Vector, Vector]:
    """Interpolate the contour of two parameters at a coverage.

    Parameters
    ----------
    column, row
        Profiles of `x` and of `y`: columns ``"zeta"``, `x` and `y`.
    x, y
        Names of the parameters.
    level
        Of the joint region, by χ² with two degrees of freedom.

    Returns
    -------
    x, y : (201,) each
    """
    r = float(np.sqrt(-2.0 * np.log1p(-level)))
    right, left = (_angle(column, y, row, side * r, r) for side in (1.0, -1.0))
    top, bottom = (_angle(row, x, column, side * r, r) for side in (1.0, -1.0))
    a = np.array([-0.5 * right, 0.5 * (np.pi + left), 0.5 * top, -0.5 * (np.pi + bottom)])
    gap = np.array([right, np.pi - left, top, np.pi - bottom])
    a, places = np.unique(a, return_index=True)
    a, gap = np.append(a, a[0] + 2.0 * np.pi), np.append(gap[places], gap[places[0]])
    along = np.linspace(a[0], a[-1], 201)
    between = 0.5 * CubicSpline(a, gap, bc_type="periodic")(along)
    return (
        _from_zeta(column, x)(r * np.cos(along + between)),
        _from_zeta(row, y)(r * np.cos(along - between)),
    )


def _wrapped(name: str) -> str:
    return "\n".join(wrap(name, 24, break_long_words=False)[:3])


def _range(profile: pd.DataFrame, name: str) -> tuple[float, float]:
    """Where a profile is within ζ of ±2.6: just beyond the widest contour."""
    low, high = _from_zeta(profile, name)([-2.6, 2.6])
    return float(low), float(high)


def _angle(own: pd.DataFrame, other: str, profile: pd.DataFrame, zeta: float, r: float) -> float:
    """Arc cosine of ζ of the other parameter on the trace, over r, where ζ of the own is given."""
    value = float(_from_zeta(own, other)(zeta))
    beside = _until_the_border(profile, other)
    return float(np.arccos(np.clip(np.interp(value, beside[other], beside["zeta"]) / r, -1.0, 1.0)))


def _until_the_border(profile: pd.DataFrame, name: str) -> pd.DataFrame:
    """Leave out where a profile stays at the border of the parameter's range."""
    near = profile.loc[profile["zeta"].abs().sort_values(kind="stable").index]
    step = 1e-6 * float(np.ptp(profile[name])) or 1.0
    kept = near.loc[(near[name] / step).round().drop_duplicates().index]
    return kept.sort_values(name)


def _from_zeta(profile: pd.DataFrame, name: str) -> PchipInterpolator:
    """Parameter as a function of ζ along a profile."""
    return PchipInterpolator(profile["zeta"], profile[name])


def _pair(ax: Axes, column: pd.DataFrame, row: pd.DataFrame, x: str, y: str) -> None:
    for level in LEVELS:
        ax.plot(*contour(column, row, x, y, level), color=DARK, linewidth=1.0)
    for profile in (column, row):
        inner = profile[profile["zeta"].abs() <= 2.5]
        ax.plot(inner[x], inner[y], color=LIGHT, linewidth=1.0)
    tidy_axes(ax)
