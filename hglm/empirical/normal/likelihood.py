"""Likelihood and restricted likelihood of τ², y_i ~ N(x_i'β, v_i + τ²).

β is profiled out (ML) or integrated out (REML, with metafor's constants:
½ log |X'X| is included, so that the value does not depend on the units of X).
With unequal v_i the profile may have several maxima and its highest may be at
zero, so it is scanned on a grid before it is polished by Newton's method.
"""

from __future__ import annotations

import numpy as np

from hglm.empirical.normal.projection import Projection, project
from hglm.typing import Matrix, Vector

__all__ = ["log_likelihood", "maximise_tau2", "score"]

_GRID = 40


def log_likelihood(y: Vector, X: Matrix, v: Vector, tau2: float, reml: bool) -> float:
    """Profile (restricted) log-likelihood of τ².

    Parameters
    ----------
    y : (k,)
    X : (k, p)
    v : (k,)
    """
    at = project(y, X, 1 / (v + tau2))
    value = -0.5 * (float(np.log(v + tau2).sum()) + at.quadratic)
    size = y.size
    if reml and X.shape[1]:
        size -= X.shape[1]
        value += 0.5 * (float(np.linalg.slogdet(X.T @ X)[1]) - at.log_det)
    return value - 0.5 * size * float(np.log(2 * np.pi))


def score(y: Vector, at: Projection, reml: bool) -> tuple[float, float]:
    """First derivative in τ² and the expected information.

    Parameters
    ----------
    y : (k,)
    at
        Projection with weights 1/(v + τ²).
    """
    trace = at.trace() if reml else float(at.weights.sum())
    information = at.trace_square() if reml else float((at.weights**2).sum())
    Py = at.apply(y)
    return 0.5 * (float(Py @ Py) - trace), 0.5 * information


def maximise_tau2(y: Vector, X: Matrix, v: Vector, reml: bool) -> tuple[float, int]:
    """Find the highest maximum of the likelihood over τ² ≥ 0, and count evaluations."""
    ordinary = project(y, X, np.ones_like(v))
    least = float(v.min())
    top = max(4.0 * float(np.mean(ordinary.residual**2)), least)
    grid = np.append(0.0, np.geomspace(1e-4 * least, top, _GRID))
    values = np.array([log_likelihood(y, X, v, tau2, reml) for tau2 in grid])
    best = int(values.argmax())
    if best == 0 and score(y, project(y, X, 1 / v), reml)[0] <= 0:
        return 0.0, grid.size
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)]
    tau2, count = _newton(y, X, v, reml, float(grid[best]), float(low), float(high))
    return tau2, count + grid.size


def _newton(
    y: Vector, X: Matrix, v: Vector, reml: bool, x: float, low: float, high: float
) -> tuple[float, int]:
    """Root of the score in [low, high], by Newton's method kept in a shrinking bracket."""
    count = 0
    while count < 100:
        count += 1
        at = project(y, X, 1 / (v + x))
        slope, information = score(y, at, reml)
        low, high = (x, high) if slope > 0 else (low, x)
        Py = at.apply(y)
        observed = float(Py @ at.apply(Py)) - information
        step = slope / (observed if observed > 0 else information)
        new = x + step
        if not low < new < high:
            new = 0.5 * (low + high)
        if abs(new - x) <= 1e-14 * (x + float(v.min()) * 1e-3):
            break
        x = new
    return x, count
