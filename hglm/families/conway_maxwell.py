"""Conway-Maxwell-Poisson family, by its mean μ and dispersion φ = 1/ν.

P(y) = exp{y a - ν log y! - C(a, ν)} where C is the normalising constant and the
rate a(μ, ν) solves ∂C/∂a = μ, so that μ is the mean (Huang 2017); the variance
∂²C/∂a² is near μφ. Poisson for φ = 1, towards geometric for φ → ∞ and Bernoulli
for φ → 0, μ < 1. The rate's derivatives come from Newton's method on jets: each
step on ∂C/∂a = μ makes one more order exact.

References
----------
Huang, A. (2017). Statistical Modelling 17, 359-380.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hglm.families.base import Kernel, Point, Response
from hglm.families.checks import check_sizes, require_counts
from hglm.families.conway_maxwell_series import normalizer, rate_of_mean
from hglm.families.counts import (
    CountFamily,
    LogProbability,
    count_start,
    draw_by_inversion,
    excess_variance,
    log_factorial,
    summed_cdf,
)
from hglm.families.dispersion import DispersionFamily, log_dispersion
from hglm.families.jets import Index, Jet, Wanted, chain, indices
from hglm.families.links import LINKS, log_mean
from hglm.numerics import special
from hglm.typing import Codes, Vector

__all__ = ["ConwayMaxwellPoisson"]

_CAPPED_PHI = special.capped(16.0)  # beyond 1/ν = 9e6 it is geometric
_CAPPED_NU = special.capped(7.0)  # beyond ν = 1100 it is on two neighbouring counts
_CAPPED_MEAN = special.capped(special.LARGEST_EXPONENT)  # 1e-100 to 1e100


@dataclass(frozen=True, slots=True)
class ConwayMaxwellPoisson(DispersionFamily, CountFamily):
    """Over- or underdispersed counts with exact mean μ."""

    name: ClassVar[str] = "compois"

    def validate(
        self, data: Response, labels: Sequence[object] | None = None
    ) -> ConwayMaxwellPoisson:
        check_sizes(self.name, data.sizes)
        require_counts(self.name, data.y, labels)
        return self

    def kernel(self, data: Response) -> Kernel:
        y, minus_log_factorial = data.y, -log_factorial(data.y)

        def log_density(point: Point) -> Jet:
            rate = _rate_at(*self._coordinates(point))
            return rate.a * y + rate.nu * minus_log_factorial - rate.cumulant()

        return log_density

    def moments(self, point: Point) -> tuple[Jet, Jet]:
        xi, nu = self._coordinates(point)
        return xi.apply(special.exp), _rate_at(xi, nu, further=2).cumulant(0, 0)

    def information(self, point: Point) -> Jet:
        """Return μ²/V (∂ log μ/∂η)²."""
        xi, nu = self._coordinates(point)
        slope = xi.derivative(0)
        variance = _rate_at(xi, nu, further=2).cumulant(0, 0)
        return slope * slope * (xi * 2.0).apply(special.exp) * variance.apply(special.reciprocal)

    def unit_deviance(self, _: Vector, __: Point) -> None:
        return None

    def start(self, data: Response, mu: Vector | None = None) -> tuple[Vector, ...]:
        excess, squares = excess_variance(data.y, mu)
        near = count_start(data.y) if mu is None else mu
        phi = np.asarray(1.0 + excess / np.sqrt(squares))
        return LINKS[self.link].link(near), LINKS[self.dispersion_link].link(phi)

    def simulate(self, point: Point, rng: np.random.Generator) -> Vector:
        log_probability = self._probabilities(point)
        n = np.broadcast(*(p.value for p in point.predictors)).size
        return draw_by_inversion(log_probability, n, rng)

    def cdf(self, y: Vector, point: Point) -> Vector:
        return summed_cdf(self._probabilities(point), y)

    def log_hazard(self, point: Point) -> Jet:
        """Return log C, since P(Y = 0) = exp(-C)."""
        return _rate_at(*self._coordinates(point)).cumulant().apply(special.log)

    def _probabilities(self, point: Point) -> LogProbability:
        """Return log probabilities that share one solution for the rate."""
        rate = _rate_at(*self._coordinates(point))
        a, nu, c = np.broadcast_arrays(rate.a.value, rate.nu.value, rate.cumulant().value)

        def log_probability(values: Vector, rows: Codes) -> Vector:
            return np.asarray(values * a[rows] - nu[rows] * log_factorial(values) - c[rows])

        return log_probability

    def _coordinates(self, point: Point) -> tuple[Jet, Jet]:
        """Return log μ and ν, within the range that is computed."""
        xi = log_mean(LINKS[self.link], point.predictors[0])
        inside = -(-xi.apply(_CAPPED_MEAN)).apply(_CAPPED_MEAN)
        log_phi = log_dispersion(self.dispersion_link, point).apply(_CAPPED_PHI)
        return inside, (-log_phi).apply(_CAPPED_NU).apply(special.exp)


@dataclass(frozen=True, slots=True)
class _Rate:
    """The rate a(μ, ν) with C and its partial derivatives there."""

    a: Jet
    nu: Jet
    partials: Mapping[Index, Vector]

    def cumulant(self, *positions: int) -> Jet:
        """Return C, differentiated in a (0) or ν (1), as a jet."""
        order = max(self.a.depth, self.nu.depth)
        inner = (0, 1) if self.nu.depth else (0,)
        raised = {i: tuple(sorted(i + positions)) for i in indices(Wanted(order, inner))}
        return chain((self.a, self.nu), {i: self.partials[up] for i, up in raised.items()})


def _rate_at(xi: Jet, nu: Jet, further: int = 1) -> _Rate:
    """Solve ∂C/∂a = μ, with partial derivatives of C `further` than xi's orders."""
    shape = np.broadcast_shapes(xi.value.shape, nu.value.shape)
    log_mu, flat_nu = (np.broadcast_to(j.value, shape).ravel() for j in (xi, nu))
    order = max(xi.depth, nu.depth)
    a = rate_of_mean(log_mu, flat_nu)
    found = normalizer(a, flat_nu, Wanted(order + further, (0, 1) if nu.depth else (0,)))
    partials = {index: term.reshape(shape) for index, term in found.items()}
    jet, mu = Jet({(): a.reshape(shape)}, xi.wanted), xi.apply(special.exp)
    for _ in range(order):
        gap = _Rate(jet, nu, partials).cumulant(0) - mu
        jet = jet - gap * (1.0 / partials[0, 0])
    return _Rate(jet, nu, partials)
