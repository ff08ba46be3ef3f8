"""Posteriors on a common grid of support points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hglm.typing import Codes, Matrix, Vector

__all__ = ["DiscretePosterior", "choose_components"]


@dataclass(frozen=True, slots=True)
class DiscretePosterior:
    """P(θ_i = support_k) = weights_ik."""

    support: Vector
    """(K,) increasing."""
    weights: Matrix
    """(G, K) rows sum to one."""

    @property
    def mean(self) -> Vector:
        out: Vector = self.weights @ self.support
        return out

    @property
    def sd(self) -> Vector:
        centred = self.support - self.mean[:, None]
        out: Vector = np.sqrt(np.einsum("ik,ik->i", self.weights, centred**2))
        return out

    def cdf(self, x: Vector | float) -> Vector:
        below = self.support <= np.reshape(x, (-1, 1))
        out: Vector = np.minimum(np.where(below, self.weights, 0.0).sum(axis=1), 1.0)
        return out

    def mass(self, x: float) -> Vector:
        out: Vector = self.weights[:, self.support == x].sum(axis=1)
        return out

    def quantile(self, p: float) -> Vector:
        reached = np.cumsum(self.weights, axis=1) >= p * (1.0 - 1e-14)
        first = np.where(reached.any(axis=1), reached.argmax(axis=1), self.support.size - 1)
        out: Vector = self.support[first]
        return out

    def draw(self, rng: np.random.Generator, n: int) -> Matrix:
        out: Matrix = self.support[choose_components(rng, self.weights, n)]
        return out


def choose_components(rng: np.random.Generator, weights: Matrix, n: int) -> Codes:
    """Draw n components for every row of weights (G, K). (n, G)"""
    cumulative = np.cumsum(weights, axis=1)
    uniform = rng.random((n, weights.shape[0])) * cumulative[:, -1]
    chosen = np.empty(uniform.shape, dtype=np.intp)
    for i, row in enumerate(cumulative):
        chosen[:, i] = np.searchsorted(row, uniform[:, i], side="right")
    out: Codes = np.minimum(chosen, weights.shape[1] - 1)
    return out
