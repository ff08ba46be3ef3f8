"""Mixtures of normals: point-normal, scale mixtures, averages over τ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from hglm.empirical.posterior.bisection import bisect_quantile
from hglm.empirical.posterior.discrete import choose_components
from hglm.typing import Matrix, Vector

__all__ = ["NormalMixturePosterior"]


@dataclass(frozen=True, slots=True)
class NormalMixturePosterior:
    """θ_i ~ Σ_k weights_ik N(means_ik, sds_ik²); sds of zero are atoms."""

    weights: Matrix
    """(G, K) rows sum to one."""
    means: Matrix
    """(G, K)"""
    sds: Matrix
    """(G, K)"""

    @property
    def mean(self) -> Vector:
        out: Vector = np.einsum("ik,ik->i", self.weights, self.means)
        return out

    @property
    def sd(self) -> Vector:
        centred = self.means - self.mean[:, None]
        out: Vector = np.sqrt(np.einsum("ik,ik->i", self.weights, centred**2 + self.sds**2))
        return out

    def cdf(self, x: Vector | float) -> Vector:
        point = self.sds == 0
        z = (np.reshape(x, (-1, 1)) - self.means) / np.where(point, 1.0, self.sds)
        out: Vector = np.einsum("ik,ik->i", self.weights, np.where(point, z >= 0, special.ndtr(z)))
        return out

    def mass(self, x: float) -> Vector:
        at_x = (self.sds == 0) & (self.means == x)
        out: Vector = np.where(at_x, self.weights, 0.0).sum(axis=1)
        return out

    def quantile(self, p: float) -> Vector:
        reach = np.abs(special.ndtri(min(p, 1 - p) * 1e-3)) + 1.0
        low = (self.means - reach * self.sds).min(axis=1)
        high = (self.means + reach * self.sds).max(axis=1)
        atoms = np.unique(self.means[self.sds == 0])
        return bisect_quantile(self.cdf, p, low - 1e-9 * np.abs(low) - 1e-300, high, atoms)

    def draw(self, rng: np.random.Generator, n: int) -> Matrix:
        which = choose_components(rng, self.weights, n)
        groups = np.arange(self.means.shape[0])
        noise = rng.standard_normal(which.shape)
        out: Matrix = self.means[groups, which] + self.sds[groups, which] * noise
        return out
