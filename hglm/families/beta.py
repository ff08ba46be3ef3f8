"""Beta family: mean μ, precision φ, variance μ(1 - μ)/(1 + φ).

With a = μφ, b = (1 - μ)φ and Stirling's log Γ(x) = (x - 1/2) log x - x + ... + s(x)
the log density is

    -φ KL + {log a + log b - log φ - log 2π}/2 + s(φ) - s(a) - s(b)
        - log y - log(1 - y),
    KL = μ log(μ/y) + (1 - μ) log{(1 - μ)/(1 - y)},

with nothing to cancel for large φ and finite for μ → 0 or 1.

References
----------
Ferrari, S. L. P. and Cribari-Neto, F. (2004). J. Appl. Stat. 31, 799-815.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import betainc, polygamma

from hglm.families.base import Kernel, Point, Response, Support
from hglm.families.binomial import PROBABILITY_LINKS
from hglm.families.checks import check_sizes, require
from hglm.families.dispersion import DispersionFamily, log_dispersion
from hglm.families.jets import Jet
from hglm.families.links import LINKS, log_odds, log_probabilities
from hglm.numerics import special
from hglm.numerics.gamma import stirling
from hglm.typing import Vector

__all__ = ["Beta"]

_LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True, slots=True)
class Beta(DispersionFamily):
    """Response in the open interval (0, 1)."""

    link: str = "logit"

    name: ClassVar[str] = "beta"
    links: ClassVar[tuple[str, ...]] = PROBABILITY_LINKS
    support: ClassVar[Support] = "unit"
    discrete: ClassVar[bool] = False

    def validate(self, data: Response, labels: Sequence[object] | None = None) -> Beta:
        check_sizes(self.name, data.sizes)
        inside = (data.y > 0.0) & (data.y < 1.0)
        need = "A response of the beta family lies between 0 and 1, both excluded"
        remedy = "model zeros with a hurdle, or shrink the response, (y (n - 1) + 1/2)/n"
        require(inside, data.y, need, remedy, labels)
        return self

    def kernel(self, data: Response) -> Kernel:
        log_y, log_1y = np.log(data.y), np.log1p(-data.y)
        constant = -log_y - log_1y - 0.5 * _LOG_2PI

        def log_density(point: Point) -> Jet:
            log_mu, log_1mu, e = self._coordinates(point)
            a, b = log_mu + e, log_1mu + e
            divergence = a.apply(special.exp) * (log_mu - log_y)
            divergence += b.apply(special.exp) * (log_1mu - log_1y)
            remainder = e.apply(stirling) - a.apply(stirling) - b.apply(stirling)
            return (a + b - e) * 0.5 - divergence + remainder + constant

        return log_density

    def moments(self, point: Point) -> tuple[Jet, Jet]:
        log_mu, log_1mu, e = self._coordinates(point)
        variance = log_mu + log_1mu - e.apply(special.softplus)
        return log_mu.apply(special.exp), variance.apply(special.exp)

    def information(self, point: Point) -> Jet:
        """Return {(1 - μ)² a² ψ'(a) + μ² b² ψ'(b)} (∂ log odds/∂η)²."""
        log_mu, log_1mu, e = self._coordinates(point)
        slope = log_odds(LINKS[self.link], point.predictors[0]).derivative(0)
        above = (log_1mu * 2.0).apply(special.exp) * (log_mu + e).apply(_squared_trigamma)
        below = (log_mu * 2.0).apply(special.exp) * (log_1mu + e).apply(_squared_trigamma)
        return slope * slope * (above + below)

    def unit_deviance(self, _: Vector, __: Point) -> None:
        return None

    def start(self, data: Response, mu: Vector | None = None) -> tuple[Vector, ...]:
        centre = np.full_like(data.y, np.mean(data.y)) if mu is None else mu
        ratio = np.mean(np.square(data.y - centre)) / np.mean(centre * (1.0 - centre))
        phi = 1.0 / np.clip(ratio, 1e-8, 0.9) - 1.0
        near = data.y if mu is None else mu
        return LINKS[self.link].link(near), LINKS[self.dispersion_link].link(phi)

    def simulate(self, point: Point, rng: np.random.Generator) -> Vector:
        drawn = rng.beta(*self._shapes(point))
        return np.clip(drawn, np.finfo(float).tiny, np.nextafter(1.0, 0.0))

    def cdf(self, y: Vector, point: Point) -> Vector:
        return np.asarray(betainc(*self._shapes(point), np.clip(y, 0.0, 1.0)))

    def _coordinates(self, point: Point) -> tuple[Jet, Jet, Jet]:
        """Return log μ, log(1 - μ) and log φ."""
        log_mu, log_1mu = log_probabilities(LINKS[self.link], point.predictors[0])
        return log_mu, log_1mu, log_dispersion(self.dispersion_link, point)

    def _shapes(self, point: Point) -> tuple[Vector, Vector]:
        """Return a and b."""
        log_mu, log_1mu, e = (jet.value for jet in self._coordinates(point))
        return np.exp(log_mu + e), np.exp(log_1mu + e)


def _squared_trigamma(kappa: Vector, order: int) -> tuple[Vector, ...]:
    """a² ψ'(a) for a = exp κ, with derivatives in κ (1 for a → 0)."""
    a = np.exp(np.clip(kappa, -special.LARGEST_EXPONENT / 2.0, special.LARGEST_EXPONENT / 2.0))
    p = [a ** (m + 1) * polygamma(m, a) for m in range(1, order + 2)]
    weights = ((1.0,), (2.0, 1.0), (4.0, 5.0, 1.0), (8.0, 19.0, 9.0, 1.0))
    rows = weights[: order + 1]
    return tuple(np.asarray(sum(w * q for w, q in zip(row, p, strict=False))) for row in rows)
