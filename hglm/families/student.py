"""Student t family: y = μ + √(φ/w) t, t with ν degrees of freedom.

With q = w (y - μ)²/φ the log density is

    R(1/2; ν/2) - {log 2π + log(φ/w)}/2 - (ν + 1)/2 log(1 + q/ν),

R(x; k) = log Γ(x + k) - log Γ(k) - x log k, which tends to the Gaussian for
ν → ∞ without cancellation. φ is the squared scale, not the variance, which is
φ ν/(ν - 2).

References
----------
Lange, K. L., Little, R. J. A. and Taylor, J. M. G. (1989). JASA 84, 881-896.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import stdtr

from hglm.families.base import Kernel, Parameter, Point, Response, Support
from hglm.families.checks import check_sizes, require_finite
from hglm.families.dispersion import (
    DispersionFamily,
    log_dispersion,
    weighted,
)
from hglm.families.gaussian import real_start
from hglm.families.jets import Jet
from hglm.families.links import LINKS, log_mean, mean
from hglm.numerics import special
from hglm.numerics.gamma import log_rising
from hglm.typing import Vector

__all__ = ["StudentT"]

_CAPPED = special.capped(100.0)  # exp(100) is as good as infinite

_LOG_2 = float(np.log(2.0))
_LOG_2PI = float(np.log(2.0 * np.pi))
_START_DF = 5.0


@dataclass(frozen=True, slots=True)
class StudentT(DispersionFamily):
    """Response with heavy tails about μ; the degrees of freedom are estimated."""

    link: str = "identity"

    name: ClassVar[str] = "student_t"
    links: ClassVar[tuple[str, ...]] = ("identity", "log", "inverse")
    support: ClassVar[Support] = "real"
    discrete: ClassVar[bool] = False
    sigma_power: ClassVar[float] = 0.5
    scalars: ClassVar[tuple[Parameter, ...]] = (Parameter("df", LINKS["log"], scalar=True),)

    def validate(self, data: Response, labels: Sequence[object] | None = None) -> StudentT:
        check_sizes(self.name, data.sizes, weights=True)
        require_finite(self.name, data.y, labels)
        return self

    def kernel(self, data: Response) -> Kernel:
        y = data.y

        def log_density(point: Point) -> Jet:
            mu, log_phi, log_df = self._coordinates(point)
            scaled = (mu - y).apply(special.square) * (-log_phi - log_df).apply(special.exp)
            half = (log_df.apply(special.exp) + 1.0) * 0.5
            norm = (log_df - _LOG_2).apply(_half_rising) - log_phi * 0.5
            return norm - half * scaled.apply(special.log1p) - 0.5 * _LOG_2PI

        return log_density

    def moments(self, point: Point) -> tuple[Jet, Jet]:
        mu, log_phi, log_df = self._coordinates(point)
        spread = log_df.apply(special.exp).apply(_variance_ratio)
        return mu, log_phi.apply(special.exp) * spread

    def information(self, point: Point) -> Jet:
        """Return (ν + 1)/{(ν + 3) φ} (∂μ/∂η)²."""
        mu, log_phi, log_df = self._coordinates(point)
        slope = mu.derivative(0)
        ratio = (log_df.apply(special.exp) + 3.0).apply(special.reciprocal) * -2.0 + 1.0
        return slope * slope * (-log_phi).apply(special.exp) * ratio

    def unit_deviance(self, y: Vector, point: Point) -> Vector:
        mu, log_phi, log_df = self._coordinates(point)
        phi, df = np.exp(log_phi.value), np.exp(log_df.value)
        free = weighted(phi, point.sizes.weights)
        return np.asarray(free * (df + 1.0) * np.log1p(np.square(y - mu.value) / (df * phi)))

    def start(self, data: Response, mu: Vector | None = None) -> tuple[Vector, ...]:
        """Return the squared median absolute residual, scaled for ν = 5, as φ."""
        near = real_start(data.y, self.link) if mu is None else mu
        residual = data.y - (np.median(data.y) if mu is None else mu)
        spread = np.median(np.abs(residual)) / _MEDIAN_ABSOLUTE_T5
        phi = np.maximum(np.square(spread), 1e-8 * (1e-8 + np.mean(np.square(residual))))
        link = LINKS[self.dispersion_link]
        return LINKS[self.link].link(near), link.link(phi), np.log(np.asarray(_START_DF))

    def simulate(self, point: Point, rng: np.random.Generator) -> Vector:
        mu, log_phi, log_df = self._coordinates(point)
        df = np.broadcast_to(np.exp(log_df.value), mu.value.shape)
        return np.asarray(mu.value + np.exp(0.5 * log_phi.value) * rng.standard_t(df))

    def cdf(self, y: Vector, point: Point) -> Vector:
        mu, log_phi, log_df = self._coordinates(point)
        return np.asarray(
            stdtr(np.exp(log_df.value), (y - mu.value) * np.exp(-0.5 * log_phi.value))
        )

    def _coordinates(self, point: Point) -> tuple[Jet, Jet, Jet]:
        """Return μ, log(φ/w) and log ν."""
        mu = mean(LINKS[self.link], point.predictors[0])
        log_df = log_mean(LINKS["log"], point.predictors[2]).apply(_CAPPED)
        return mu, log_dispersion(self.dispersion_link, point), log_df


_MEDIAN_ABSOLUTE_T5 = 0.7267  # upper quartile of t with 5 degrees of freedom


def _half_rising(kappa: Vector, order: int) -> tuple[Vector, ...]:
    return log_rising(kappa, np.asarray(0.5), order)


def _variance_ratio(df: Vector, order: int) -> tuple[Vector, ...]:
    """ν/(ν - 2) and derivatives; infinite variance for ν ≤ 2."""
    _, *slopes = special.reciprocal(np.where(df > 2.0, df - 2.0, np.nan), order)
    value = np.where(df > 2.0, df / np.where(df > 2.0, df - 2.0, 1.0), np.inf)
    return (value, *(2.0 * s for s in slopes))
