"""What makes a linear mixed model impossible to fit, said before the numbers break down."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hglm.criteria.linear_problem import LinearProblem
from hglm.design.arrays import Design
from hglm.errors import DataError, FitError, OptionError
from hglm.families import Family
from hglm.fitting.boundary import starts_by_moments
from hglm.typing import Vector

__all__ = ["check_generalised", "check_linear", "check_residual", "check_start", "no_residual"]

ROUNDING = 32.0 * float(np.finfo(np.float64).eps)
"""Residuals this small beside the response are rounding."""
LOST = 1e-12
"""Sums of squares this small beside that of the response have lost most of their digits."""


def check_linear(design: Design, problem: LinearProblem) -> None:
    """Raise where the residual variance or that of a random term cannot be estimated.

    Raises
    ------
    DataError
    """
    p = problem.p
    if problem.nobs <= p:
        raise DataError(
            f"The number of observations ({problem.nobs:g}) does not exceed that of the fixed "
            f"effects ({p}), which leaves nothing to estimate the residual variance from; give "
            "more rows or fewer predictors."
        )
    if np.sqrt(problem.gram[p, p] / design.n) <= ROUNDING * _size(design):
        raise DataError(
            f"The fixed effects reproduce the response `{design.response}` exactly, so there is no "
            "residual variance to estimate; check that it is not constant and not computed from "
            "the predictors."
        )
    for slot, position in zip(problem.layout.slots, problem.terms, strict=True):
        diagonal = problem.gramian.diagonal[slot.group][slot.columns, slot.columns]
        whole = np.einsum("kkq->k", diagonal)
        fixed = np.einsum("pkq,pkq->k", *(2 * [problem.rhs[slot.group][:p, slot.columns]]))
        if not starts_by_moments(slot):  # coefficients that share a variance: all, or none
            whole, fixed = whole.sum(keepdims=True), fixed.sum(keepdims=True)
        if np.any(whole - fixed <= 1e-9 * whole):
            group = design.mean.random[position].group
            raise DataError(
                f"The random effects by `{group}` cannot be told from the fixed effects, which "
                f"have a coefficient for every level; leave `{group}` out of one of the two."
            )


def check_generalised(design: Design, family: Family) -> None:
    """Raise where a generalised model has nothing to estimate a dispersion or variance from.

    Raises
    ------
    DataError
    """
    constant = design.n > 0 and float(np.ptp(design.y)) == 0.0
    if constant and not family.discrete and design.mean.offset is None:
        raise DataError(
            f"The response `{design.response}` is constant ({design.y[0]:g} in every row), so "
            f"there is no variation for the {family.name} family to describe; check the column."
        )
    single = design.trials is None or bool(np.all(design.trials == 1.0))
    if family.support != "proportion" or not single or design.frequencies is not None:
        return
    for term in design.mean.random:
        rows = np.bincount(term.codes, minlength=term.n_levels)
        if term.k == 1 and term.relation is None and np.all(rows == 1) and np.ptp(term.z) == 0.0:
            raise DataError(
                f"Every level of `{term.group}` has a single response of 0 or 1, which tells "
                f"nothing of a variance between levels; leave the term (1 | {term.group}) out, or "
                "group by a factor with several rows a level."
            )


def check_residual(design: Design, problem: LinearProblem, penalized_rss: float) -> None:
    """Raise where the random effects have left nothing but rounding as residual.

    Raises
    ------
    FitError
    """
    if penalized_rss <= LOST * problem.gram[-1, -1]:
        raise no_residual(design)


def no_residual(design: Design) -> FitError:
    """Explain a residual variance of zero beside random effects."""
    groups = " and ".join(dict.fromkeys(f"`{t.group}`" for t in design.mean.random))
    return FitError(
        f"The random effects by {groups} reproduce the response `{design.response}` exactly, so "
        "there is no residual variance to estimate; leave out the factor that determines it."
    )


def check_start(start: Vector | Sequence[float], n_theta: int) -> Vector:
    """Return the start as an array of the right length. (m,)

    Raises
    ------
    OptionError
    """
    theta = np.atleast_1d(np.asarray(start, dtype=np.float64))
    if theta.shape != (n_theta,) or not np.all(np.isfinite(theta)):
        raise OptionError(
            "The argument `start` does not fit the model; give one finite number for each of its "
            f"covariance parameters ({n_theta}), in the order of `Fit.theta`."
        )
    return theta


def _size(design: Design) -> float:
    """Size of the numbers that were rounded."""
    offset = 0.0 if design.mean.offset is None else np.abs(design.mean.offset).max()
    return float(np.abs(design.y).max() + offset)
