"""Correlation structures: φ -> C, the k × k factor of a correlation matrix.

C(φ) is lower triangular with rows of unit length, R = CC', and smooth in φ over
the whole real space, through the limits of the correlations. With one standard
deviation for all coefficients or one for each it makes a covariance structure
(`hglm.covariance.scaled`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hglm.typing import Matrix, Vector

__all__ = ["Correlation", "Independent"]


class Correlation(Protocol):
    """A family of correlation matrices; the verbs are those of `Structure`."""

    def n_parameters(self, k: int) -> int:
        """Length of φ."""
        ...

    def factor(self, phi: Vector, k: int) -> Matrix:
        """C, lower triangular. (k, k)"""
        ...

    def derivatives(self, phi: Vector, k: int) -> Matrix:
        """∂C/∂φ. (m, k, k)"""
        ...

    def curvature(self, phi: Vector, k: int, weights: Matrix) -> Matrix:
        """Σ_ab weights_ab ∂²C_ab/∂φ∂φ' for weights (k, k). (m, m)"""
        ...

    def from_correlations(self, R: Matrix) -> Vector:
        """φ of the member at, or near, R (k, k), which is NaN where unknown. (m,)"""
        ...

    def canonical(self, phi: Vector, k: int, bound: float = 0.0) -> Vector:
        """Return the representative φ; within `bound` of a limit of C, at that limit. (m,)"""
        ...

    def openings(self, k: int) -> Matrix:
        """Members from weak to strong correlation. (r, m)"""
        ...

    def parameters(self, phi: Vector, k: int) -> dict[str, float]:
        """Return what there is to report."""
        ...


@dataclass(frozen=True, slots=True)
class Independent:
    """No correlations."""

    def n_parameters(self, k: int) -> int:
        return 0

    def factor(self, phi: Vector, k: int) -> Matrix:
        return np.eye(k)

    def derivatives(self, phi: Vector, k: int) -> Matrix:
        return np.zeros((0, k, k))

    def curvature(self, phi: Vector, k: int, weights: Matrix) -> Matrix:
        return np.zeros((0, 0))

    def from_correlations(self, R: Matrix) -> Vector:
        return np.zeros(0)

    def canonical(self, phi: Vector, k: int, bound: float = 0.0) -> Vector:
        return phi

    def openings(self, k: int) -> Matrix:
        return np.zeros((1, 0))

    def parameters(self, phi: Vector, k: int) -> dict[str, float]:
        return {}
