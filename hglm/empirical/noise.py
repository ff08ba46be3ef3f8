"""How observations scatter about a group's parameter: normal, Poisson, binomial.

A noise record holds the sufficient statistics of G groups. Methods that learn
the prior (NPMLE, deconvolution, mixtures) ask it for the likelihood on a grid,
and never what it is. Invariants: `log_density` is a normalised log density of
the data in θ_k; `sampling_variance` is E[Var(estimate_i | θ_i)] for a θ_i with
the given mean and standard deviation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from scipy import special

from hglm.typing import Matrix, Vector

__all__ = ["BinomialNoise", "Noise", "NormalNoise", "PoissonNoise"]


class Noise(Protocol):
    """Sufficient statistics of G groups and their likelihood."""

    name: ClassVar[str]

    @property
    def estimate(self) -> Vector:
        """Each group's own estimate. (G,)"""

    @property
    def std_error(self) -> Vector:
        """Its estimated standard error. (G,)"""

    def log_density(self, theta: Vector) -> Matrix:
        """log p(data_i | θ_k) at θ (K,). (G, K)"""

    def sampling_variance(self, mean: Vector, sd: Vector) -> Vector:
        """E[Var(estimate_i | θ_i)] where θ_i has this mean and sd (G,). (G,)"""

    def grid(self, n: int) -> Vector:
        """Support on which a maximum-likelihood prior can be sought. (n,)"""

    def rows(self) -> Matrix:
        """Numbers that determine the likelihood of a group. (G, c)"""


@dataclass(frozen=True, slots=True)
class NormalNoise:
    """y_i ~ N(θ_i, se_i²)."""

    name: ClassVar[str] = "normal"

    estimate: Vector
    """(G,) y."""
    std_error: Vector
    """(G,) known standard errors, > 0."""

    def log_density(self, theta: Vector) -> Matrix:
        z = (self.estimate[:, None] - theta) / self.std_error[:, None]
        out: Matrix = -0.5 * z**2 - np.log(self.std_error[:, None]) - 0.5 * np.log(2 * np.pi)
        return out

    def sampling_variance(self, mean: Vector, sd: Vector) -> Vector:
        return self.std_error**2 + 0.0 * mean

    def grid(self, n: int) -> Vector:
        low, high = float(self.estimate.min()), float(self.estimate.max())
        return np.linspace(low, high, n) if high > low else np.array([low])

    def rows(self) -> Matrix:
        return np.column_stack([self.estimate, self.std_error])


@dataclass(frozen=True, slots=True)
class PoissonNoise:
    """y_i ~ Poisson(exposure_i θ_i)."""

    name: ClassVar[str] = "poisson"

    counts: Vector
    """(G,)"""
    exposure: Vector
    """(G,) > 0."""

    @property
    def estimate(self) -> Vector:
        return self.counts / self.exposure

    @property
    def std_error(self) -> Vector:
        out: Vector = np.sqrt(self.counts) / self.exposure
        return out

    def log_density(self, theta: Vector) -> Matrix:
        mean = self.exposure[:, None] * theta
        counts = self.counts[:, None]
        out: Matrix = special.xlogy(counts, mean) - mean - special.gammaln(counts + 1.0)
        return out

    def sampling_variance(self, mean: Vector, sd: Vector) -> Vector:
        return mean / self.exposure

    def grid(self, n: int) -> Vector:
        """Evenly spaced in √θ, on which the noise has constant spread."""
        low, high = np.sqrt(self.estimate.min()), np.sqrt(self.estimate.max())
        return np.linspace(low, high, n) ** 2 if high > low else np.array([low**2])

    def rows(self) -> Matrix:
        return np.column_stack([self.counts, self.exposure])


@dataclass(frozen=True, slots=True)
class BinomialNoise:
    """y_i ~ Binomial(trials_i, θ_i)."""

    name: ClassVar[str] = "binomial"

    successes: Vector
    """(G,)"""
    trials: Vector
    """(G,) ≥ 1."""

    @property
    def estimate(self) -> Vector:
        return self.successes / self.trials

    @property
    def std_error(self) -> Vector:
        p = self.estimate
        out: Vector = np.sqrt(p * (1 - p) / self.trials)
        return out

    def log_density(self, theta: Vector) -> Matrix:
        y, n = self.successes[:, None], self.trials[:, None]
        out: Matrix = log_choose(n, y) + special.xlogy(y, theta) + special.xlog1py(n - y, -theta)
        return out

    def sampling_variance(self, mean: Vector, sd: Vector) -> Vector:
        return (mean * (1 - mean) - sd**2) / self.trials

    def grid(self, n: int) -> Vector:
        """Evenly spaced in arcsin √θ, on which the noise has constant spread."""
        low, high = np.arcsin(np.sqrt([self.estimate.min(), self.estimate.max()]))
        return (
            np.sin(np.linspace(low, high, n)) ** 2 if high > low else np.array([np.sin(low) ** 2])
        )

    def rows(self) -> Matrix:
        return np.column_stack([self.successes, self.trials])


def log_choose(n: Vector, k: Vector) -> Vector:
    """Logarithm of the binomial coefficient."""
    out: Vector = special.gammaln(n + 1.0) - special.gammaln(k + 1.0) - special.gammaln(n - k + 1.0)
    return out
