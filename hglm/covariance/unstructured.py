"""Covariance matrices without structure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hglm.covariance.factors import lower_factor
from hglm.covariance.protocol import Mixing
from hglm.typing import Codes, Matrix, Vector

__all__ = ["Unstructured"]


@dataclass(frozen=True, slots=True)
class Unstructured:
    """Any covariance matrix; θ holds the lower triangle of T by columns (lme4's θ)."""

    name: str = "us"
    mixing: Mixing = "linear"

    def n_parameters(self, k: int) -> int:
        return k * (k + 1) // 2

    def factor(self, theta: Vector, k: int) -> Matrix:
        T = np.zeros((k, k), dtype=theta.dtype)
        T.T[_lower(k)] = theta
        return T

    def derivatives(self, theta: Vector, k: int) -> Matrix:
        return _units(k)

    def curvature(self, theta: Vector, k: int, weights: Matrix) -> Matrix:
        return np.zeros((len(theta), len(theta)))

    def from_factor(self, factor: Matrix) -> Vector:
        T = lower_factor(factor)
        out: Vector = T.T[_lower(len(T))]
        return out

    def canonical(self, theta: Vector, k: int, bound: float = 0.0) -> Vector:
        T = self.factor(theta, k)
        if bound > 0.0:
            u, d, _ = np.linalg.svd(T)
            if d[-1] < bound:
                T = lower_factor(u * np.where(d < bound, 0.0, d))
        T = T * np.where(np.diagonal(T) < 0, -1.0, 1.0)
        out: Vector = T.T[_lower(k)]
        return out

    def openings(self, k: int, sd: float = 1.0) -> Matrix:
        return np.zeros((0, self.n_parameters(k)))

    def parameters(self, theta: Vector, k: int, scale: float = 1.0) -> dict[str, float]:
        return {}


@lru_cache(maxsize=64)
def _lower(k: int) -> tuple[Codes, Codes]:
    """Columns and rows of the lower triangle, column after column."""
    columns, rows = np.triu_indices(k)
    return columns, rows


@lru_cache(maxsize=64)
def _units(k: int) -> Matrix:
    """One matrix for each entry of the lower triangle, 1 there. (k (k + 1) / 2, k, k)"""
    columns, rows = _lower(k)
    out = np.zeros((len(rows), k, k))
    out[np.arange(len(rows)), rows, columns] = 1.0
    out.setflags(write=False)
    return out
