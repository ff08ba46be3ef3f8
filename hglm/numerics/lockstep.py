"""Many small minimisations at once, one step of all of them at a time.

Refits of simulated responses are thousands of problems that differ in their data
only. Taken one by one they cost the overhead of every small array operation
thousands of times; in lock-step each operation runs over all problems. The method
is that of `hglm.numerics.quasi_newton`, symmetric rank-one updates in a trust
region, with the region's subproblem solved for all problems together. Problems do
not influence each other: what is computed for one does not depend on its company.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from hglm.numerics.trust_region import TrustRegion, curvature_scale
from hglm.typing import AnyArray, BoolArray, Codes, Matrix, Vector

__all__ = ["Lockstep", "Objective", "Points", "minimise_lockstep", "trust_region_steps"]

BISECTIONS = 20
"""Halvings, on a logarithmic scale, of the range that holds a multiplier: a step is then
as long as it may be within a few thousandths, which is more than the region's size means."""
REJECTIONS = 4
"""After so many rejected steps a tiny predicted decrease is taken as rounding error."""


@dataclass(frozen=True, slots=True)
class Points:
    """The objectives of some problems, at one point each."""

    value: Vector
    """(a,) inf where infeasible."""
    gradient: Matrix
    """(a, m)"""
    warm: AnyArray
    """(a, ...) whatever makes the next evaluation nearby cheaper."""


Objective: TypeAlias = Callable[[Codes, Matrix, AnyArray | None], Points]
"""Numbers of some problems (a,), a point for each (a, m) and the `warm` of its best
point so far (None at the start) to their values."""


@dataclass(frozen=True, slots=True)
class Lockstep:
    """Where the B searches ended."""

    x: Matrix
    """(B, m)"""
    value: Vector
    """(B,)"""
    warm: AnyArray
    """(B, ...)"""
    converged: BoolArray
    """(B,)"""
    evaluations: int
    """Of the slowest."""


def minimise_lockstep(
    objective: Objective, start: Matrix, hessian: Matrix, settings: TrustRegion
) -> Lockstep:
    """Minimise B smooth functions from their exact gradients.

    Parameters
    ----------
    objective
        See `Objective`.
    start : (B, m)
    hessian : (m, m)
        First guess of the Hessian, the same for all problems; it also gives the units
        in which steps are measured.
    settings
        Tolerances.
    """
    n = len(start)
    scale = curvature_scale(hessian)
    at = objective(np.arange(n), start, None)
    x, value, gradient, warm = start.copy(), at.value.copy(), at.gradient / scale, at.warm.copy()
    B = np.repeat((hessian / np.outer(scale, scale))[None], n, axis=0)
    radius = np.full(n, settings.radius or 2.0)
    rejected = np.zeros(n, dtype=np.intp)
    converged = np.zeros(n, dtype=bool)
    active = np.isfinite(value) & np.isfinite(gradient).all(axis=1)
    evaluations = 1
    while active.any() and evaluations < settings.max_evaluations:
        rows = np.flatnonzero(active)
        step, predicted, inside = trust_region_steps(gradient[rows], B[rows], radius[rows])
        noise = 1e-12 * np.maximum(1.0, np.abs(value[rows]))
        small = predicted <= np.maximum(settings.tolerance, noise)
        done = small & (inside | (rejected[rows] > REJECTIONS))
        converged[rows[done]] = True
        active[rows[done | (radius[rows] < 1e-9)]] = False
        moving = active[rows]
        rows, step, predicted = rows[moving], step[moving], predicted[moving]
        noise, inside = noise[moving], inside[moving]
        if not rows.size:
            break
        trial = objective(rows, x[rows] + step / scale, warm[rows])
        evaluations += 1
        finite = np.isfinite(trial.value) & np.isfinite(trial.gradient).all(axis=1)
        slope = np.where(finite[:, None], trial.gradient / scale, 0.0)
        gain = np.where(finite, value[rows] - trial.value, -np.inf)
        ratio = (gain + noise) / (predicted + noise)
        update = _sr1(B[rows], step, slope - gradient[rows])
        B[rows] = np.where(finite[:, None, None], update, B[rows])
        radius[rows] = _radius(radius[rows], ratio, inside, step)
        taken = ratio > 1e-4
        rejected[rows] = np.where(taken, 0, rejected[rows] + 1)
        won = rows[taken]
        x[won] += step[taken] / scale
        value[won], gradient[won] = trial.value[taken], slope[taken]
        warm[won] = trial.warm[taken]
    return Lockstep(x, value, warm, converged, evaluations)


