"""Directions in which the covariance of the random effects can move.

Kenward and Roger's method takes the covariance of y as linear in its parameters.
For `us` and `diag` it is: the parameters are the elements of Σ, whatever their
values. For a structure that is not linear (`cs`, `ar1`) the tangent space at the
estimate stands in for it, and the method is the "linear" Kenward-Roger, without
the second derivatives of V (their term R_ij in Kenward & Roger 1997, sec. 3).

Both are the span of ∂Σ/∂θ at the estimate, where the derivatives are of full
rank. At a singular T they are not; the span is then taken at a point just inside
the parameter space, which for linear structures is all of the space again.
"""

from __future__ import annotations

import numpy as np

from hglm.covariance import Layout, Slot, lower_factor
from hglm.inference.scores import Direction
from hglm.typing import Matrix, Vector

__all__ = ["covariance_directions", "theta_directions"]

RANK = 1e-6
"""Singular values of ∂Σ/∂θ, relative to the largest, that count as zero."""
INSIDE = 1e-3
"""Relative standard deviation that opens a singular covariance."""


def theta_directions(layout: Layout, theta: Vector) -> list[Direction]:
    """∂Σ/∂θ_i for every parameter, in order."""
    T = layout.factors(theta)
    return [(t, d @ T[t].T + T[t] @ d.T) for t, d in layout.derivatives(theta)]


def covariance_directions(layout: Layout, theta: Vector) -> list[Direction]:
    """Orthonormal basis of the directions of Σ, slot after slot."""
    out = []
    for slot in layout.slots:
        for D in _basis(slot, theta[slot.parameters]):
            full = np.zeros((layout.orders[slot.group],) * 2)
            full[slot.columns, slot.columns] = D
            out.append((slot.group, full))
    return out


def _basis(slot: Slot, theta: Vector) -> Matrix:
    """Orthonormal basis of the directions of one term. (m, k, k)"""
    size, basis = _span(slot, theta)
    if size < len(theta):
        T = slot.structure.factor(theta, slot.k)
        opening = INSIDE * max(1.0, float(np.abs(T).max())) * np.eye(slot.k)
        inside = slot.structure.from_factor(lower_factor(np.hstack([T, opening])))
        size, basis = _span(slot, inside)
    return basis[:size]


def _span(slot: Slot, theta: Vector) -> tuple[int, Matrix]:
    T = slot.structure.factor(theta, slot.k)
    half = slot.structure.derivatives(theta, slot.k) @ T.T
    D = half + half.swapaxes(1, 2)  # (m, k, k)
    _, values, basis = np.linalg.svd(D.reshape(len(D), -1), full_matrices=False)
    return int(np.sum(values > RANK * max(values[0], RANK))), basis.reshape(-1, slot.k, slot.k)
