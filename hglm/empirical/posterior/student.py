"""Student posteriors: a normal mean whose variance is unknown too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from hglm.typing import Matrix, Vector

__all__ = ["StudentPosterior"]


@dataclass(frozen=True, slots=True)
class StudentPosterior:
    """θ_i = mean_i + scale_i T, T Student with df_i > 1; the sd needs df > 2."""

    mean: Vector
    """(G,)"""
    scale: Vector
    """(G,)"""
    df: Vector
    """(G,)"""

    @property
    def sd(self) -> Vector:
        finite = self.df > 2
        ratio = self.df / np.where(finite, self.df - 2.0, 1.0)
        out: Vector = np.where(finite, self.scale * np.sqrt(ratio), np.inf)
        return out

    def cdf(self, x: Vector | float) -> Vector:
        out: Vector = special.stdtr(self.df, (x - self.mean) / self.scale)
        return out

    def mass(self, x: float) -> Vector:
        return np.zeros_like(self.mean)

    def quantile(self, p: float) -> Vector:
        out: Vector = self.mean + self.scale * special.stdtrit(self.df, p)
        return out

    def draw(self, rng: np.random.Generator, n: int) -> Matrix:
        return self.mean + self.scale * rng.standard_t(self.df, (n, self.mean.size))
