"""Poisson family: P(y) = μ^y exp(-μ)/y!."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import gammaln, kl_div, pdtr

from hglm.families.base import Kernel, Parameter, Point, Response
from hglm.families.checks import check_link, check_sizes, require_counts
from hglm.families.counts import CountFamily, count_start
from hglm.families.draws import draw_poisson
from hglm.families.jets import Jet
from hglm.families.links import LINKS, log_mean
from hglm.numerics import special
from hglm.numerics.gamma import stirling
from hglm.numerics.special import LARGEST_EXPONENT
from hglm.typing import Vector

__all__ = ["Poisson"]

_LARGE_COUNT = 1e4
_LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True, slots=True)
class Poisson(CountFamily):
    """Counts with variance equal to the mean."""

    link: str = "log"

    name: ClassVar[str] = "poisson"

    def __post_init__(self) -> None:
        check_link(self.name, self.link, self.links)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (Parameter("mean", LINKS[self.link]),)

    def validate(self, data: Response, labels: Sequence[object] | None = None) -> Poisson:
        check_sizes(self.name, data.sizes)
        require_counts(self.name, data.y, labels)
        return self

    def kernel(self, data: Response) -> Kernel:
        y = data.y
        large = np.max(y, initial=0.0) > _LARGE_COUNT
        value_at = _large_counts(y) if large else _small_counts(y)

        def log_density(point: Point) -> Jet:
            xi = self._log_mean(point)
            mu = special.exp(xi.value, 0)[0]
            value = value_at(xi.value, mu)
            if xi.depth == 0:
                return xi.compose(value)
            minus = -mu
            return xi.compose(value, y - mu, minus, minus)

        return log_density

    def moments(self, point: Point) -> tuple[Jet, Jet]:
        mu = self._log_mean(point).apply(special.exp)
        return mu, mu

    def information(self, point: Point) -> Jet:
        xi = self._log_mean(point)
        slope = xi.derivative(0)
        return slope * slope * xi.apply(special.exp)

    def unit_deviance(self, y: Vector, point: Point) -> Vector:
        return np.asarray(2.0 * kl_div(y, np.exp(self._log_mean(point).value)))

    def start(self, data: Response, mu: Vector | None = None) -> tuple[Vector, ...]:
        return (LINKS[self.link].link(count_start(data.y) if mu is None else mu),)

    def simulate(self, point: Point, rng: np.random.Generator) -> Vector:
        return draw_poisson(np.exp(self._log_mean(point).value), rng)

    def cdf(self, y: Vector, point: Point) -> Vector:
        mu = np.exp(self._log_mean(point).value)
        return np.where(y < 0.0, 0.0, pdtr(np.maximum(y, 0.0), mu))

    def log_hazard(self, point: Point) -> Jet:
        return self._log_mean(point)

    def _log_mean(self, point: Point) -> Jet:
        return log_mean(LINKS[self.link], point.predictors[0])


def _small_counts(y: Vector) -> Callable[[Vector, Vector], Vector]:
    constant = -gammaln(y + 1.0)

    def value(xi: Vector, mu: Vector) -> Vector:
        return np.asarray(y * xi - mu + constant)

    return value


def _large_counts(y: Vector) -> Callable[[Vector, Vector], Vector]:
    """Log density free of the cancellation between y ξ - μ and log y!.

    With δ = ξ - log y it is y (δ - expm1 δ) - log(2πy)/2 - s(y), s Stirling's
    remainder.
    """
    log_y = np.log(np.maximum(y, 1.0))
    peak = -0.5 * (_LOG_2PI + log_y) - stirling(log_y, 0)[0]

    def value(xi: Vector, mu: Vector) -> Vector:
        delta = xi - log_y
        rise = np.expm1(np.minimum(delta, LARGEST_EXPONENT))
        return np.where(y > 0.0, y * (delta - rise) + peak, -mu)

    return value
