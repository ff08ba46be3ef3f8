"""Covariances from correlations: one standard deviation for all, or one for each.

    homogeneous      T = s C(φ)          θ = (s, φ)
    heterogeneous    T_i. = s_i² C_i.(φ)    θ = (s_1 ... s_k, φ)

A common factor may be of either sign: Σ is even in s. Single standard deviations
are squares, since a change of sign of one of them would turn the signs of its
correlations, which a family of correlations need not allow.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hglm.covariance.correlation import Correlation, Independent
from hglm.covariance.factors import correlations
from hglm.covariance.protocol import Mixing
from hglm.typing import Matrix, Vector

__all__ = ["Heterogeneous", "Homogeneous"]

_SINGLE = Independent()
"""Correlations of a single coefficient, whatever the family."""


@dataclass(frozen=True, slots=True)
class Homogeneous:
    """Coefficients of one variance: Σ = s² C(φ)C(φ)'."""

    name: str
    correlation: Correlation
    mixing: Mixing = field(default="none", init=False)

    def n_parameters(self, k: int) -> int:
        return 1 + self._of(k).n_parameters(k)

    def factor(self, theta: Vector, k: int) -> Matrix:
        out: Matrix = theta[0] * self._of(k).factor(theta[1:], k)
        return out

    def derivatives(self, theta: Vector, k: int) -> Matrix:
        C = self._of(k).factor(theta[1:], k)
        dC = self._of(k).derivatives(theta[1:], k)
        return np.concatenate([C[None], theta[0] * dC])

    def curvature(self, theta: Vector, k: int, weights: Matrix) -> Matrix:
        out = np.zeros((len(theta), len(theta)))
        if len(theta) > 1:
            dC = self._of(k).derivatives(theta[1:], k)
            out[0, 1:] = out[1:, 0] = np.tensordot(dC, weights, 2)
            out[1:, 1:] = theta[0] * self._of(k).curvature(theta[1:], k, weights)
        return out

    def from_factor(self, factor: Matrix) -> Vector:
        sd, R = correlations(factor)
        k = len(sd)
        return np.append(np.sqrt(np.mean(sd**2)), self._of(k).from_correlations(R))

    def canonical(self, theta: Vector, k: int, bound: float = 0.0) -> Vector:
        s = abs(theta[0])
        if s == 0.0 or s < bound:
            return np.append(0.0, self._of(k).canonical(theta[1:], k))
        return np.append(s, self._of(k).canonical(theta[1:], k, bound / s))

    def openings(self, k: int, sd: float = 1.0) -> Matrix:
        phi = self._of(k).openings(k)
        return np.column_stack([np.full(len(phi), sd), phi])

    def parameters(self, theta: Vector, k: int, scale: float = 1.0) -> dict[str, float]:
        return {"sd": scale * abs(float(theta[0])), **self._of(k).parameters(theta[1:], k)}

    def _of(self, k: int) -> Correlation:
        return self.correlation if k > 1 else _SINGLE


@dataclass(frozen=True, slots=True)
class Heterogeneous:
    """Coefficients of different variances: Σ = D C(φ)C(φ)' D, D = diag(s²)."""

    name: str
    correlation: Correlation
    by_moments: bool = False
    """Whether the moments of the data tell where a search should start."""
    mixing: Mixing = field(default="columns", init=False)

    def n_parameters(self, k: int) -> int:
        return k + self._of(k).n_parameters(k)

    def factor(self, theta: Vector, k: int) -> Matrix:
        out: Matrix = theta[:k, None] ** 2 * self._of(k).factor(theta[k:], k)
        return out

    def derivatives(self, theta: Vector, k: int) -> Matrix:
        s, rows = theta[:k], np.arange(k)
        out = np.zeros((len(theta), k, k))
        out[rows, rows] = 2.0 * s[:, None] * self._of(k).factor(theta[k:], k)
        out[k:] = s[:, None] ** 2 * self._of(k).derivatives(theta[k:], k)
        return out

    def curvature(self, theta: Vector, k: int, weights: Matrix) -> Matrix:
        s, rows = theta[:k], np.arange(k)
        out = np.zeros((len(theta), len(theta)))
        out[rows, rows] = 2.0 * (weights * self._of(k).factor(theta[k:], k)).sum(axis=1)
        dC = self._of(k).derivatives(theta[k:], k)
        out[:k, k:] = 2.0 * s[:, None] * (weights * dC).sum(axis=2).T
        out[k:, :k] = out[:k, k:].T
        out[k:, k:] = self._of(k).curvature(theta[k:], k, s[:, None] ** 2 * weights)
        return out

    def from_factor(self, factor: Matrix) -> Vector:
        sd, R = correlations(factor)
        return np.append(np.sqrt(sd), self._of(len(sd)).from_correlations(R))

    def canonical(self, theta: Vector, k: int, bound: float = 0.0) -> Vector:
        s = np.abs(theta[:k])
        s = np.where(s**2 < bound, 0.0, s)
        smallest = float(np.min(s[s > 0], initial=np.inf)) ** 2
        phi = self._of(k).canonical(theta[k:], k, bound / smallest)
        return np.append(s, phi)

    def openings(self, k: int, sd: float = 1.0) -> Matrix:
        phi = self._of(k).openings(k)[: 0 if self.by_moments else None]
        return np.column_stack([np.full((len(phi), k), np.sqrt(sd)), phi])

    def parameters(self, theta: Vector, k: int, scale: float = 1.0) -> dict[str, float]:
        return self._of(k).parameters(theta[k:], k)

    def _of(self, k: int) -> Correlation:
        return self.correlation if k > 1 else _SINGLE