def trust_region_steps(
    gradient: Matrix, hessian: Matrix, radius: Vector
) -> tuple[Matrix, Vector, BoolArray]:
    """Minimise g's + s'Hs/2 subject to ‖s‖ ≤ radius, for many problems.

    Parameters
    ----------
    gradient : (a, m)
    hessian : (a, m, m)
    radius : (a,)

    Returns
    -------
    step : (a, m)
    predicted : (a,)
        Decrease of each quadratic model, ≥ 0.
    inside : (a,)
        Whether the bound is inactive (a full Newton step).
    """
    values, vectors = np.linalg.eigh(hessian)
    c = np.einsum("aij,ai->aj", vectors, gradient)
    floor = 1e-12 * np.maximum(1.0, np.abs(values).max(axis=1, initial=0.0))
    convex = (values > floor[:, None]).all(axis=1)
    s = -c / np.where(convex[:, None], values, 1.0)
    inside = convex & ((s**2).sum(axis=1) <= radius**2)
    out = np.flatnonzero(~inside)
    if out.size:
        s[out] = _bounded(c[out], values[out], radius[out], floor[out])
    predicted = -np.sum(c * s + 0.5 * values * s**2, axis=1)
    return np.einsum("aij,aj->ai", vectors, s), np.maximum(predicted, 0.0), inside


def _bounded(c: Matrix, values: Matrix, radius: Vector, floor: Vector) -> Matrix:
    """Find steps of length `radius` in coordinates of eigenvectors, by bisection. (a, m)"""
    base = np.maximum(0.0, -values[:, 0])[:, None]
    shifted = values + base
    low = floor[:, None]
    high = low + np.sqrt((c**2).sum(axis=1, keepdims=True)) / radius[:, None]
    for _ in range(BISECTIONS):
        middle = np.sqrt(low * high)
        long = ((c / (shifted + middle)) ** 2).sum(axis=1, keepdims=True) > radius[:, None] ** 2
        low, high = np.where(long, middle, low), np.where(long, high, middle)
    s: Matrix = -c / (shifted + high)
    missing = radius**2 - (s**2).sum(axis=1)
    hard = (base[:, 0] > 0.0) & (missing > 1e-8 * radius**2)  # g ⟂ lowest direction
    longer = np.sqrt(s[:, 0] ** 2 + np.maximum(missing, 0.0))
    s[:, 0] = np.where(hard, np.copysign(longer, -c[:, 0]), s[:, 0])
    return s


def _radius(radius: Vector, ratio: Vector, inside: BoolArray, step: Matrix) -> Vector:
    """Shorten where the model was wrong, lengthen where it was right and in the way. (a,)"""
    length = np.linalg.norm(step, axis=1)
    poor = np.where(ratio > 1e-4, 0.5, 0.25) * length
    longer = np.where((ratio > 0.75) & ~inside, 2.5 * radius, radius)
    return np.where(ratio < 0.25, poor, longer)


def _sr1(B: Matrix, s: Matrix, y: Matrix) -> Matrix:
    """Symmetric rank-one updates, skipped where the denominator is negligible. (a, m, m)"""
    r = y - np.einsum("aij,aj->ai", B, s)
    denominator = (r * s).sum(axis=1)
    bound = 1e-8 * np.linalg.norm(r, axis=1) * np.linalg.norm(s, axis=1)
    usable = np.isfinite(denominator) & (np.abs(denominator) > bound)
    r = np.where(usable[:, None], r, 0.0)
    safe = np.where(usable, denominator, 1.0)
    return B + r[:, :, None] * r[:, None, :] / safe[:, None, None]
