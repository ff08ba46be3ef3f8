"""Covariance structures: θ -> T, the k × k factor of a term's covariance.

Each structure writes the covariance of the k coefficients of one level,
relative to the dispersion, as Σ = T(θ)T(θ)' with T lower triangular and smooth
in θ over the whole real space: θ needs no bounds. Where Σ has a boundary (a
variance of zero, a correlation at its limit) T is an even function of the
parameter that reaches it, so that the boundary is an ordinary stationary point
that an optimiser can sit on and leave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from hglm.typing import Matrix, Vector

__all__ = ["CompoundSymmetry", "Diagonal", "Structure", "Unstructured", "lower_factor"]

Mixing = Literal["linear", "columns", "none"]


class Structure(Protocol):
    """What the rest of the package knows of a covariance structure.

    Invariants, checked for every structure by one conformance suite:
    `derivatives` are those of `factor`, and `curvature` those of
    `derivatives`; `from_factor(factor(θ), k)` has the same Σ as θ;
    `canonical(θ)` has the same Σ as θ.
    """

    @property
    def name(self) -> str:
        """Name in a formula."""
        ...

    @property
    def mixing(self) -> Mixing:
        """Which changes of the columns of Z the structure absorbs: any linear
        one, a positive factor per column, or none but a common factor.
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

    def canonical(self, theta: Vector, k: int) -> Vector:
        """Choose the representative among the θ with the same Σ. (m,)"""
        ...


