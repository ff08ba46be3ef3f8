"""Find and prove the optima of a linear mixed model for many responses at once.

As `hglm.fitting.linear` does for one: where a search ends at a singular T, another one
is made from a full covariance and the better result kept; then the boundary is proven
by N'FN ⪰ 0, N the null space of Σ and F = ∂d/∂Σ there. What is left unproven is told, to
be looked at by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hglm.covariance import Layout, null_space
from hglm.criteria.lockstep_linear import ManyResponses, profile_many, sigma_slopes
from hglm.fitting.refit_record import smallest_sd, snap
from hglm.numerics.lockstep import Lockstep, Points, minimise_lockstep
from hglm.numerics.trust_region import TrustRegion
from hglm.typing import AnyArray, BoolArray, Codes, Matrix, Vector

__all__ = ["Optima", "find_optima"]

NEAR = 1e-2
"""Directions of T below it, in units of the residual, may be zero."""
FULL = 0.7
"""Standard deviations of the second start."""
SETTINGS = TrustRegion(tolerance=1e-10, max_evaluations=60)
SAME = 1e-7
"""Rise of the criterion that a variance put to zero may cost."""


@dataclass(frozen=True, slots=True)
class Optima:
    """Where the searches ended."""

    theta: Matrix
    """(B, m)"""
    singular: BoolArray
    """(B,) at a boundary, proven."""
    settled: BoolArray
    """(B,) proven optima; the others want a closer look."""
    converged: BoolArray
    """(B,) whether θ is at least where a closer look may start."""


def find_optima(many: ManyResponses, layout: Layout, start: Vector, hessian: Matrix) -> Optima:
    """Minimise the criterion for every response.

    Parameters
    ----------
    many
        Cross-products.
    layout
        θ to covariance factors, linear.
    start : (m,)
        θ to start from, off the boundary.
    hessian : (m, m)
        Guess of the Hessian there.
    """
    found = _search(many, np.arange(len(many.eZ)), start, hessian)
    theta, value = found.x, found.value
    low = np.flatnonzero(found.converged & (smallest_sd(many.basis, theta) <= NEAR))
    singular = np.zeros(len(theta), dtype=bool)
    if low.size:
        full = layout.from_factors([FULL * np.eye(s.k) for s in layout.slots])
        other = _search(many, low, full, hessian)
        better = other.converged & (other.value < value[low] - SETTINGS.tolerance)
        theta[low[better]], value[low[better]] = other.x[better], other.value[better]
        low = low[smallest_sd(many.basis, theta[low]) <= NEAR]
    if low.size:
        snapped, proven = _on_boundary(many, layout, low, theta[low], value[low])
        theta[low[proven]] = snapped[proven]
        singular[low[proven]] = True
    unproven = smallest_sd(many.basis, theta) <= NEAR
    return Optima(theta, singular, found.converged & (singular | ~unproven), found.converged)


def _search(many: ManyResponses, rows: Codes, start: Vector, hessian: Matrix) -> Lockstep:
    def objective(at: Codes, theta: Matrix, _: AnyArray | None) -> Points:
        return profile_many(many, rows[at], theta).points

    starts = np.repeat(start[None], len(rows), axis=0)
    return minimise_lockstep(objective, starts, hessian, SETTINGS)


def _on_boundary(
    many: ManyResponses, layout: Layout, rows: Codes, theta: Matrix, value: Vector
) -> tuple[Matrix, BoolArray]:
    """Put small variances to zero, and tell for which responses that is optimal."""
    snapped = np.array([snap(layout, t, NEAR) for t in theta])
    at_zero = profile_many(many, rows, snapped).value
    F = sigma_slopes(many, rows, snapped)
    lowest = np.array([_lowest_slope(layout, t, f) for t, f in zip(snapped, F, strict=True)])
    noise = 1e-6 * np.sqrt(many.nobs)
    return snapped, (at_zero <= value + SAME) & (lowest >= -noise)


def _lowest_slope(layout: Layout, theta: Vector, F: Matrix) -> float:
    """Slope of the criterion in the variance that pays most, of those that are zero."""
    slopes = []
    for s in layout.slots:
        N = null_space(s.structure, theta[s.parameters], s.k, NEAR)
        if s.structure.mixing != "linear":  # only variances of single columns can open
            N = np.eye(s.k)[:, (N**2).sum(axis=1) > 0.5]
        if N.shape[1]:
            slopes.append(np.linalg.eigvalsh(N.T @ F[s.columns, s.columns] @ N)[0])
    return float(min(slopes, default=0.0))
