"""Generalised Poisson family (Consul): mean μ, variance μφ.

P(y) = θ (θ + λy)^(y-1) exp(-θ - λy)/y! with θ = μ/√φ, λ = 1 - 1/√φ. With
h = (log φ)/2 and A = log{1 + y expm1(h)/μ} the log density is

    y (log μ - h) + (y - 1) A - exp(-h) {μ + y expm1(h)} - log y!.

For φ < 1 counts with μ + y expm1(h) ≤ 0 are impossible, and the probabilities
of the others add up to a little less than one (Consul and Famoye 2006, sec. 9.1).

References
----------
Consul, P. C. and Famoye, F. (1992). Commun. Stat. Theory Methods 21, 89-109.
Consul, P. C. and Famoye, F. (2006). Lagrangian Probability Distributions, ch. 9.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hglm.families.base import Kernel, Point, Response
from hglm.families.checks import check_sizes, require_counts
from hglm.families.counts import (
    CountFamily,
    count_start,
    draw_by_inversion,
    excess_variance,
    log_factorial,
    probabilities,
    summed_cdf,
)
from hglm.families.dispersion import DispersionFamily, log_dispersion
from hglm.families.jets import Jet
from hglm.families.links import LINKS, log_mean
from hglm.numerics import special
from hglm.typing import Vector

__all__ = ["GeneralizedPoisson"]


@dataclass(frozen=True, slots=True)
class GeneralizedPoisson(DispersionFamily, CountFamily):
    """Over- or underdispersed counts with variance proportional to the mean."""

    name: ClassVar[str] = "genpois"

    def validate(
        self, data: Response, labels: Sequence[object] | None = None
    ) -> GeneralizedPoisson:
        check_sizes(self.name, data.sizes)
        require_counts(self.name, data.y, labels)
        return self

    def kernel(self, data: Response) -> Kernel:
        y = data.y
        constant = -log_factorial(y)

        def log_density(point: Point) -> Jet:
            xi, h = self._coordinates(point)
            excess = h.apply(special.expm1) * y
            spread = (excess * (-xi).apply(special.exp)).apply(special.log1p)
            rate = (-h).apply(special.exp) * (excess + xi.apply(special.exp))
            return (xi - h) * y + spread * (y - 1.0) - rate + constant

        return log_density

    def moments(self, point: Point) -> tuple[Jet, Jet]:
        xi, h = self._coordinates(point)
        return xi.apply(special.exp), (xi + h * 2.0).apply(special.exp)

    def information(self, point: Point) -> Jet:
        """Return θ {1 - λθ/(θ + 2λ)} (∂ log μ/∂η)².

        From E[Y(Y - 1)/(θ + λY)²] = θ/(θ + 2λ), by shifting the sum by two.
        """
        xi, h = self._coordinates(point)
        slope = xi.derivative(0)
        theta = (xi - h).apply(special.exp)
        rate = -(-h).apply(special.expm1)
        share = theta * (theta + rate * 2.0).apply(special.reciprocal)
        return slope * slope * theta * (1.0 - rate * share)

    def unit_deviance(self, _: Vector, __: Point) -> None:
        return None

    def start(self, data: Response, mu: Vector | None = None) -> tuple[Vector, ...]:
        excess, squares = excess_variance(data.y, mu)
        near = count_start(data.y) if mu is None else mu
        phi = np.asarray(1.0 + excess / np.sqrt(squares))
        return LINKS[self.link].link(near), LINKS[self.dispersion_link].link(phi)

    def simulate(self, point: Point, rng: np.random.Generator) -> Vector:
        n = np.broadcast(*(p.value for p in point.predictors)).size
        return draw_by_inversion(probabilities(self, point), n, rng)

    def cdf(self, y: Vector, point: Point) -> Vector:
        return summed_cdf(probabilities(self, point), y)

    def log_hazard(self, point: Point) -> Jet:
        xi, h = self._coordinates(point)
        return xi - h

    def _coordinates(self, point: Point) -> tuple[Jet, Jet]:
        """Return log μ and h."""
        xi = log_mean(LINKS[self.link], point.predictors[0])
        return xi, log_dispersion(self.dispersion_link, point) * 0.5
