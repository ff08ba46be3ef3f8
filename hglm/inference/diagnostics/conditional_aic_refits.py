"""Conditional AIC of Poisson and binomial mixed models, by fits to neighbouring responses.

With θ_i the canonical parameter of a row, log μ_i or logit μ_i, the log likelihood is too
large by the covariance of the responses and what is fitted to them,

    ρ = E Σ_i (y_i - μ_i) θ̂_i(y),     cAIC = -2 log p(y | β̂, b̂) + 2ρ,

and identities of the distributions estimate it from fits to other responses:

    Poisson   ρ̂ = Σ_i y_i {θ̂_i(y) - θ̂_i(y - e_i)}
    binary    ρ̂ = Σ_i μ̂_i(1 - μ̂_i) {θ̂_i(y_i = 1) - θ̂_i(y_i = 0)}

(Lian 2012, Electron. J. Statist. 6, 1-16, unbiased by the identity of Chen and Stein; Efron
2004, J. Am. Stat. Assoc. 99, 619-632, and Saefken, Kneib, van Waveren & Greven 2014,
Electron. J. Statist. 8, 201-225). A binomial response of m trials is m binary ones, of
which k are turned down and m - k up, so that grouping rows changes nothing:

    binomial  ρ̂ = Σ_i μ̂_i(1 - μ̂_i) {k_i (θ̂_i(k_i) - θ̂_i(k_i - 1))
                                      + (m_i - k_i)(θ̂_i(k_i + 1) - θ̂_i(k_i))}

All parameters are estimated again in every fit, θ included; any link will do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hglm.design import Design
from hglm.errors import DataError, OptionError
from hglm.families import Family, point_at
from hglm.families.links import log_mean, log_probabilities
from hglm.fitting.record import Estimates, GeneralisedState
from hglm.inference.diagnostics.altered_responses import altered_predictors
from hglm.inference.family_point import family_point, fitted_predictors
from hglm.typing import Codes, Vector

__all__ = ["neighbour_correction"]


@dataclass(frozen=True, slots=True)
class _Neighbours:
    """Altered responses, and the weights of their changes."""

    rows: Codes
    """(B,)"""
    values: Vector
    """(B,)"""
    weights: Vector
    """(B,) ρ̂ = Σ weight {θ̂(y) - θ̂(altered)}."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """What the identity of a family needs."""

    neighbours: Callable[[Design, Vector], _Neighbours]
    """Of a design, given the fitted means (n,)."""
    canonical: Callable[[Family, Vector], Vector]
    """θ of linear predictors."""


def neighbour_correction(estimates: Estimates, state: GeneralisedState, design: Design) -> float:
    """Estimate ρ of a Poisson or binomial model.

    Parameters
    ----------
    estimates, state, design
        Of the fit.
    """
    family = state.problem.likelihood.family
    rule = RULES.get(family.name)
    if rule is None:
        raise OptionError(
            "Conditional AICs are for linear mixed models and for Poisson and binomial ones, where "
            f"the estimation of the variances can be counted exactly; for the {family.name} family "
            "compare `aic`, or predictions of groups left out."
        )
    if design.frequencies is not None and np.any(design.frequencies != 1.0):
        raise DataError(
            "The conditional AIC alters one response at a time, and a row with frequencies stands "
            "for several; repeat the rows instead of using `frequencies`."
        )
    mean, _ = family.moments(family_point(state, design, fitted_predictors(estimates)))
    around = rule.neighbours(design, np.broadcast_to(mean.value, (design.n,)))
    own, altered = altered_predictors(estimates, state, design, around.rows, around.values)
    change = rule.canonical(family, own) - rule.canonical(family, altered)
    return float(around.weights @ change)


def _one_count_less(design: Design, _: Vector) -> _Neighbours:
    rows = np.flatnonzero(design.y > 0.0)
    return _Neighbours(rows, design.y[rows] - 1.0, design.y[rows])


def _one_trial_turned(design: Design, mean: Vector) -> _Neighbours:
    m = np.ones(design.n) if design.trials is None else design.trials
    k = np.round(design.y * m)
    down, up = np.flatnonzero(k > 0.0), np.flatnonzero(k < m)
    rows = np.concatenate([down, up])
    values = np.concatenate([(k[down] - 1.0) / m[down], (k[up] + 1.0) / m[up]])
    sizes = np.concatenate([k[down], -(m - k)[up]])
    return _Neighbours(rows, values, (mean * (1.0 - mean))[rows] * sizes)


def _log_mean(family: Family, eta: Vector) -> Vector:
    return log_mean(family.parameters[0].link, point_at([eta]).predictors[0]).value


def _log_odds(family: Family, eta: Vector) -> Vector:
    log_p, log_q = log_probabilities(family.parameters[0].link, point_at([eta]).predictors[0])
    return np.asarray(log_p.value - log_q.value)


RULES: Mapping[str, _Rule] = {
    "poisson": _Rule(_one_count_less, _log_mean),
    "binomial": _Rule(_one_trial_turned, _log_odds),
}
"""Family -> its identity."""
