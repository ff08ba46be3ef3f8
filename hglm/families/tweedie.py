"""Tweedie family with power 1 < p < 2: mean μ, variance φμ^p/w.

A Poisson number of gamma variables: with λ = μ^(2-p)/{φ(2 - p)}, shape
γ = (2 - p)/(p - 1) and scale τ = φ(p - 1)μ^(p-1),

    log f(0) = -λ,
    log f(y) = -λ - y/τ - log y + H(z, γ),
    H(z, γ) = log Σ_{j≥1} exp{j z - log Γ(j + 1) - log Γ(jγ)},

where z = -(1 + γ) log φ - log(2 - p) + γ {log y - log(p - 1)} is free of μ: the
series of Dunn and Smyth (2005), summed by `hglm.families.tweedie_series`.

References
----------
Dunn, P. K. and Smyth, G. K. (2005). Statistics and Computing 15, 267-280.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import gammainc, gammaln, xlogy

from hglm.families.base import Kernel, Parameter, Point, Response, Support
from hglm.families.checks import check_sizes, require
from hglm.families.dispersion import (
    DispersionFamily,
    log_dispersion,
    pearson_start,
    weighted,
)
from hglm.families.draws import draw_poisson
from hglm.families.jets import Jet, assemble
from hglm.families.links import LINKS, log_mean, log_probabilities
from hglm.families.tweedie_series import remembering_series
from hglm.numerics import special
from hglm.typing import Vector

__all__ = ["Tweedie"]

_CAPPED = special.capped(7.0)  # powers beyond 1.0009 and 1.9991 are not told apart


@dataclass(frozen=True, slots=True)
class Tweedie(DispersionFamily):
    """Non-negative response with exact zeros; the power is estimated."""

    name: ClassVar[str] = "tweedie"
    links: ClassVar[tuple[str, ...]] = ("log", "sqrt", "identity")
    support: ClassVar[Support] = "nonnegative"
    discrete: ClassVar[bool] = False
    scalars: ClassVar[tuple[Parameter, ...]] = (
        Parameter("power", LINKS["logit_between_1_and_2"], scalar=True),
    )

    def validate(self, data: Response, labels: Sequence[object] | None = None) -> Tweedie:
        check_sizes(self.name, data.sizes, weights=True)
        valid = np.isfinite(data.y) & (data.y >= 0.0)
        need = "A response of the tweedie family is zero or positive"
        require(valid, data.y, need, "correct those rows", labels)
        return self

    def kernel(self, data: Response) -> Kernel:
        n = data.y.size
        zeros, above = np.flatnonzero(data.y == 0.0), np.flatnonzero(data.y > 0.0)
        log_y = np.log(data.y[above])
        log_series = remembering_series()

        def log_density(point: Point) -> Jet:
            parts = self._compound(point)
            none = -parts.log_rate.apply(special.exp)
            load = (-(parts.log_scale.take(above) - log_y)).apply(special.exp)
            log_phi = parts.log_phi.take(above)
            gamma = parts.log_shape.apply(special.exp)
            z = gamma * (-(parts.log_below - log_y)) - log_phi * (gamma + 1.0) - parts.log_above
            some = none.take(above) - load - log_y + log_series(z, gamma)
            return assemble(n, [(zeros, none.take(zeros)), (above, some)])

        return log_density

    def moments(self, point: Point) -> tuple[Jet, Jet]:
        parts = self._compound(point)
        power = parts.log_below.apply(special.exp) + 1.0
        return parts.xi.apply(special.exp), (parts.log_phi + power * parts.xi).apply(special.exp)

    def information(self, point: Point) -> Jet:
        """Return μ^(2-p)/φ (∂ log μ/∂η)²."""
        parts = self._compound(point)
        slope = parts.xi.derivative(0)
        power = parts.log_above.apply(special.exp)
        return slope * slope * (power * parts.xi - parts.log_phi).apply(special.exp)

    def unit_deviance(self, y: Vector, point: Point) -> Vector:
        """Return 2w {y (y^(1-p) - μ^(1-p))/(1 - p) - (y^(2-p) - μ^(2-p))/(2 - p)}."""
        parts = self._compound(point)
        r, q = np.exp(parts.log_below.value), np.exp(parts.log_above.value)
        mu = np.exp(parts.xi.value)
        below = (y * mu**-r - y**q) / r
        return weighted(2.0 * (below - (y**q - mu**q) / q), point.sizes.weights)

    def start(self, data: Response, mu: Vector | None = None) -> tuple[Vector, ...]:
        level = np.mean(data.y) if np.any(data.y > 0.0) else 1.0
        centre = np.full_like(data.y, level) if mu is None else mu
        e = pearson_start(data, centre, centre**1.5, self.dispersion_link)
        near = np.where(data.y > 0.0, data.y, 0.3 * level) if mu is None else mu
        return LINKS[self.link].link(near), e, np.asarray(0.0)

    def simulate(self, point: Point, rng: np.random.Generator) -> Vector:
        parts = self._compound(point)
        number = draw_poisson(np.exp(parts.log_rate.value), rng)
        shape = number * np.exp(parts.log_shape.value)
        return np.asarray(rng.standard_gamma(shape) * np.exp(parts.log_scale.value))

    def cdf(self, y: Vector, point: Point) -> Vector:
        """Sum gamma distribution functions over the Poisson number."""
        parts = self._compound(point)
        rate = np.broadcast_to(np.exp(parts.log_rate.value), y.shape)
        load = np.maximum(y, 0.0) * np.exp(-parts.log_scale.value)
        total = np.exp(-rate)
        for j in range(1, int(np.max(rate + 10.0 * np.sqrt(rate))) + 20):
            share = np.exp(xlogy(j, rate) - rate - gammaln(j + 1.0))
            total = total + share * gammainc(j * np.exp(parts.log_shape.value), load)
        return np.where(y < 0.0, 0.0, np.minimum(total, 1.0))

    def _compound(self, point: Point) -> _Compound:
        xi = log_mean(LINKS[self.link], point.predictors[0])
        log_phi = log_dispersion(self.dispersion_link, point)
        psi = -(-point.predictors[2].apply(_CAPPED)).apply(_CAPPED)
        log_below, log_above = log_probabilities(LINKS["logit"], psi)
        log_rate = log_above.apply(special.exp) * xi - log_phi - log_above
        log_scale = log_below.apply(special.exp) * xi + log_phi + log_below
        return _Compound(xi, log_phi, log_below, log_above, log_rate, -psi, log_scale)


@dataclass(frozen=True, slots=True)
class _Compound:
    """The Poisson sum of gamma variables behind a Tweedie response."""

    xi: Jet
    """log μ"""
    log_phi: Jet
    """log(φ/w)"""
    log_below: Jet
    """log(p - 1)"""
    log_above: Jet
    """log(2 - p)"""
    log_rate: Jet
    """log λ"""
    log_shape: Jet
    """log γ"""
    log_scale: Jet
    """log τ"""
