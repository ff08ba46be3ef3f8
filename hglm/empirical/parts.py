"""The pieces of a fit: coefficients, hyperparameters, likelihood, posteriors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hglm.empirical.posterior import Posterior
from hglm.typing import BoolArray, Matrix, Vector

__all__ = ["Coefficients", "Hyperparameter", "Likelihood", "Scale", "TermPosterior", "delta"]

Scale = Literal["identity", "log", "logit"]


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Estimated parameters of the prior."""

    names: tuple[str, ...]
    """(m,)"""
    estimate: Vector
    """(m,)"""
    vcov: Matrix
    """(m, m) missing for parameters on a bound."""
    bounded: BoolArray
    """(m,) whether zero is the end of the range: then zero is not tested by Wald."""
    df: float = np.inf
    """Degrees of freedom of t statistics; infinite for z."""


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """A parameter of the prior, with the scale on which it is nearest to normal."""

    name: str
    estimate: float
    std_error: float
    scale: Scale


@dataclass(frozen=True, slots=True)
class Likelihood:
    """A log marginal likelihood and what is needed to compare it."""

    value: float
    n_parameters: float
    """Missing (nan) where the number is not defined."""
    nobs: int
    """Groups."""
    kind: str
    """"ml", "reml", "plug-in" (not maximised) or "penalised"."""
    data: bytes
    """Fingerprint of the data, so that only likelihoods of the same data are compared."""
    bic_size: int
    """Sample size in BIC: groups, less the coefficients under REML."""

    @property
    def aic(self) -> float:
        """Akaike's criterion."""
        return -2.0 * self.value + 2.0 * self.n_parameters

    @property
    def bic(self) -> float:
        """Schwarz's criterion."""
        return -2.0 * self.value + float(np.log(self.bic_size)) * self.n_parameters


@dataclass(frozen=True, slots=True)
class TermPosterior:
    """Posteriors of one parameter in all G groups."""

    term: str
    raw: Vector
    """(G,) each group's own estimate."""
    raw_se: Vector
    """(G,) its standard error."""
    prior_mean: Vector
    """(G,)"""
    posterior: Posterior
    shrinkage: Vector
    """(G,) weight of the prior mean."""


def delta(
    name: str, estimate: float, gradient: Vector, vcov: Matrix, scale: Scale
) -> Hyperparameter:
    """Make a hyperparameter with a delta-method standard error.

    Parameters
    ----------
    gradient : (m,)
        Derivative of the estimate in the coefficients.
    vcov : (m, m)
        Covariance of the coefficients, missing for those on a bound.
    """
    used = gradient != 0
    variance = float(gradient[used] @ vcov[np.ix_(used, used)] @ gradient[used])
    return Hyperparameter(name, float(estimate), float(np.sqrt(variance)), scale)
