"""Linear predictors of a generalised model fitted to responses that differ in one row.

Each altered response is one more fit. Its estimates lie near those of the model, whose
Hessian H is known, so that few steps -H^-1∇ of the exact gradient lead to them (the chord
method: Ortega & Rheinboldt 1970, sec. 7.1), to more digits than a search for its own sake
would need: the changes looked for are of the order of 1/n. Where the steps do not come
closer, and at the boundary of the parameter space, the altered response is fitted with
all the checks of `hglm.fitting`. Rows that look the same share their fits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np

from hglm.criteria.generalised_problem import GeneralisedProblem
from hglm.criteria.laplace import MarginalEvaluation, evaluate_laplace
from hglm.criteria.quadrature import evaluate_quadrature
from hglm.design import Design, PredictorDesign
from hglm.errors import FitError
from hglm.families.base import bind
from hglm.fitting.record import Estimates, GeneralisedState
from hglm.fitting.refit import refit
from hglm.numerics.positive import covariance_of
from hglm.typing import Codes, Matrix, Vector

__all__ = ["altered_predictors"]

CLOSE = 1e-16
"""Fall of the deviance that is not worth a further step."""
MODE = 1e-18
"""Tolerance of the decrement of the mode."""
STEPS = 40

Evaluate: TypeAlias = "Callable[[Vector, list[Matrix] | None], MarginalEvaluation]"


def altered_predictors(
    estimates: Estimates, state: GeneralisedState, design: Design, rows: Codes, values: Vector
) -> tuple[Vector, Vector]:
    """Fit again with the response of one row altered, and predict that row.

    Parameters
    ----------
    estimates, state, design
        Of the fit.
    rows : (B,)
        Which row is altered, fit after fit.
    values : (B,)
        Its new response, on the scale of `Design.y`.

    Returns
    -------
    own, altered : (B,)
        η̂ of the row with its own response and with the altered one, random effects
        included.
    """
    keys = np.column_stack([_looks(design)[rows], values])
    _, first, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    own = _predictor(estimates, state, design.y)
    altered = np.empty(len(first))
    for b, j in enumerate(first):
        y = design.y.copy()
        y[rows[j]] = values[j]
        altered[b] = _fitted_again(estimates, state, design, y)[rows[j]]
    return own[rows], altered[which.ravel()]


def _fitted_again(
    estimates: Estimates, state: GeneralisedState, design: Design, y: Vector
) -> Vector:
    """η̂ of another response. (n,)"""
    if not estimates.certificate.singular:
        found = _chord(estimates, state, y)
        if found is not None:
            return found
    other = refit(estimates, design, y)
    if not other.certificate.converged:
        raise FitError(
            "The conditional AIC needs a fit to every altered response, and one did not converge: "
            f"{other.certificate.message}"
        )
    assert isinstance(other.state, GeneralisedState)
    return _predictor(other, other.state, y)


def _predictor(estimates: Estimates, state: GeneralisedState, y: Vector) -> Vector:
    """η̂ of a fit to its own response y, polished. (n,)"""
    found = _chord(estimates, state, y)
    return estimates.linear_predictor if found is None else found


def _chord(estimates: Estimates, state: GeneralisedState, y: Vector) -> Vector | None:
    """η̂ of the response y by steps from the fit; None where they do not come closer. (n,)"""
    likelihood = state.problem.likelihood
    bound = bind(likelihood.family, state.problem.terms.take(y), likelihood.sizes)
    problem = replace(state.problem, likelihood=bound)
    evaluate = _criterion(problem, estimates.nodes)
    inverse = 0.5 * covariance_of(state.hessian, problem.n_fixed)
    psi, u, previous = state.psi, None, np.inf
    for _ in range(STEPS):
        at = evaluate(psi, u)
        mode, gradient = at.mode, at.gradient
        if mode is None:
            return None
        step = -inverse @ gradient
        fall = -0.5 * float(gradient @ step)
        if fall < CLOSE:
            b = [x + d for x, d in zip(mode.b, mode.d_b, strict=True)]
            fixed = np.broadcast_to(problem.fixed_predictors(psi)[0], (problem.n,))
            return problem.unsorted(np.array(problem.pattern.apply(b, {0: fixed})[0]))
        if not fall < previous:
            return None
        psi, previous = psi + step, fall
        u = [x + d for x, d in zip(mode.u, mode.d_u, strict=True)]
    return None


def _criterion(problem: GeneralisedProblem, nodes: int) -> Evaluate:
    if nodes > 1:
        return partial(evaluate_quadrature, problem, nodes=nodes)
    return partial(evaluate_laplace, problem, tolerance=MODE)


def _looks(design: Design) -> Matrix:
    """Everything that tells rows apart. (n, ...)"""
    columns = [design.y, *(x for x in (design.trials, design.weights) if x is not None)]
    for part in (design.mean, *design.others.values()):
        columns += _columns(part)
    return np.column_stack(columns)


def _columns(part: PredictorDesign) -> list[Vector]:
    out = [*part.X.T, *([] if part.offset is None else [part.offset])]
    for term in part.random:
        out += [term.codes, *term.z.T, *([] if term.positions is None else [term.positions.codes])]
    return out
