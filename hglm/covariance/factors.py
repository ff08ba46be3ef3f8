"""Triangular factors of covariance matrices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hglm.covariance.protocol import Structure
from hglm.typing import Matrix, Vector

__all__ = ["complex_step_curvature", "correlations", "lower_factor", "null_space"]

EMPTY = 1e-9
"""Part of the largest singular value of T below which one is zero but for rounding."""


def lower_factor(factor: Matrix) -> Matrix:
    """T lower triangular with TT' = FF' and T_ii ≥ 0, for any F (k, m)."""
    r = np.asarray(np.linalg.qr(factor.T, mode="r"))
    k = factor.shape[0]
    T = np.zeros((k, k))
    T[:, : r.shape[0]] = r.T
    return T * np.where(np.diagonal(T) < 0, -1.0, 1.0)


def null_space(structure: Structure, theta: Vector, k: int, bound: float) -> Matrix:
    """Orthonormal basis of the directions whose standard deviation is below `bound`. (k, r)"""
    T = structure.factor(structure.canonical(theta, k, bound), k)
    smallest, largest = np.abs(np.diagonal(T)).min(), np.abs(T).max()
    if smallest > EMPTY * largest:  # a triangular matrix is singular if its diagonal has a zero
        return np.zeros((k, 0))
    u, d, _ = np.linalg.svd(T)
    return np.asarray(u[:, d <= EMPTY * d[0]])


def correlations(factor: Matrix) -> tuple[Vector, Matrix]:
    """Return standard deviations (k,), and correlations (k, k) with NaN where one is zero."""
    sd = np.sqrt((factor**2).sum(axis=1))
    scale = np.where(sd > 0, sd, np.nan)
    return sd, (factor @ factor.T) / np.outer(scale, scale)


def complex_step_curvature(
    derivatives: Callable[[Vector], Matrix], phi: Vector, weights: Matrix
) -> Matrix:
    """Σ_ab weights_ab ∂²T_ab/∂φ∂φ' from ∂T/∂φ (m, k, k), analytic in φ. (m, m)

    A step of 1e-20 along the imaginary axis differentiates to machine precision,
    since nothing is subtracted (Squire & Trapp 1998, SIAM Review 40, 110-112).
    """
    h = 1e-20
    out = np.zeros((len(phi), len(phi)))
    for i, unit in enumerate(np.eye(len(phi))):
        slopes = np.imag(derivatives(phi + 1j * h * unit)) / h
        out[i] = np.tensordot(slopes, weights, 2)
    return 0.5 * (out + out.T)
