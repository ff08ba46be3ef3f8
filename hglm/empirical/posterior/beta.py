"""Beta posteriors of probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from hglm.typing import Matrix, Vector

__all__ = ["BetaPosterior"]


@dataclass(frozen=True, slots=True)
class BetaPosterior:
    """θ_i ~ Beta(a_i, b_i)."""

    a: Vector
    """(G,)"""
    b: Vector
    """(G,)"""

    @property
    def mean(self) -> Vector:
        return self.a / (self.a + self.b)

    @property
    def sd(self) -> Vector:
        total = self.a + self.b
        out: Vector = np.sqrt(self.a / total * (self.b / total) / (total + 1.0))
        return out

    def cdf(self, x: Vector | float) -> Vector:
        return np.asarray(special.betainc(self.a, self.b, np.clip(x, 0.0, 1.0)), dtype=float)

    def mass(self, x: float) -> Vector:
        return np.zeros_like(self.a)

    def quantile(self, p: float) -> Vector:
        return np.asarray(special.betaincinv(self.a, self.b, p), dtype=float)

    def draw(self, rng: np.random.Generator, n: int) -> Matrix:
        return rng.beta(self.a, self.b, (n, self.a.size))
