"""Normal posteriors; a standard deviation of zero is a point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from hglm.typing import Matrix, Vector

__all__ = ["NormalPosterior"]


@dataclass(frozen=True, slots=True)
class NormalPosterior:
    """θ_i ~ N(mean_i, sd_i²)."""

    mean: Vector
    """(G,)"""
    sd: Vector
    """(G,) zero where the parameter is known exactly given the prior."""

    def cdf(self, x: Vector | float) -> Vector:
        point = self.sd == 0
        z = (x - self.mean) / np.where(point, 1.0, self.sd)
        out: Vector = np.where(point, z >= 0, special.ndtr(z))
        return out

    def mass(self, x: float) -> Vector:
        out: Vector = np.where((self.sd == 0) & (self.mean == x), 1.0, 0.0)
        return out

    def quantile(self, p: float) -> Vector:
        out: Vector = self.mean + self.sd * special.ndtri(p)
        return out

    def draw(self, rng: np.random.Generator, n: int) -> Matrix:
        return self.mean + self.sd * rng.standard_normal((n, self.mean.size))
