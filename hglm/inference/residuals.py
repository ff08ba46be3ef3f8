"""Residuals and leverage.

With μ̂ the fitted mean given the random effects:

    response               y - μ̂
    deviance               ±√d, d the unit deviance with weights; √w (y - μ̂) if normal
    pearson                (y - μ̂)/sd(y | b), sd = σ̂/√w if normal

and for linear mixed models

    studentised            √w (y - μ̂)/(σ̂ √(1 - h))
    marginal               y - Xβ̂ - offset
    standardised_marginal  (y - Xβ̂ - offset)/sd(y),  sd(y)² = z'Var(b)z + σ̂²/w

The standard deviations hold the estimated dispersion, as nlme's and unlike lme4's
Pearson residuals.

h is the leverage, the diagonal of the hat matrix H of the conditional fit
μ̂ = Hy (Nobre & Singer 2011, Biometrical Journal 53, 63-87): on rows weighted by
√w, H = I - P with P = V^-1 - V^-1X(X'V^-1X)^-1X'V^-1, and since PVP = P the
conditional residuals have variance σ²P. Also H is the covariance of the errors of
μ̂ over σ², which is how it is computed; its trace is the effective number of
parameters (Hodges & Sargent 2001, Biometrika 88, 367-379).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from hglm.design import Design
from hglm.errors import OptionError
from hglm.fitting.record import Estimates, GeneralisedState
from hglm.inference.errors_of_fit import joint_covariance
from hglm.inference.family_point import family_point, fitted_predictors
from hglm.inference.joint_covariance import error_variances, group_rows
from hglm.typing import Vector

__all__ = ["RESIDUALS", "leverage", "marginal_variances", "residuals"]


def residuals(estimates: Estimates, design: Design, kind: str = "response") -> pd.Series:
    """Compute residuals of one kind, see the module.

    A row that stands for several observations has the residual of each of them.

    Parameters
    ----------
    estimates, design
        Of the fit.
    kind
        ``"response"``, ``"deviance"`` or ``"pearson"``; for linear models also
        ``"studentised"``, ``"marginal"`` or ``"standardised_marginal"``.

    Returns
    -------
    Series
        One number a row of the design.
    """
    if kind not in RESIDUALS:
        raise OptionError(
            f"There are no residuals of kind {kind!r}; choose one of {', '.join(RESIDUALS)}."
        )
    if isinstance(estimates.state, GeneralisedState):
        values = _of_family(estimates.state, estimates, design, kind)
    else:
        values = RESIDUALS[kind](estimates, design)
    return pd.Series(values, index=design.index, name=kind)


def leverage(estimates: Estimates, design: Design) -> Vector:
    """Compute the diagonal of the hat matrix of a linear mixed model, see the module.

    A row that stands for f observations has the leverage of each of them; the
    effective number of parameters is Σ f h.

    Returns
    -------
    (n,)
    """
    _sigma(estimates)
    joint = joint_covariance(estimates)
    columns = [design.mean.random[term.position] for term in estimates.terms]
    variance = error_variances(joint, design.mean.X, group_rows(joint, columns, design.n))
    relative = variance / joint.scale
    return relative if design.weights is None else design.weights * relative


def marginal_variances(estimates: Estimates, design: Design) -> Vector:
    """Compute the variance of each response, z'Var(b)z + σ²/w. (n,)"""
    out = np.full(design.n, _sigma(estimates) ** 2)
    if design.weights is not None:
        out /= design.weights
    for term in estimates.terms:
        out += design.mean.random[term.position].variances(term.covariance)
    return out


def _response(estimates: Estimates, design: Design) -> Vector:
    return design.y - estimates.linear_predictor


def _deviance(estimates: Estimates, design: Design) -> Vector:
    response = _response(estimates, design)
    return response if design.weights is None else np.sqrt(design.weights) * response


def _pearson(estimates: Estimates, design: Design) -> Vector:
    return _deviance(estimates, design) / _sigma(estimates)


def _studentised(estimates: Estimates, design: Design) -> Vector:
    free = 1.0 - leverage(estimates, design)
    fitted_exactly = free < 1e-10  # no residual left to judge
    root = np.sqrt(np.where(fitted_exactly, np.nan, free))
    return _pearson(estimates, design) / root


def _marginal(estimates: Estimates, design: Design) -> Vector:
    out: Vector = design.y - design.mean.X @ estimates.beta
    return out if design.mean.offset is None else out - design.mean.offset


def _standardised_marginal(estimates: Estimates, design: Design) -> Vector:
    return _marginal(estimates, design) / np.sqrt(marginal_variances(estimates, design))


def _sigma(estimates: Estimates) -> float:
    """Return the residual standard deviation, which linear models alone have."""
    if isinstance(estimates.state, GeneralisedState) or estimates.sigma is None:
        raise OptionError(
            "This is for linear mixed models; generalised ones have residuals of the kinds "
            "response, deviance and pearson."
        )
    return estimates.sigma


def _over_sd(difference: Vector, variance: Vector) -> Vector:
    """Differences in standard deviations; of none, where the fit is certain of what was seen."""
    sd = np.sqrt(np.maximum(variance, 0.0))
    return np.divide(difference, sd, out=np.zeros_like(difference), where=sd > 0.0)


def _of_family(state: GeneralisedState, estimates: Estimates, design: Design, kind: str) -> Vector:
    """Residuals of a generalised model. (n,)"""
    family = state.problem.likelihood.family
    point = family_point(state, design, fitted_predictors(estimates))
    mean, variance = (moment.value for moment in family.moments(point))
    if kind == "response":
        return design.y - mean
    if kind == "pearson":
        return _over_sd(design.y - mean, variance)
    if kind != "deviance":
        raise OptionError(
            f"Residuals of kind {kind!r} are for linear mixed models; choose response, deviance "
            "or pearson."
        )
    deviance = family.unit_deviance(design.y, point)
    if deviance is None:
        raise OptionError(
            f"The {family.name} family has no deviance residuals; choose response or pearson."
        )
    return np.sign(design.y - mean) * np.sqrt(np.maximum(deviance, 0.0))


RESIDUALS: Mapping[str, Callable[[Estimates, Design], Vector]] = {
    "response": _response,
    "deviance": _deviance,
    "pearson": _pearson,
    "studentised": _studentised,
    "marginal": _marginal,
    "standardised_marginal": _standardised_marginal,
}
"""Kind of residual -> its computation for linear models. (n,)"""
