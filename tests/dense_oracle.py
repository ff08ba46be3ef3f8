"""Linear mixed models with n × n matrices: slow, obvious, and independent of the package.

Everything is written from the model y ~ N(Xβ, σ²V), V = W^-1 + Σ_t Z_t (I ⊗ Σ_t) Z_t',
with V formed and factored whole. Terms are (codes, z, Σ): levels (n,), columns (n, k)
and the relative covariance (k, k) of one level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from hglm.typing import Codes, Matrix, Vector

__all__ = [
    "DenseSolution",
    "Term",
    "dense_covariance",
    "dense_criterion",
    "dense_solution",
    "dense_z",
]

Term = tuple[Codes, Matrix, Matrix]


@dataclass(frozen=True)
class DenseSolution:
    """What is optimal given the relative covariances."""

    criterion: float
    """Minus twice the profiled (restricted) log likelihood."""
    beta: Vector
    sigma2: float
    vcov: Matrix
    """(p, p) covariance of β."""
    V: Matrix
    P: Matrix
    """V^-1 - V^-1X(X'V^-1X)^-1X'V^-1. (n, n)"""
    modes: tuple[Matrix, ...]
    """(q, k) per term."""
    mode_covariances: tuple[Matrix, ...]
    """(q, k, k) per term: of b given y, β and θ."""


def dense_z(codes: Codes, z: Matrix) -> Matrix:
    """Z with the columns of level 0 first, then those of level 1, ... (n, q k)"""
    n, k = z.shape
    q = int(codes.max()) + 1
    out = np.zeros((n, q, k))
    out[np.arange(n), codes] = z
    return out.reshape(n, q * k)


def dense_covariance(terms: Sequence[Term], weights: Vector) -> Matrix:
    """V. (n, n)"""
    V = np.diag(1.0 / weights)
    for codes, z, sigma in terms:
        V = V + (codes[:, None] == codes[None, :]) * (z @ sigma @ z.T)
    return V


def dense_criterion(
    X: Matrix, y: Vector, terms: Sequence[Term], reml: bool, weights: Vector | None = None
) -> float:
    """Minus twice the profiled (restricted) log likelihood."""
    n, p = X.shape
    L = linalg.cholesky(dense_covariance(terms, _ones(weights, n)), lower=True)
    whitened = linalg.solve_triangular(L, np.column_stack([X, y]), lower=True)
    R = np.abs(np.diagonal(linalg.qr(whitened, mode="r")[0]))[: p + 1]
    return _criterion(L, R[:p], R[p] ** 2, n, reml)


def dense_solution(
    X: Matrix, y: Vector, terms: Sequence[Term], reml: bool, weights: Vector | None = None
) -> DenseSolution:
    """Generalised least squares and best linear prediction with V in full."""
    n, p = X.shape
    V = dense_covariance(terms, _ones(weights, n))
    L = linalg.cholesky(V, lower=True)
    LX, Ly = (linalg.solve_triangular(L, a, lower=True) for a in (X, y))
    Q, R = linalg.qr(LX, mode="economic")
    beta = linalg.solve_triangular(R, Q.T @ Ly)
    rss = float(np.sum((Ly - LX @ beta) ** 2))
    sigma2 = rss / (n - p if reml else n)
    inverse = linalg.cho_solve((L, True), np.eye(n))
    half = linalg.solve_triangular(L, Q, lower=True, trans="T")
    P = inverse - half @ half.T
    R_inverse = linalg.solve_triangular(R, np.eye(p))
    modes, covariances = [], []
    for codes, z, sigma in terms:
        Z = dense_z(codes, z)
        k = z.shape[1]
        G = np.kron(np.eye(Z.shape[1] // k), sigma)
        modes.append((G @ Z.T @ P @ y).reshape(-1, k))
        posterior = sigma2 * (G - G @ Z.T @ inverse @ Z @ G)
        blocks = posterior.reshape(len(modes[-1]), k, len(modes[-1]), k)
        covariances.append(np.einsum("jajb->jab", blocks))
    return DenseSolution(
        criterion=_criterion(L, np.abs(np.diagonal(R)), rss, n, reml),
        beta=beta,
        sigma2=sigma2,
        vcov=sigma2 * R_inverse @ R_inverse.T,
        V=V,
        P=P,
        modes=tuple(modes),
        mode_covariances=tuple(covariances),
    )


def _criterion(L: Matrix, R: Vector, rss: float, n: int, reml: bool) -> float:
    nu = n - len(R) if reml else n
    value = 2.0 * np.log(np.diagonal(L)).sum() + nu * (1.0 + np.log(2.0 * np.pi * rss / nu))
    return float(value + (2.0 * np.log(R).sum() if reml else 0.0))


def _ones(weights: Vector | None, n: int) -> Vector:
    return np.ones(n) if weights is None else weights
