"""Posteriors under a mixture of uniforms: mixtures of cut normals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from hglm.empirical.posterior.bisection import bisect_quantile
from hglm.empirical.posterior.discrete import choose_components
from hglm.empirical.posterior.truncated import log_interval_probability, truncated_moments
from hglm.typing import Matrix, Vector

__all__ = ["UniformMixturePosterior"]


@dataclass(frozen=True, slots=True)
class UniformMixturePosterior:
    """θ_i ~ Σ_k weights_ik N(y_i, se_i²) cut to [low_k, high_k]; low = high is an atom."""

    weights: Matrix
    """(G, K) rows sum to one."""
    y: Vector
    """(G,) observations."""
    se: Vector
    """(G,) their standard errors."""
    low: Vector
    """(K,)"""
    high: Vector
    """(K,)"""

    @property
    def mean(self) -> Vector:
        return self._moments()[0]

    @property
    def sd(self) -> Vector:
        return self._moments()[1]

    def cdf(self, x: Vector | float) -> Vector:
        at = np.clip(np.reshape(x, (-1, 1)), self.low, self.high)
        a, b = self._standardised()
        with np.errstate(invalid="ignore"):
            below = np.exp(
                log_interval_probability(a, (at - self.y[:, None]) / self.se[:, None])
                - log_interval_probability(a, b)
            )
        atom = self.low == self.high
        reached = np.reshape(x, (-1, 1)) >= self.low
        out: Vector = np.einsum("ik,ik->i", self.weights, np.where(atom, reached, below))
        return out

    def mass(self, x: float) -> Vector:
        atom = (self.low == self.high) & (self.low == x)
        out: Vector = self.weights[:, atom].sum(axis=1)
        return out

    def quantile(self, p: float) -> Vector:
        low = np.full(self.y.size, self.low.min())
        high = np.full(self.y.size, self.high.max())
        atoms = self.low[self.low == self.high]
        return bisect_quantile(self.cdf, p, low - 1e-9 * np.abs(low) - 1e-300, high, atoms)

    def draw(self, rng: np.random.Generator, n: int) -> Matrix:
        which = choose_components(rng, self.weights, n)
        a = (self.low[which] - self.y) / self.se
        b = (self.high[which] - self.y) / self.se
        flip = a + b < 0
        near, far = np.where(flip, -b, a), np.where(flip, -a, b)
        top, bottom = special.ndtr(-near), special.ndtr(-far)
        z = -special.ndtri(bottom + rng.random(which.shape) * (top - bottom))
        z = np.clip(np.where(np.isfinite(z), z, near), near, far)
        out: Matrix = self.y + self.se * np.where(flip, -z, z)
        return out

    def _standardised(self) -> tuple[Matrix, Matrix]:
        y, se = self.y[:, None], self.se[:, None]
        return (self.low - y) / se, (self.high - y) / se

    def _moments(self) -> tuple[Vector, Vector]:
        means, variances = truncated_moments(*self._standardised())
        means = self.y[:, None] + self.se[:, None] * means
        mean = np.einsum("ik,ik->i", self.weights, means)
        spread = (means - mean[:, None]) ** 2 + self.se[:, None] ** 2 * variances
        return mean, np.sqrt(np.einsum("ik,ik->i", self.weights, spread))
