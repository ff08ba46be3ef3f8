"""Negative binomial families.

Type 2, size k:   Var = μ + μ²/k,      k the same for all means.
Type 1, excess φ: Var = μ (1 + φ),     size k = μ/φ.

Both are Γ(y + k)/{Γ(k) y!} (k/(k + μ))^k (μ/(k + μ))^y. With
R(y; k) = log Γ(y + k) - log Γ(k) - y log k (→ 0 as k → ∞, see
`hglm.numerics.gamma`) the log density is

    R(y; k) + y log μ - (y + k) log(1 + μ/k) - log y!,

the Poisson limit exactly: k log(1 + μ/k) → μ.

References
----------
Hardin, J. W. and Hilbe, J. M. (2018). Generalized Linear Models and Extensions,
4th ed., ch. 13 (NB-1 and NB-2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import betaincc, xlogy

from hglm.families.base import Kernel, Point, Response
from hglm.families.checks import check_sizes, require_counts
from hglm.families.counts import (
    CountFamily,
    count_start,
    excess_variance,
    log_factorial,
)
from hglm.families.dispersion import DispersionFamily, log_dispersion
from hglm.families.draws import draw_poisson
from hglm.families.jets import Jet
from hglm.families.links import LINKS, log_mean
from hglm.families.rising import rising_of
from hglm.numerics import special
from hglm.typing import Vector

__all__ = ["NegativeBinomial", "draw_negative_binomial", "negative_binomial_cdf", "rising_of"]

_CAPPED = special.capped(100.0)  # exp(100) is as good as infinite


@dataclass(frozen=True, slots=True)
class NegativeBinomial(DispersionFamily, CountFamily):
    """Counts with variance μ + μ²/k (type 2), k the dispersion parameter."""

    name: ClassVar[str] = "nbinom2"

    def validate(self, data: Response, labels: Sequence[object] | None = None) -> NegativeBinomial:
        check_sizes(self.name, data.sizes)
        require_counts(self.name, data.y, labels)
        return self

    def kernel(self, data: Response) -> Kernel:
        y = data.y
        rising = rising_of(y)
        constant = -log_factorial(y)

        def log_density(point: Point) -> Jet:
            xi, kappa = self._coordinates(point)
            growth = (xi - kappa).apply(special.softplus)
            total = kappa.apply(special.exp) + y
            return kappa.apply(rising) + xi * y - growth * total + constant

        return log_density

    def moments(self, point: Point) -> tuple[Jet, Jet]:
        xi, kappa = self._coordinates(point)
        mu = xi.apply(special.exp)
        return mu, mu + (xi * 2.0 - kappa).apply(special.exp)

    def information(self, point: Point) -> Jet:
        xi, kappa = self._coordinates(point)
        slope = xi.derivative(0)
        return slope * slope * xi.apply(special.exp) * (kappa - xi).apply(special.sigmoid)

    def unit_deviance(self, y: Vector, point: Point) -> Vector:
        mu, k = self._values(point)
        both = (y + k) * np.log((y + k) / (mu + k))
        return np.asarray(2.0 * (xlogy(y, np.where(y > 0.0, y, 1.0) / mu) - both))

    def start(self, data: Response, mu: Vector | None = None) -> tuple[Vector, ...]:
        excess, squares = excess_variance(data.y, mu)
        near = count_start(data.y) if mu is None else mu
        k = np.asarray(np.maximum(squares / excess, 0.05))
        return LINKS[self.link].link(near), LINKS[self.dispersion_link].link(k)

    def simulate(self, point: Point, rng: np.random.Generator) -> Vector:
        return draw_negative_binomial(*self._values(point), rng)

    def cdf(self, y: Vector, point: Point) -> Vector:
        return negative_binomial_cdf(y, *self._values(point))

    def log_hazard(self, point: Point) -> Jet:
        xi, kappa = self._coordinates(point)
        return kappa + (xi - kappa).apply(special.log_softplus)

    def _coordinates(self, point: Point) -> tuple[Jet, Jet]:
        """Return log μ and log k."""
        xi = log_mean(LINKS[self.link], point.predictors[0])
        return xi, log_dispersion(self.dispersion_link, point).apply(_CAPPED)

    def _values(self, point: Point) -> tuple[Vector, Vector]:
        """Return μ and k."""
        xi, kappa = self._coordinates(point)
        return np.exp(xi.value), np.exp(kappa.value)


@dataclass(frozen=True, slots=True)
class NegativeBinomial1(DispersionFamily, CountFamily):
    """Counts with variance μ (1 + φ) (type 1)."""

    name: ClassVar[str] = "nbinom1"

    def validate(self, data: Response, labels: Sequence[object] | None = None) -> NegativeBinomial1:
        check_sizes(self.name, data.sizes)
        require_counts(self.name, data.y, labels)
        return self

    def kernel(self, data: Response) -> Kernel:
        y = data.y
        rising = rising_of(y)
        constant = -log_factorial(y)

        def log_density(point: Point) -> Jet:
            xi, e = self._coordinates(point)
            zero = self.log_hazard(point).apply(special.exp)
            slope = xi - e.apply(special.softplus)
            return (xi - e).apply(rising) + slope * y - zero + constant

        return log_density

    def moments(self, point: Point) -> tuple[Jet, Jet]:
        xi, e = self._coordinates(point)
        mu = xi.apply(special.exp)
        return mu, mu + (xi + e).apply(special.exp)

    def information(self, _: Point) -> None:
        return None

    def unit_deviance(self, _: Vector, __: Point) -> None:
        return None

    def start(self, data: Response, mu: Vector | None = None) -> tuple[Vector, ...]:
        excess, squares = excess_variance(data.y, mu)
        near = count_start(data.y) if mu is None else mu
        phi = np.asarray(excess / np.sqrt(squares))
        return LINKS[self.link].link(near), LINKS[self.dispersion_link].link(phi)

    def simulate(self, point: Point, rng: np.random.Generator) -> Vector:
        return draw_negative_binomial(*self._values(point), rng)

    def cdf(self, y: Vector, point: Point) -> Vector:
        return negative_binomial_cdf(y, *self._values(point))

    def log_hazard(self, point: Point) -> Jet:
        xi, e = self._coordinates(point)
        return xi - e + e.apply(special.log_softplus)

    def _coordinates(self, point: Point) -> tuple[Jet, Jet]:
        """Return log μ and log φ."""
        xi = log_mean(LINKS[self.link], point.predictors[0])
        log_phi = log_dispersion(self.dispersion_link, point)
        return xi, -(-log_phi).apply(_CAPPED)

    def _values(self, point: Point) -> tuple[Vector, Vector]:
        """Return μ and k."""
        xi, e = self._coordinates(point)
        return np.exp(xi.value), np.exp(xi.value - e.value)


def draw_negative_binomial(mu: Vector, k: Vector, rng: np.random.Generator) -> Vector:
    """Draw counts of mean μ and size k, as Poisson counts of a gamma mean."""
    size = np.broadcast_to(k, mu.shape)
    return draw_poisson(rng.standard_gamma(size) * (mu / size), rng)


def negative_binomial_cdf(y: Vector, mu: Vector, k: Vector) -> Vector:
    """Return P(Y <= y) for mean μ and size k."""
    count = np.maximum(np.floor(y), 0.0)
    below = betaincc(count + 1.0, k, mu / (mu + k))
    return np.where(y < 0.0, 0.0, below)
