"""Quasi-Newton in a trust region: exact gradients, no Hessian.

Symmetric rank-one updates (Nocedal & Wright 2006, section 6.2) inside the trust
region of `hglm.numerics.trust_region`. They may become indefinite, as the true
Hessian does near a boundary, and they do not stall when it is singular, where
a damped BFGS with a line search does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from hglm.numerics.trust_region import TrustRegion, curvature_scale, trust_region_step
from hglm.typing import Matrix, Vector

__all__ = ["QuasiNewtonResult", "Sloped", "minimise_sr1"]


class Sloped(Protocol):
    """What the objective returns: value and gradient (m,)."""

    @property
    def value(self) -> float:
        """Return the value; inf where infeasible."""
        ...

    @property
    def gradient(self) -> Vector:
        """Gradient (m,)."""
        ...


P = TypeVar("P", bound=Sloped)


@dataclass(frozen=True, slots=True)
class QuasiNewtonResult(Generic[P]):
    """Where the search ended."""

    x: Vector
    """(m,) best point."""
    point: P
    """Objective there."""
    hessian: Matrix
    """(m, m) approximation."""
    predicted_decrease: float
    evaluations: int
    converged: bool
    path: tuple[tuple[Vector, float], ...]


def minimise_sr1(
    objective: Callable[[Vector, P | None], P],
    x: Vector,
    metric: Callable[[Vector, P], Matrix],
    settings: TrustRegion,
    refreshes: int = 2,
) -> QuasiNewtonResult[P]:
    """Minimise a smooth function from its exact gradients.

    Parameters
    ----------
    objective
        x (m,) and the best point so far (for warm starts) to a point.
    x : (m,)
        Start, feasible.
    metric
        Positive definite first guess of the Hessian at a point; asked for
        again after each of the first `refreshes` accepted steps.
    settings
        Tolerances.
    refreshes
        See `metric`.
    """
    point = objective(x, None)
    path = [(x, point.value)]
    settings.seen(path)
    B = metric(x, point)
    scale = curvature_scale(B)
    radius = settings.radius or 2.0
    accepted = stalled = rejected = 0
    while True:
        step, predicted, inside = trust_region_step(point.gradient, B, scale, radius)
        noise = 1e-10 * max(1.0, abs(point.value)) * 1e-2
        done = predicted <= max(settings.tolerance, noise) and (inside or rejected > 4)
        if done or stalled >= 3:
            return QuasiNewtonResult(x, point, B, predicted, len(path), True, tuple(path))
        if len(path) >= settings.max_evaluations or radius < 1e-9:
            return QuasiNewtonResult(x, point, B, predicted, len(path), False, tuple(path))
        trial = x + step
        candidate = objective(trial, point)
        path.append((trial, candidate.value))
        settings.seen(path)
        length = float(np.linalg.norm(step * scale))
        if not np.isfinite(candidate.value):
            radius = 0.25 * length
            rejected += 1
            continue
        actual = point.value - candidate.value
        ratio = (actual + noise) / (predicted + noise)
        B = _sr1(B, step, candidate.gradient - point.gradient)
        if ratio < 0.25:
            radius = 0.5 * length if ratio > 1e-4 else 0.25 * length
        elif ratio > 0.75 and not inside:
            radius = min(2.5 * radius, settings.max_radius)
        if ratio > 1e-4:
            stalled = stalled + 1 if abs(actual) < 10 * settings.tolerance else 0
            x, point, rejected = trial, candidate, 0
            accepted += 1
            if accepted <= refreshes and ratio > 0.1:
                B = metric(x, point)
            scale = np.maximum(curvature_scale(B), 0.1 * scale)
        else:
            rejected += 1


def _sr1(B: Matrix, s: Vector, y: Vector) -> Matrix:
    """Symmetric rank-one update, skipped where its denominator is negligible."""
    r = y - B @ s
    denominator = float(r @ s)
    if abs(denominator) < 1e-8 * float(np.linalg.norm(r) * np.linalg.norm(s)) or not np.isfinite(
        denominator
    ):
        return B
    return B + np.outer(r, r) / denominator
