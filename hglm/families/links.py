"""Link functions: one class each.

A link maps a mean (or another natural parameter) to the linear predictor,
g(μ) = η. Families never form μ and then take logarithms: they ask for the
coordinate in which their log density is smooth, as a jet in η,

    `mean(link, eta)`               μ
    `log_mean(link, eta)`           log μ
    `log_probabilities(link, eta)`  log μ and log(1 - μ)
    `log_odds(link, eta)`           log μ - log(1 - μ)

and each link supplies the one it has in closed form (its *scale*). An η that the
link cannot reach, such as a negative one for a Poisson mean with identity link,
gives nan, which `Likelihood` turns into a log density of -inf.

References
----------
McCullagh, P. and Nelder, J. A. (1989). Generalized Linear Models, 2nd ed., sec. 4.3.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np
from scipy import special as scipy_special

from hglm.families.jets import Jet, Wanted
from hglm.numerics import special
from hglm.typing import Vector

__all__ = [
    "LINKS",
    "Cauchit",
    "Cloglog",
    "Identity",
    "Inverse",
    "InverseSquared",
    "Link",
    "Log",
    "Logit",
    "LogitBetween",
    "ProbabilityLink",
    "Probit",
    "Sqrt",
    "inverse",
    "log_mean",
    "log_odds",
    "log_probabilities",
    "mean",
    "mean_derivatives",
]

Scale: TypeAlias = Literal["identity", "log", "log_odds"]


class Link(ABC):
    """A monotone map from the mean to the linear predictor."""

    __slots__ = ()
    name: ClassVar[str]
    scale: ClassVar[Scale]
    """What `lift` returns: μ, log μ or log odds."""

    @abstractmethod
    def link(self, mu: Vector) -> Vector:
        """Return η = g(μ)."""

    @abstractmethod
    def lift(self, eta: Jet) -> Jet:
        """Return μ, log μ or the log odds, by `scale`, as a jet."""


class ProbabilityLink(Link):
    """A link for means in (0, 1), given by a distribution function."""

    __slots__ = ()

    @abstractmethod
    def log_probability(self, eta: Jet) -> Jet:
        """Return log μ."""

    @abstractmethod
    def log_complement(self, eta: Jet) -> Jet:
        """Return log(1 - μ)."""


@dataclass(frozen=True, slots=True)
class Identity(Link):
    """η = μ."""

    name: ClassVar[str] = "identity"
    scale: ClassVar[Scale] = "identity"

    def link(self, mu: Vector) -> Vector:
        return mu

    def lift(self, eta: Jet) -> Jet:
        return eta


@dataclass(frozen=True, slots=True)
class Log(Link):
    """η = log μ."""

    name: ClassVar[str] = "log"
    scale: ClassVar[Scale] = "log"

    def link(self, mu: Vector) -> Vector:
        return np.log(mu)

    def lift(self, eta: Jet) -> Jet:
        return eta


@dataclass(frozen=True, slots=True)
class Sqrt(Link):
    """η = √μ, so η > 0."""

    name: ClassVar[str] = "sqrt"
    scale: ClassVar[Scale] = "log"

    def link(self, mu: Vector) -> Vector:
        return np.sqrt(mu)

    def lift(self, eta: Jet) -> Jet:
        return eta.apply(special.log) * 2.0


@dataclass(frozen=True, slots=True)
class Inverse(Link):
    """η = 1/μ."""

    name: ClassVar[str] = "inverse"
    scale: ClassVar[Scale] = "identity"

    def link(self, mu: Vector) -> Vector:
        return 1.0 / mu

    def lift(self, eta: Jet) -> Jet:
        return eta.apply(special.reciprocal)


@dataclass(frozen=True, slots=True)
class InverseSquared(Link):
    """η = 1/μ², canonical for the inverse Gaussian; η > 0."""

    name: ClassVar[str] = "inverse_squared"
    scale: ClassVar[Scale] = "log"

    def link(self, mu: Vector) -> Vector:
        return 1.0 / (mu * mu)

    def lift(self, eta: Jet) -> Jet:
        return eta.apply(special.log) * -0.5


@dataclass(frozen=True, slots=True)
class Logit(ProbabilityLink):
    """η = log{μ/(1 - μ)}."""

    name: ClassVar[str] = "logit"
    scale: ClassVar[Scale] = "log_odds"

    def link(self, mu: Vector) -> Vector:
        return np.asarray(scipy_special.logit(mu))

    def lift(self, eta: Jet) -> Jet:
        return eta

    def log_probability(self, eta: Jet) -> Jet:
        return eta.apply(special.log_sigmoid)

    def log_complement(self, eta: Jet) -> Jet:
        return -eta.apply(special.softplus)


@dataclass(frozen=True, slots=True)
class Probit(ProbabilityLink):
    """η = Φ⁻¹(μ)."""

    name: ClassVar[str] = "probit"
    scale: ClassVar[Scale] = "log_odds"

    def link(self, mu: Vector) -> Vector:
        return np.asarray(scipy_special.ndtri(mu))

    def lift(self, eta: Jet) -> Jet:
        return self.log_probability(eta) - self.log_complement(eta)

    def log_probability(self, eta: Jet) -> Jet:
        return eta.apply(special.log_ndtr)

    def log_complement(self, eta: Jet) -> Jet:
        return (-eta).apply(special.log_ndtr)


@dataclass(frozen=True, slots=True)
class Cloglog(ProbabilityLink):
    """η = log{-log(1 - μ)}."""

    name: ClassVar[str] = "cloglog"
    scale: ClassVar[Scale] = "log_odds"

    def link(self, mu: Vector) -> Vector:
        return np.log(-np.log1p(-mu))

    def lift(self, eta: Jet) -> Jet:
        return self.log_probability(eta) - self.log_complement(eta)

    def log_probability(self, eta: Jet) -> Jet:
        return eta.apply(special.log_cloglog)

    def log_complement(self, eta: Jet) -> Jet:
        return -eta.apply(special.exp)


@dataclass(frozen=True, slots=True)
class Cauchit(ProbabilityLink):
    """η = tan{π(μ - 1/2)}."""

    name: ClassVar[str] = "cauchit"
    scale: ClassVar[Scale] = "log_odds"

    def link(self, mu: Vector) -> Vector:
        return np.tan(np.pi * (mu - 0.5))

    def lift(self, eta: Jet) -> Jet:
        return self.log_probability(eta) - self.log_complement(eta)

    def log_probability(self, eta: Jet) -> Jet:
        return eta.apply(special.log_cauchit)

    def log_complement(self, eta: Jet) -> Jet:
        return (-eta).apply(special.log_cauchit)


@dataclass(frozen=True, slots=True)
class LogitBetween(Link):
    """η = logit(μ - 1), for a parameter between 1 and 2."""

    name: ClassVar[str] = "logit_between_1_and_2"
    scale: ClassVar[Scale] = "identity"

    def link(self, mu: Vector) -> Vector:
        return np.asarray(scipy_special.logit(mu - 1.0))

    def lift(self, eta: Jet) -> Jet:
        return eta.apply(special.sigmoid) + 1.0


LINKS: dict[str, Link] = {
    link.name: link
    for link in (
        Identity(),
        Log(),
        Sqrt(),
        Inverse(),
        InverseSquared(),
        Logit(),
        Probit(),
        Cloglog(),
        Cauchit(),
        LogitBetween(),
    )
}


def mean(link: Link, eta: Jet) -> Jet:
    """Return μ as a jet."""
    lifted = link.lift(eta)
    if link.scale == "identity":
        return lifted
    return lifted.apply(special.exp if link.scale == "log" else special.sigmoid)


def log_mean(link: Link, eta: Jet) -> Jet:
    """Return log μ as a jet; nan where μ is not positive."""
    if isinstance(link, ProbabilityLink):
        return link.log_probability(eta)
    lifted = link.lift(eta)
    return lifted if link.scale == "log" else lifted.apply(special.log)


def log_probabilities(link: Link, eta: Jet) -> tuple[Jet, Jet]:
    """Return log μ and log(1 - μ) as jets; nan where μ is not in (0, 1)."""
    if isinstance(link, ProbabilityLink):
        return link.log_probability(eta), link.log_complement(eta)
    log_mu = log_mean(link, eta)
    return log_mu, log_mu.apply(special.log1mexp)


def log_odds(link: Link, eta: Jet) -> Jet:
    """Return log μ - log(1 - μ) as a jet."""
    if isinstance(link, ProbabilityLink):
        return link.lift(eta)
    log_mu, log_1mu = log_probabilities(link, eta)
    return log_mu - log_1mu


def inverse(link: Link, eta: Vector) -> Vector:
    """Return μ = g⁻¹(η)."""
    return mean(link, Jet.variable(0, eta, Wanted(0))).value


def mean_derivatives(link: Link, eta: Vector) -> tuple[Vector, Vector, Vector, Vector]:
    """Return μ and its first three derivatives in η."""
    mu = mean(link, Jet.variable(0, np.asarray(eta), Wanted(3)))
    return mu.value, mu[0], mu[0, 0], mu[0, 0, 0]
