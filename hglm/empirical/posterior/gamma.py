"""Gamma posteriors of rates and inverse-gamma posteriors of variances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from hglm.typing import Matrix, Vector

__all__ = ["GammaPosterior", "InverseGammaPosterior"]


@dataclass(frozen=True, slots=True)
class GammaPosterior:
    """θ_i ~ Gamma(shape_i, rate_i)."""

    shape: Vector
    """(G,)"""
    rate: Vector
    """(G,)"""

    @property
    def mean(self) -> Vector:
        return self.shape / self.rate

    @property
    def sd(self) -> Vector:
        out: Vector = np.sqrt(self.shape) / self.rate
        return out

    def cdf(self, x: Vector | float) -> Vector:
        out: Vector = special.gammainc(self.shape, self.rate * np.maximum(x, 0.0))
        return out

    def mass(self, x: float) -> Vector:
        return np.zeros_like(self.shape)

    def quantile(self, p: float) -> Vector:
        out: Vector = special.gammaincinv(self.shape, p) / self.rate
        return out

    def draw(self, rng: np.random.Generator, n: int) -> Matrix:
        return rng.standard_gamma(self.shape, (n, self.shape.size)) / self.rate


@dataclass(frozen=True, slots=True)
class InverseGammaPosterior:
    """1/θ_i ~ Gamma(shape_i, scale_i): the mean needs shape > 1, the sd shape > 2."""

    shape: Vector
    """(G,)"""
    scale: Vector
    """(G,)"""

    @property
    def mean(self) -> Vector:
        out: Vector = np.where(self.shape > 1, self.scale / np.abs(self.shape - 1), np.inf)
        return out

    @property
    def sd(self) -> Vector:
        finite = self.shape > 2
        divisor = np.sqrt(np.where(finite, self.shape - 2, 1.0))
        out: Vector = np.where(finite, self.mean / divisor, np.inf)
        return out

    def cdf(self, x: Vector | float) -> Vector:
        x = np.broadcast_to(np.asarray(x, dtype=float), self.shape.shape)
        positive = x > 0
        ratio = self.scale / np.where(positive, x, 1.0)
        out: Vector = np.where(positive, special.gammaincc(self.shape, ratio), 0.0)
        return out

    def mass(self, x: float) -> Vector:
        return np.zeros_like(self.shape)

    def quantile(self, p: float) -> Vector:
        out: Vector = self.scale / special.gammainccinv(self.shape, p)
        return out

    def draw(self, rng: np.random.Generator, n: int) -> Matrix:
        return self.scale / rng.standard_gamma(self.shape, (n, self.shape.size))