def lower_factor(factor: Matrix) -> Matrix:
    """T lower triangular with TT' = FF' and T_ii ≥ 0, for any F (k, m)."""
    r = np.asarray(np.linalg.qr(factor.T, mode="r"))
    k = factor.shape[0]
    T = np.zeros((k, k))
    T[:, : r.shape[0]] = r.T
    return T * np.where(np.diagonal(T) < 0, -1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Unstructured:
    """Any covariance matrix; θ holds the lower triangle of T by columns (lme4's θ)."""

    name: str = "us"
    mixing: Mixing = "linear"

    def n_parameters(self, k: int) -> int:
        return k * (k + 1) // 2

    def factor(self, theta: Vector, k: int) -> Matrix:
        T = np.zeros((k, k), dtype=theta.dtype)
        T.T[np.triu_indices(k)] = theta
        return T

    def derivatives(self, theta: Vector, k: int) -> Matrix:
        m = self.n_parameters(k)
        out = np.zeros((m, k, k))
        cols, rows = np.triu_indices(k)
        out[np.arange(m), rows, cols] = 1.0
        return out

    def curvature(self, theta: Vector, k: int, weights: Matrix) -> Matrix:
        return np.zeros((len(theta), len(theta)))

    def from_factor(self, factor: Matrix) -> Vector:
        T = lower_factor(factor)
        out: Vector = T.T[np.triu_indices(len(T))]
        return out

    def canonical(self, theta: Vector, k: int) -> Vector:
        T = self.factor(theta, k)
        T = T * np.where(np.diagonal(T) < 0, -1.0, 1.0)
        out: Vector = T.T[np.triu_indices(k)]
        return out


@dataclass(frozen=True, slots=True)
class Diagonal:
    """Independent coefficients; θ holds their relative standard deviations."""

    name: str = "diag"
    mixing: Mixing = "columns"

    def n_parameters(self, k: int) -> int:
        return k

    def factor(self, theta: Vector, k: int) -> Matrix:
        return np.diag(theta)

    def derivatives(self, theta: Vector, k: int) -> Matrix:
        out = np.zeros((k, k, k))
        out[np.arange(k), np.arange(k), np.arange(k)] = 1.0
        return out

    def curvature(self, theta: Vector, k: int, weights: Matrix) -> Matrix:
        return np.zeros((len(theta), len(theta)))

    def from_factor(self, factor: Matrix) -> Vector:
        out: Vector = np.sqrt((factor**2).sum(axis=1))
        return out

    def canonical(self, theta: Vector, k: int) -> Vector:
        return np.abs(theta)


@dataclass(frozen=True, slots=True)
class CompoundSymmetry:
    """One correlation ρ for all pairs, a standard deviation for each coefficient.

    ρ runs over its whole range [ℓ, 1], ℓ = -1/(k-1): ρ = ℓ + (1-ℓ) sin²φ. The
    standard deviations are squares s². θ = (s_1 ... s_k, φ). With
    a = (1-ρ)^½ = (1-ℓ)^½ cos φ all entries of T are smooth in (s, φ):

        T_jj = s_j² a √(c_j / c_{j-1}),  T_ij = s_i² ρ a / √((1-ρ) c_j c_{j-1}) ...

    evaluated as the closed-form Cholesky factor of (1-ρ)I + ρ11', with
    c_j = 1 + jρ (glmmTMB's heterogeneous `cs`).
    """

    name: str = "cs"
    mixing: Mixing = "columns"

    def n_parameters(self, k: int) -> int:
        return k + 1 if k > 1 else 1

    def factor(self, theta: Vector, k: int) -> Matrix:
        sd = theta[:k] ** 2
        if k == 1:
            return sd[:, None]
        return sd[:, None] * _correlation_factor(theta[k], k)[0]

    def derivatives(self, theta: Vector, k: int) -> Matrix:
        if k == 1:
            return 2.0 * theta[:, None, None]
        C, dC = _correlation_factor(theta[k], k)
        out = np.zeros((k + 1, k, k))
        rows = np.arange(k)
        out[rows, rows] = 2.0 * theta[:k, None] * C
        out[k] = theta[:k, None] ** 2 * dC
        return out

    def curvature(self, theta: Vector, k: int, weights: Matrix) -> Matrix:
        if k == 1:
            return 2.0 * weights
        C, dC = _correlation_factor(theta[k], k)
        ddC = np.imag(_correlation_factor(theta[k] + 1e-20j, k)[1]) / 1e-20  # complex step
        s, rows = theta[:k], np.arange(k)
        out = np.zeros((k + 1, k + 1))
        out[rows, rows] = 2.0 * (weights * C).sum(axis=1)
        out[:k, k] = out[k, :k] = 2.0 * s * (weights * dC).sum(axis=1)
        out[k, k] = s**2 @ (weights * ddC).sum(axis=1)
        return out

    def from_factor(self, factor: Matrix) -> Vector:
        k = factor.shape[0]
        sd = np.sqrt((factor**2).sum(axis=1))
        if k == 1:
            return np.asarray(np.sqrt(sd))
        safe = np.where(sd > 0, sd, 1.0)
        corr = (factor @ factor.T) / np.outer(safe, safe)
        pairs = np.outer(sd > 0, sd > 0)[np.tril_indices(k, -1)]
        values = corr[np.tril_indices(k, -1)][pairs]
        low = -1.0 / (k - 1)
        rho = float(values.mean()) if values.size else 0.0
        phi = np.arcsin(np.sqrt(np.clip((rho - low) / (1.0 - low), 0.0, 1.0)))
        return np.append(np.sqrt(sd), phi)

    def canonical(self, theta: Vector, k: int) -> Vector:
        if k == 1:
            return np.abs(theta)
        phi = np.arcsin(np.minimum(np.abs(np.sin(theta[k])), 1.0))
        return np.append(np.abs(theta[:k]), phi)


def _correlation_factor(phi: float | complex, k: int) -> tuple[Matrix, Matrix]:
    """Cholesky factor of (1-ρ)I + ρ11' and its derivative in φ. (k, k) each

    With c_j = 1 + jρ (j = 0 ... k-1) column j has

        C_jj = √(1-ρ) √(c_j / c_{j-1}),   C_ij = ρ √(1-ρ) / √(c_j c_{j-1}),  i > j,

    c_{-1} = 1-ρ entering the first column only (C_00 = 1, C_i0 = ρ). √(1-ρ) is
    √(1-ℓ) cos φ and √c_{k-1} is √(k-1) √(1-ℓ) sin φ: smooth through both limits.
    """
    low = -1.0 / (k - 1)
    sine, cosine = np.sin(phi), np.cos(phi)
    rho, d_rho = low + (1.0 - low) * sine**2, (1.0 - low) * 2.0 * sine * cosine
    root, d_root = np.sqrt(1.0 - low) * cosine, -np.sqrt(1.0 - low) * sine
    c = 1.0 + rho * np.arange(k)
    width = np.sqrt((k - 1) * (1.0 - low))
    s = np.append(np.sqrt(c[:-1]), width * sine)
    d_s = np.append(d_rho * np.arange(k - 1) / (2.0 * s[:-1]), width * cosine)
    C, dC = np.zeros((2, k, k), dtype=c.dtype)
    C[0, 0] = 1.0
    C[1:, 0], dC[1:, 0] = rho, d_rho
    for j in range(1, k):
        C[j, j] = root * s[j] / s[j - 1]
        dC[j, j] = (d_root * s[j] + root * d_s[j]) / s[j - 1] - C[j, j] * d_s[j - 1] / s[j - 1]
        if j < k - 1:
            C[j + 1 :, j] = rho * root / (s[j] * s[j - 1])
            dC[j + 1 :, j] = (d_rho * root + rho * d_root) / (s[j] * s[j - 1]) - C[j + 1, j] * (
                d_s[j] / s[j] + d_s[j - 1] / s[j - 1]
            )
    return C, dC
