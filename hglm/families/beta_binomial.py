"""Beta-binomial family: m y ~ Bin(m, p), p ~ Beta(μφ, (1 - μ)φ).

Variance μ(1 - μ)/m · {1 + (m - 1)/(φ + 1)}. With c = m y successes and
R(c; k) = log Γ(c + k) - log Γ(k) - c log k the log density is

    R(c; μφ) + R(m - c; (1 - μ)φ) - R(m; φ) + c log μ + (m - c) log(1 - μ) + log C(m, c),

the binomial one exactly for φ → ∞.

References
----------
Hinde, J. and Demétrio, C. G. B. (1998). Comput. Stat. Data Anal. 27, 151-170.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hglm.families.base import Kernel, Point, Response, Support
from hglm.families.binomial import (
    PROBABILITY_LINKS,
    proportion_start,
    require_proportion,
    successes,
    trials_of,
)
from hglm.families.checks import check_sizes
from hglm.families.counts import probabilities, summed_cdf
from hglm.families.dispersion import DispersionFamily, log_dispersion
from hglm.families.draws import draw_beta
from hglm.families.jets import Jet
from hglm.families.links import LINKS, log_probabilities
from hglm.families.rising import rising_of
from hglm.numerics import special
from hglm.typing import Vector

__all__ = ["BetaBinomial"]

_CAPPED = special.capped(100.0)  # exp(100) is as good as infinite


@dataclass(frozen=True, slots=True)
class BetaBinomial(DispersionFamily):
    """Overdispersed successes in m trials."""

    link: str = "logit"

    name: ClassVar[str] = "beta_binomial"
    links: ClassVar[tuple[str, ...]] = PROBABILITY_LINKS
    support: ClassVar[Support] = "proportion"
    discrete: ClassVar[bool] = True

    def validate(self, data: Response, labels: Sequence[object] | None = None) -> BetaBinomial:
        check_sizes(self.name, data.sizes, trials=True)
        require_proportion(self.name, data, labels)
        return self

    def kernel(self, data: Response) -> Kernel:
        count, failures, constant = successes(data)
        up, down, both = rising_of(count), rising_of(failures), rising_of(count + failures)

        def log_density(point: Point) -> Jet:
            log_mu, log_1mu, e = self._coordinates(point)
            spread = (log_mu + e).apply(up) + (log_1mu + e).apply(down) - e.apply(both)
            return spread + log_mu * count + log_1mu * failures + constant

        return log_density

    def moments(self, point: Point) -> tuple[Jet, Jet]:
        log_mu, log_1mu, e = self._coordinates(point)
        trials = trials_of(point.sizes)
        extra = (-e.apply(special.softplus)).apply(special.exp) * (trials - 1.0) + 1.0
        variance = (log_mu + log_1mu).apply(special.exp) * extra * (1.0 / trials)
        return log_mu.apply(special.exp), variance

    def information(self, _: Point) -> None:
        return None

    def unit_deviance(self, _: Vector, __: Point) -> None:
        return None

    def start(self, data: Response, mu: Vector | None = None) -> tuple[Vector, ...]:
        y, trials = data.y, np.broadcast_to(trials_of(data.sizes), data.y.shape)
        centre = np.full_like(y, np.average(y, weights=trials)) if mu is None else mu
        binomial = centre * (1.0 - centre) / trials
        excess = np.sum(np.square(y - centre) - binomial) / np.sum((trials - 1.0) * binomial + 1e-8)
        phi = 1.0 / np.clip(excess, 1e-3, 0.9) - 1.0
        near = proportion_start(data) if mu is None else mu
        return LINKS[self.link].link(near), LINKS[self.dispersion_link].link(np.asarray(phi))

    def simulate(self, point: Point, rng: np.random.Generator) -> Vector:
        log_mu, log_1mu, e = (jet.value for jet in self._coordinates(point))
        p = draw_beta(np.exp(log_mu + e), np.exp(log_1mu + e), rng)
        trials = np.broadcast_to(trials_of(point.sizes), p.shape)
        return np.asarray(rng.binomial(trials.astype(np.int64), p) / trials)

    def cdf(self, y: Vector, point: Point) -> Vector:
        step = 1.0 / trials_of(point.sizes)
        return summed_cdf(probabilities(self, point), np.minimum(y, 1.0), step)

    def _coordinates(self, point: Point) -> tuple[Jet, Jet, Jet]:
        """Return log μ, log(1 - μ) and log φ."""
        log_mu, log_1mu = log_probabilities(LINKS[self.link], point.predictors[0])
        log_phi = log_dispersion(self.dispersion_link, point)
        return log_mu, log_1mu, log_phi.apply(_CAPPED)
