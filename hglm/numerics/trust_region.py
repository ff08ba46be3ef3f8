"""Newton's method in a trust region, for a handful of parameters.

The subproblem is solved exactly from the eigen-decomposition of the scaled
Hessian (Conn, Gould & Toint 2000, Trust-Region Methods, section 7.3): the
Hessian may be indefinite, and a singular one does not stall the step, which
is what happens to line searches at rank-deficient covariance matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from hglm.typing import Matrix, Vector

__all__ = [
    "Point",
    "TrustRegion",
    "TrustRegionResult",
    "curvature_scale",
    "minimise",
    "trust_region_step",
]


class Point(Protocol):
    """What the objective returns: value, gradient (m,) and Hessian (m, m)."""

    @property
    def value(self) -> float:
        """Return the value; inf where infeasible."""
        ...

    @property
    def gradient(self) -> Vector:
        """Gradient (m,)."""
        ...

    @property
    def hessian(self) -> Matrix:
        """Hessian (m, m)."""
        ...


P = TypeVar("P", bound=Point)


@dataclass(frozen=True, slots=True)
class TrustRegion:
    """Settings.

    Parameters
    ----------
    tolerance
        Stop when the predicted decrease of the objective is below it.
    max_evaluations
        Give up after so many evaluations.
    radius, max_radius
        First and largest length of a step in scaled coordinates. A first
        radius of None trusts the first Newton step.
    watch
        Called after every evaluation with its number in this search and its value.
    """

    tolerance: float = 1e-9
    max_evaluations: int = 200
    radius: float | None = None
    max_radius: float = 1e6
    watch: Callable[[int, float], None] | None = None

    def seen(self, path: Sequence[tuple[Vector, float]]) -> None:
        """Tell who watches of the latest evaluation."""
        if self.watch is not None:
            self.watch(len(path), path[-1][1])


@dataclass(frozen=True, slots=True)
class TrustRegionResult(Generic[P]):
    """Where the search ended."""

    x: Vector
    """(m,) best point."""
    point: P
    """Objective there."""
    step: Vector
    """(m,) the step from x that the local quadratic model still asks for."""
    predicted_decrease: float
    """How much that step promises."""
    evaluations: int
    converged: bool
    path: tuple[tuple[Vector, float], ...]
    """Every point tried, with its value."""


def minimise(
    objective: Callable[[Vector], P],
    x: Vector,
    settings: TrustRegion,
    first: P | None = None,
) -> TrustRegionResult[P]:
    """Minimise a smooth function whose value, gradient and Hessian come together.

    Parameters
    ----------
    objective
        Pure function of x (m,). A value of inf marks an infeasible point.
    x : (m,)
        Start; must be feasible.
    settings
        Tolerances.
    first
        The objective at x, where it is known already.
    """
    point = objective(x) if first is None else first
    path = [(x, point.value)]
    settings.seen(path)
    scale = curvature_scale(point.hessian)
    radius = settings.radius or _newton_length(point, scale)
    idle = 0  # trials in a row that gained nothing
    while True:
        step, predicted, inside = trust_region_step(point.gradient, point.hessian, scale, radius)
        noise = 1e-14 * max(1.0, abs(point.value))
        if predicted <= max(settings.tolerance, noise) and (inside or idle > 8):
            return TrustRegionResult(x, point, step, predicted, len(path), True, tuple(path))
        if len(path) >= settings.max_evaluations or radius < 1e-10:
            return TrustRegionResult(x, point, step, predicted, len(path), False, tuple(path))
        trial = x + step
        candidate = objective(trial)
        path.append((trial, candidate.value))
        settings.seen(path)
        actual = point.value - candidate.value
        ratio = (actual + noise) / (predicted + noise) if np.isfinite(candidate.value) else -1.0
        length = float(np.linalg.norm(step * scale))
        if ratio < 0.25:
            radius = 0.25 * length
        elif ratio > 0.75 and not inside:
            radius = min(2.0 * radius, settings.max_radius)
        idle = 0 if actual > settings.tolerance else idle + 1
        if ratio > 1e-4:
            x, point = trial, candidate
            scale = np.maximum(curvature_scale(point.hessian), 0.1 * scale)


def _newton_length(point: Point, scale: Vector) -> float:
    """Length of the first Newton step, for a convex model; else 1."""
    step, _, inside = trust_region_step(point.gradient, point.hessian, scale, np.inf)
    return max(1.0, 1.001 * float(np.linalg.norm(step * scale))) if inside else 1.0


def trust_region_step(
    gradient: Vector, hessian: Matrix, scale: Vector, radius: float
) -> tuple[Vector, float, bool]:
    """Minimise g's + s'Hs/2 subject to ‖scale ∘ s‖ ≤ radius.

    Returns
    -------
    step : (m,)
    predicted
        Decrease of the quadratic model, ≥ 0.
    inside
        Whether the bound is inactive (a full Newton step).
    """
    if gradient.size == 0:
        return gradient, 0.0, True
    values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
    c = vectors.T @ (gradient / scale)
    floor = 1e-12 * max(1.0, float(np.abs(values).max()))
    convex = values[0] > -floor
    s = -c / (values + (0.0 if values[0] > floor else 2 * floor)) if convex else c
    inside = bool(convex and s @ s <= radius**2)
    if not inside and np.isfinite(radius):
        s = -c / (values + _multiplier(c, values, radius, floor))
        missing = radius**2 - float(s @ s)
        if not convex and missing > 1e-8 * radius**2:  # the "hard case": g ⟂ lowest direction
            s[0] = np.copysign(np.sqrt(s[0] ** 2 + missing), -c[0])
    predicted = -float(c @ s + 0.5 * (values * s) @ s)
    return vectors @ s / scale, max(predicted, 0.0), inside


def _multiplier(c: Vector, values: Vector, radius: float, floor: float) -> float:
    """Find μ > -λ_min with ‖c / (λ + μ)‖ = radius, by bisection on the log of μ + λ_min."""
    base = max(0.0, -float(values[0]))
    shifted = values + base
    low = floor
    if np.linalg.norm(c / (shifted + low)) <= radius:
        return base + low
    high = low + float(np.linalg.norm(c)) / radius
    while high > low * (1 + 1e-6):
        middle = np.sqrt(low * high)
        if np.linalg.norm(c / (shifted + middle)) > radius:
            low = middle
        else:
            high = middle
    return base + float(high)


def curvature_scale(hessian: Matrix) -> Vector:
    """Per-parameter scaling from the curvature. (m,)"""
    diagonal = np.sqrt(np.abs(np.diagonal(hessian)))
    top = float(diagonal.max(initial=0.0))
    out: Vector = np.maximum(diagonal, 1e-3 * top if top > 0 else 1.0)
    return out
