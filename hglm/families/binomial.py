"""Binomial family: m y ~ Bin(m, μ), y the proportion of successes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import betaincc, betaln, rel_entr

from hglm.families.base import Family, Kernel, Parameter, Point, Response, Sizes, Support
from hglm.families.checks import check_link, check_sizes, require
from hglm.families.jets import Jet
from hglm.families.links import LINKS, log_mean, log_odds, log_probabilities
from hglm.numerics import special
from hglm.typing import Vector

__all__ = [
    "PROBABILITY_LINKS",
    "Binomial",
    "log_binomial_coefficient",
    "proportion_start",
    "require_proportion",
    "successes",
    "trials_of",
]

PROBABILITY_LINKS = ("logit", "probit", "cloglog", "cauchit")
"""Links of a probability whose inverse is a distribution function."""

_SYMMETRIC = ("probit", "cauchit")


@dataclass(frozen=True, slots=True)
class Binomial(Family):
    """Successes in m trials, or a Bernoulli response for m = 1."""

    link: str = "logit"

    name: ClassVar[str] = "binomial"
    links: ClassVar[tuple[str, ...]] = (*PROBABILITY_LINKS, "log")
    support: ClassVar[Support] = "proportion"
    discrete: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_link(self.name, self.link, self.links)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (Parameter("mean", LINKS[self.link]),)

    def validate(self, data: Response, labels: Sequence[object] | None = None) -> Binomial:
        check_sizes(self.name, data.sizes, trials=True)
        require_proportion(self.name, data, labels)
        return self

    def kernel(self, data: Response) -> Kernel:
        if self.link == "logit":
            return _logit_kernel(data)
        if self.link in _SYMMETRIC and data.sizes.trials is None:
            return _symmetric_kernel(data, self.link)
        count, failures, constant = successes(data)

        def log_density(point: Point) -> Jet:
            log_mu, log_1mu = self._log_probabilities(point)
            return log_mu * count + log_1mu * failures + constant

        return log_density

    def moments(self, point: Point) -> tuple[Jet, Jet]:
        log_mu, log_1mu = self._log_probabilities(point)
        variance = (log_mu + log_1mu).apply(special.exp)
        return log_mu.apply(special.exp), variance * (1.0 / trials_of(point.sizes))

    def information(self, point: Point) -> Jet:
        log_mu, log_1mu = self._log_probabilities(point)
        slope = log_odds(LINKS[self.link], point.predictors[0]).derivative(0)
        return slope * slope * (log_mu + log_1mu).apply(special.exp) * trials_of(point.sizes)

    def unit_deviance(self, y: Vector, point: Point) -> Vector:
        mu = np.exp(self._log_probabilities(point)[0].value)
        both = rel_entr(y, mu) + rel_entr(1.0 - y, 1.0 - mu)
        return np.asarray(2.0 * trials_of(point.sizes) * both)

    def start(self, data: Response, mu: Vector | None = None) -> tuple[Vector, ...]:
        return (LINKS[self.link].link(proportion_start(data) if mu is None else mu),)

    def simulate(self, point: Point, rng: np.random.Generator) -> Vector:
        mu = np.exp(self._log_probabilities(point)[0].value)
        trials = np.broadcast_to(trials_of(point.sizes), mu.shape)
        return np.asarray(rng.binomial(trials.astype(np.int64), mu) / trials)

    def cdf(self, y: Vector, point: Point) -> Vector:
        mu = np.exp(self._log_probabilities(point)[0].value)
        trials = trials_of(point.sizes)
        count = np.floor(y * trials + 1e-7)
        inside = np.clip(count, 0.0, trials - 1.0)
        below = betaincc(inside + 1.0, trials - inside, mu)
        return np.where(count < 0.0, 0.0, np.where(count >= trials, 1.0, below))

    def _log_probabilities(self, point: Point) -> tuple[Jet, Jet]:
        return log_probabilities(LINKS[self.link], point.predictors[0])


def _logit_kernel(data: Response) -> Kernel:
    """y η - log(1 + exp η) for single trials; see `_counted_logit_kernel` for more."""
    if data.sizes.trials is not None:
        return _counted_logit_kernel(data)
    y = data.y

    def log_density(point: Point) -> Jet:
        eta = point.predictors[0]
        value, *slopes = special.softplus(eta.value, eta.depth)
        return eta.compose(
            y * eta.value - value, *(y - s if k == 0 else -s for k, s in enumerate(slopes))
        )

    return log_density


def _counted_logit_kernel(data: Response) -> Kernel:
    """Return s log μ + f log(1 - μ) from counts s and f: precise for a few of 1e12, too."""
    count, failures, constant = successes(data)
    trials = count + failures

    def log_density(point: Point) -> Jet:
        eta = point.predictors[0]
        far = np.log1p(np.exp(-np.abs(eta.value)))
        right, left = np.maximum(eta.value, 0.0), np.maximum(-eta.value, 0.0)
        terms = [constant - count * left - failures * right - trials * far]
        if eta.depth:
            p, *slopes = special.sigmoid(eta.value, eta.depth - 1)
            complement = special.sigmoid(-eta.value, 0)[0]
            terms += [count * complement - failures * p, *(-trials * s for s in slopes)]
        return eta.compose(*terms)

    return log_density


def _symmetric_kernel(data: Response, link: str) -> Kernel:
    """log F(η) for y = 1 and log F(-η) for y = 0, in one evaluation."""
    side = 2.0 * data.y - 1.0

    def log_density(point: Point) -> Jet:
        return log_mean(LINKS[link], point.predictors[0] * side)

    return log_density


def trials_of(sizes: Sizes) -> Vector | float:
    """Return the trials of each row, one if none were given."""
    return 1.0 if sizes.trials is None else sizes.trials


def successes(data: Response) -> tuple[Vector, Vector, Vector]:
    """Return successes, failures and log binomial coefficients, (n,) each."""
    y, trials = data.y, data.sizes.trials
    if trials is None:
        return y, 1.0 - y, np.zeros_like(y)
    count = np.rint(y * trials)
    return count, trials - count, log_binomial_coefficient(y, trials)


def log_binomial_coefficient(y: Vector, trials: Vector) -> Vector:
    """Return log C(m, m y)."""
    count = np.rint(y * trials)
    return np.asarray(-np.log1p(trials) - betaln(count + 1.0, trials - count + 1.0))


def require_proportion(name: str, data: Response, labels: Sequence[object] | None) -> None:
    """Raise `DataError` unless y times the trials are counts in 0 ... m."""
    y = data.y
    trials = np.broadcast_to(trials_of(data.sizes), y.shape)
    whole = trials == np.floor(trials)
    require(whole, trials, "Trials are whole numbers", "correct those rows", labels)
    count = y * trials
    gap = np.abs(count - np.rint(count))
    valid = (y >= 0.0) & (y <= 1.0) & (gap < 1e-6 * np.maximum(count, 1.0))
    need = f"A response of the {name} family is 0 or 1, or successes divided by `trials`"
    require(
        valid, y, need, "pass the number of trials, or write cbind(successes, failures)", labels
    )


def proportion_start(data: Response) -> Vector:
    """Return a probability near each proportion, off 0 and 1."""
    trials = trials_of(data.sizes)
    return (data.y * trials + 0.5) / (trials + 1.0)
