"""Covariances at their boundary, where some variance is zero, and ways off it."""

from __future__ import annotations

import numpy as np

from hglm.covariance import Layout, Slot, null_space
from hglm.typing import Matrix, Vector

__all__ = ["null_spaces", "openings", "starts_by_moments", "with_slot"]


def null_spaces(layout: Layout, theta: Vector, bound: float) -> list[tuple[int, Matrix]]:
    """Find the slots with a singular T, each with a basis of the null space of Σ."""
    found = [null_space(s.structure, theta[s.parameters], s.k, bound) for s in layout.slots]
    return [(i, N) for i, N in enumerate(found) if N.shape[1]]


def openings(slot: Slot, own: Vector, N: Matrix, size: float) -> Matrix:
    """Members of a slot's structure with all null directions opened by `size`. (r, m)

    Parameters
    ----------
    own : (m,)
        Part of θ that is the slot's.
    N : (k, j)
        Basis of the null space.
    size
        Standard deviation.
    """
    shapes = slot.structure.openings(slot.k, size)
    if len(shapes) and N.shape[1] == slot.k:
        return shapes
    T = slot.structure.factor(own, slot.k)
    return slot.structure.from_factor(np.hstack([T, size * N]))[None]


def starts_by_moments(slot: Slot) -> bool:
    """Whether moments of the data say where a search should start."""
    return slot.copies == 1 and not len(slot.structure.openings(slot.k))


def with_slot(theta: Vector, slot: Slot, own: Vector) -> Vector:
    """θ with the slot's part replaced. (m,)"""
    out = theta.copy()
    out[slot.parameters] = own
    return out
