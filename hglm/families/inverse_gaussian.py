"""Inverse Gaussian family: mean μ, variance φμ³/w.

With δ = log(y/μ) the log density is

    -(w/φ) expm1(δ)²/(2y) + {log(w/φ) - log 2π - 3 log y}/2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import log_ndtr, ndtr

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
from hglm.typing import Vector

__all__ = ["InverseGaussian"]

_LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True, slots=True)
class InverseGaussian(DispersionFamily):
    """Positive response with variance proportional to the mean cubed."""

    name: ClassVar[str] = "inverse_gaussian"
    links: ClassVar[tuple[str, ...]] = ("log", "inverse_squared", "inverse", "identity")
    support: ClassVar[Support] = "positive"
    discrete: ClassVar[bool] = False
    sigma_power: ClassVar[float] = 0.5

    def validate(self, data: Response, labels: Sequence[object] | None = None) -> InverseGaussian:
        check_sizes(self.name, data.sizes, weights=True)
        require_positive(self.name, data.y, labels)
        return self

    def kernel(self, data: Response) -> Kernel:
        log_y = np.log(data.y)
        half = 0.5 / data.y
        constant = -0.5 * (_LOG_2PI + 3.0 * log_y)

        def log_density(point: Point) -> Jet:
            xi, log_phi = self._coordinates(point)
            squared = (-(xi - log_y)).apply(_squared_expm1)
            scaled = squared * half * (-log_phi).apply(special.exp)
            return log_phi * -0.5 - scaled + constant

        return log_density

    def moments(self, point: Point) -> tuple[Jet, Jet]:
        xi, log_phi = self._coordinates(point)
        return xi.apply(special.exp), (log_phi + xi * 3.0).apply(special.exp)

    def information(self, point: Point) -> Jet:
        xi, log_phi = self._coordinates(point)
        slope = xi.derivative(0)
        return slope * slope * (-log_phi - xi).apply(special.exp)

    def unit_deviance(self, y: Vector, point: Point) -> Vector:
        delta = np.log(y) - self._coordinates(point)[0].value
        return weighted(np.square(np.expm1(delta)) / y, point.sizes.weights)

    def start(self, data: Response, mu: Vector | None = None) -> tuple[Vector, ...]:
        centre = np.full_like(data.y, np.mean(data.y)) if mu is None else mu
        e = pearson_start(data, centre, centre**3, self.dispersion_link)
        return LINKS[self.link].link(data.y if mu is None else mu), e

    def simulate(self, point: Point, rng: np.random.Generator) -> Vector:
        xi, log_phi = self._coordinates(point)
        drawn = rng.wald(np.exp(xi.value), np.exp(-log_phi.value))
        return np.maximum(drawn, np.finfo(float).tiny)

    def cdf(self, y: Vector, point: Point) -> Vector:
        """Return Φ(a - b) + exp(2λ/μ) Φ(-a - b), a = √(λy)/μ, b = √(λ/y)."""
        xi, log_phi = self._coordinates(point)
        inside = np.where(y > 0.0, y, np.nan)
        b = np.exp(-0.5 * log_phi.value) / np.sqrt(inside)
        a = b * inside * np.exp(-xi.value)
        both = ndtr(a - b) + np.exp(2.0 * np.exp(-log_phi.value - xi.value) + log_ndtr(-a - b))
        return np.where(y > 0.0, both, 0.0)

    def _coordinates(self, point: Point) -> tuple[Jet, Jet]:
        """Return log μ and log(φ/w)."""
        xi = log_mean(LINKS[self.link], point.predictors[0])
        return xi, log_dispersion(self.dispersion_link, point)


def _squared_expm1(delta: Vector, order: int) -> tuple[Vector, ...]:
    """expm1(δ)² and derivatives."""
    rise = np.expm1(np.minimum(delta, special.LARGEST_EXPONENT))
    growth = 2.0 * (rise + 1.0)
    slopes = (growth * rise, growth * (2.0 * rise + 1.0), growth * (4.0 * rise + 3.0))
    return (rise * rise, *slopes[:order])
