"""Gamma family: mean μ, variance φμ²/w, so shape w/φ.

With ν = w/φ and δ = log(y/μ) the log density is

    ν (δ - expm1 δ) + log(ν/2π)/2 - s(ν) - log y,

s Stirling's remainder: nothing cancels for large ν, and μ is never formed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import gammainc

from hglm.families.base import Kernel, Point, Response, Support
from hglm.families.checks import check_sizes, require_positive
from hglm.families.dispersion import (
    DispersionFamily,
    log_dispersion,
    pearson_start,
    weighted,
)
from hglm.families.jets import Jet
from hglm.families.links import LINKS, log_mean
from hglm.numerics import special
from hglm.numerics.gamma import stirling
from hglm.typing import Vector

__all__ = ["Gamma"]

_LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True, slots=True)
class Gamma(DispersionFamily):
    """Positive response with constant coefficient of variation √φ."""

    name: ClassVar[str] = "gamma"
    links: ClassVar[tuple[str, ...]] = ("log", "inverse", "identity")
    support: ClassVar[Support] = "positive"
    discrete: ClassVar[bool] = False
    sigma_power: ClassVar[float] = 0.5

    def validate(self, data: Response, labels: Sequence[object] | None = None) -> Gamma:
        check_sizes(self.name, data.sizes, weights=True)
        require_positive(self.name, data.y, labels)
        return self

    def kernel(self, data: Response) -> Kernel:
        log_y = np.log(data.y)
        constant = np.asarray(-log_y - 0.5 * _LOG_2PI)

        def log_density(point: Point) -> Jet:
            xi, log_phi = self._coordinates(point)
            kappa = -log_phi
            deviance = (-(xi - log_y)).apply(_half_deviance) * kappa.apply(special.exp)
            return deviance + kappa * 0.5 - kappa.apply(stirling) + constant

        return log_density

    def moments(self, point: Point) -> tuple[Jet, Jet]:
        xi, log_phi = self._coordinates(point)
        return xi.apply(special.exp), (log_phi + xi * 2.0).apply(special.exp)

    def information(self, point: Point) -> Jet:
        xi, log_phi = self._coordinates(point)
        slope = xi.derivative(0)
        return slope * slope * (-log_phi).apply(special.exp)

    def unit_deviance(self, y: Vector, point: Point) -> Vector:
        delta = np.log(y) - self._coordinates(point)[0].value
        return weighted(-2.0 * _half_deviance(delta, 0)[0], point.sizes.weights)

    def start(self, data: Response, mu: Vector | None = None) -> tuple[Vector, ...]:
        centre = np.full_like(data.y, np.mean(data.y)) if mu is None else mu
        e = pearson_start(data, centre, np.square(centre), self.dispersion_link)
        return LINKS[self.link].link(data.y if mu is None else mu), e

    def simulate(self, point: Point, rng: np.random.Generator) -> Vector:
        xi, log_phi = self._coordinates(point)
        shape = np.broadcast_to(np.exp(-log_phi.value), xi.value.shape)
        drawn = rng.standard_gamma(shape) * np.exp(xi.value) / shape
        return np.asarray(np.maximum(drawn, np.finfo(float).tiny))

    def cdf(self, y: Vector, point: Point) -> Vector:
        xi, log_phi = self._coordinates(point)
        shape = np.exp(-log_phi.value)
        return np.asarray(gammainc(shape, shape * np.maximum(y, 0.0) * np.exp(-xi.value)))

    def _coordinates(self, point: Point) -> tuple[Jet, Jet]:
        """Return log μ and log(φ/w)."""
        xi = log_mean(LINKS[self.link], point.predictors[0])
        return xi, log_dispersion(self.dispersion_link, point)


def _half_deviance(delta: Vector, order: int) -> tuple[Vector, ...]:
    """δ - expm1 δ and derivatives."""
    rise = np.expm1(np.minimum(delta, special.LARGEST_EXPONENT))
    fall = -1.0 - rise
    return (delta - rise, -rise, fall, fall)[: order + 1]
