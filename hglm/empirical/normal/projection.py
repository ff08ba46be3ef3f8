"""Weighted least squares and the traces that random-effects estimators need.

P = W − W X (X'WX)⁻¹ X'W removes the regression. Every trace follows from sums
over rows and p × p matrices, so nothing of order k² is formed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from hglm.errors import DataError
from hglm.typing import Matrix, Vector

__all__ = ["Projection", "project"]


@dataclass(frozen=True, slots=True)
class Projection:
    """Regression of y on X with weights w, and P = W − WX(X'WX)⁻¹X'W. k rows."""

    X: Matrix
    """(k, p)"""
    weights: Vector
    """(k,)"""
    beta: Vector
    """(p,)"""
    cov: Matrix
    """(p, p) (X'WX)⁻¹."""
    residual: Vector
    """(k,) y − Xβ."""

    @property
    def quadratic(self) -> float:
        """y'Py."""
        return float(self.weights @ self.residual**2)

    @property
    def log_det(self) -> float:
        """log |X'WX|."""
        return -float(np.linalg.slogdet(self.cov)[1]) if self.cov.size else 0.0

    def apply(self, x: Vector) -> Vector:
        """P x for x (k,) or (k, c)."""
        wx = (self.weights * x.T).T
        out: Vector = wx - (self.weights * (self.X @ (self.cov @ (self.X.T @ wx))).T).T
        return out

    def trace(self, d: Vector | float = 1.0) -> float:
        """tr(P D), D diagonal (k,)."""
        inner = self.X.T @ ((self.weights**2 * d)[:, None] * self.X)
        return float((self.weights * d).sum() - np.trace(self.cov @ inner))

    def trace_square(self, d: Vector | float = 1.0) -> float:
        """tr(P D P D), D diagonal (k,)."""
        wd = self.weights * d
        once = self.cov @ (self.X.T @ ((self.weights * wd)[:, None] * self.X))
        twice = self.cov @ (self.X.T @ ((self.weights * wd**2)[:, None] * self.X))
        return float((wd**2).sum() - 2 * np.trace(twice) + np.trace(once @ once))

    def leverage(self) -> Vector:
        """Diagonal of X (X'WX)⁻¹ X'W. (k,)"""
        out: Vector = self.weights * np.einsum("ij,jk,ik->i", self.X, self.cov, self.X)
        return out


def project(y: Vector, X: Matrix, weights: Vector) -> Projection:
    """Fit y on X with known weights.

    Parameters
    ----------
    y : (k,)
    X : (k, p)
    weights : (k,)
        Reciprocal variances.
    """
    if X.shape[1] == 0:
        return Projection(X, weights, np.zeros(0), np.zeros((0, 0)), y)
    root = np.sqrt(weights)
    Q, R = linalg.qr(root[:, None] * X, mode="economic")
    try:
        inverse = linalg.solve_triangular(R, np.eye(X.shape[1]))
    except linalg.LinAlgError:
        raise DataError(
            "The covariates are linearly dependent; remove one of them from the formula."
        ) from None
    beta = inverse @ (Q.T @ (root * y))
    return Projection(X, weights, beta, inverse @ inverse.T, y - X @ beta)
