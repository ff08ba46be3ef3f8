"""Covariance structures: θ -> T, the k × k factor of a term's covariance.

Each structure writes the covariance of the k coefficients of one level,
relative to the dispersion, as Σ = T(θ)T(θ)' with T lower triangular and smooth
in θ over the whole real space: θ needs no bounds. Where Σ has a boundary (a
variance of zero, a correlation at its limit) T is an even function of the
parameter that reaches it, so that the boundary is an ordinary stationary point
that an optimiser can sit on and leave.
"""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

from hglm.typing import Matrix, Vector

__all__ = ["Mixing", "Structure"]

Mixing: TypeAlias = Literal["linear", "columns", "none"]


class Structure(Protocol):
    """What the rest of the package knows of a covariance structure.

    Invariants, checked for every structure by one conformance suite:
    `derivatives` are those of `factor`, and `curvature` those of
    `derivatives`; `from_factor(factor(θ))` has the same Σ as θ (kernels of
    distance come near); `canonical(θ)` has the same Σ as θ.
    """

    @property
    def name(self) -> str:
        """Name in a formula."""
        ...

    @property
    def mixing(self) -> Mixing:
        """Changes of the columns of Z that the structure absorbs.

        Any linear one, a positive factor per column, or none but a common factor.
        """
        ...

    def n_parameters(self, k: int) -> int:
        """Length of θ."""
        ...

    def factor(self, theta: Vector, k: int) -> Matrix:
        """T, lower triangular. (k, k)"""
        ...

    def derivatives(self, theta: Vector, k: int) -> Matrix:
        """∂T/∂θ. (m, k, k)"""
        ...

    def curvature(self, theta: Vector, k: int, weights: Matrix) -> Matrix:
        """Σ_ab weights_ab ∂²T_ab/∂θ∂θ' for weights (k, k). (m, m)"""
        ...

    def from_factor(self, factor: Matrix) -> Vector:
        """θ of the member of the family at, or near, Σ = factor factor'. (m,)"""
        ...

    def canonical(self, theta: Vector, k: int, bound: float = 0.0) -> Vector:
        """Return the representative among the θ with the same Σ. (m,)

        Standard deviations of the coefficients, or of combinations of them,
        that are smaller than `bound` are put to zero.
        """
        ...

    def openings(self, k: int, sd: float = 1.0) -> Matrix:
        """Members with one standard deviation, from weak to strong correlation. (r, m)

        They are tried at the start of a search, and where the variance is zero
        and says nothing of the correlations. None (r = 0) where the moments of
        the data and the directions of zero variance tell what is to be tried.
        """
        ...

    def parameters(self, theta: Vector, k: int, scale: float = 1.0) -> dict[str, float]:
        """Return what there is to report beside a standard deviation for each coefficient.

        ``"sd"``, times `scale`, where all coefficients have the same; correlations,
        ranges and the like under their names.
        """
        ...
