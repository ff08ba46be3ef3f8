"""Gaussian family: y ~ N(μ, φ/w), φ = σ²."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import ndtr

from hglm.families.base import Kernel, Point, Response, Support
from hglm.families.checks import check_sizes, require_finite
from hglm.families.dispersion import (
    DispersionFamily,
    log_dispersion,
    pearson_start,
    weighted,
)
from hglm.families.jets import Jet
from hglm.families.links import LINKS, mean
from hglm.numerics import special
from hglm.typing import Vector

__all__ = ["Gaussian", "real_start"]

_LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True, slots=True)
class Gaussian(DispersionFamily):
    """Normal response with mean μ and variance φ/w."""

    link: str = "identity"

    name: ClassVar[str] = "gaussian"
    links: ClassVar[tuple[str, ...]] = ("identity", "log", "inverse")
    support: ClassVar[Support] = "real"
    discrete: ClassVar[bool] = False
    sigma_power: ClassVar[float] = 0.5

    def validate(self, data: Response, labels: Sequence[object] | None = None) -> Gaussian:
        check_sizes(self.name, data.sizes, weights=True)
        require_finite(self.name, data.y, labels)
        return self

    def kernel(self, data: Response) -> Kernel:
        y = data.y

        def log_density(point: Point) -> Jet:
            mu, log_phi = self._coordinates(point)
            scaled = (mu - y).apply(special.square) * (-log_phi).apply(special.exp)
            return (log_phi + scaled + _LOG_2PI) * -0.5

        return log_density

    def moments(self, point: Point) -> tuple[Jet, Jet]:
        mu, log_phi = self._coordinates(point)
        return mu, log_phi.apply(special.exp)

    def information(self, point: Point) -> Jet:
        mu, log_phi = self._coordinates(point)
        slope = mu.derivative(0)
        return slope * slope * (-log_phi).apply(special.exp)

    def unit_deviance(self, y: Vector, point: Point) -> Vector:
        mu = self._coordinates(point)[0].value
        return weighted(np.square(y - mu), point.sizes.weights)

    def start(self, data: Response, mu: Vector | None = None) -> tuple[Vector, ...]:
        centre = np.full_like(data.y, np.mean(data.y)) if mu is None else mu
        e = pearson_start(data, centre, np.ones_like(centre), self.dispersion_link)
        return LINKS[self.link].link(real_start(data.y, self.link) if mu is None else mu), e

    def simulate(self, point: Point, rng: np.random.Generator) -> Vector:
        mu, log_phi = self._coordinates(point)
        return mu.value + np.exp(0.5 * log_phi.value) * rng.standard_normal(mu.value.shape)

    def cdf(self, y: Vector, point: Point) -> Vector:
        mu, log_phi = self._coordinates(point)
        return np.asarray(ndtr((y - mu.value) * np.exp(-0.5 * log_phi.value)))

    def _coordinates(self, point: Point) -> tuple[Jet, Jet]:
        """Return μ and log(φ/w)."""
        return mean(LINKS[self.link], point.predictors[0]), log_dispersion(
            self.dispersion_link, point
        )


def real_start(y: Vector, link: str) -> Vector:
    """Return a mean near each response that the link can take."""
    return y if link == "identity" else np.maximum(y, 0.1 * np.mean(np.abs(y)))
