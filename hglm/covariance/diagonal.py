"""Independent coefficients with variances of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hglm.covariance.protocol import Mixing
from hglm.typing import Matrix, Vector

__all__ = ["Diagonal"]


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

    def canonical(self, theta: Vector, k: int, bound: float = 0.0) -> Vector:
        sd = np.abs(theta)
        return np.where(sd < bound, 0.0, sd)

    def openings(self, k: int, sd: float = 1.0) -> Matrix:
        return np.zeros((0, k))

    def parameters(self, theta: Vector, k: int, scale: float = 1.0) -> dict[str, float]:
        return {}
