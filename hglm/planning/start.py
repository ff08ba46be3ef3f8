"""Where the searches of a simulation start: at the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hglm.covariance import Layout
from hglm.criteria.information import working_information
from hglm.criteria.laplace import evaluate_laplace
from hglm.fitting.record import Estimates, GeneralisedState, LinearState, TermEstimate
from hglm.fitting.refit_record import off_boundary
from hglm.fitting.term_estimates import standard_theta
from hglm.planning.data_model import DataModel
from hglm.typing import Vector

__all__ = ["at_truth"]

LEAST = 0.1
"""Least standard deviation at the start: at zero the criterion is stationary."""
SINGULAR = 1e-8
"""Part of the largest eigenvalue of a covariance below which one is zero."""


def at_truth(pilot: Estimates, model: DataModel) -> Estimates:
    """Put the true parameters in the place of those found in a pilot data set.

    Fits to other data that start from what one unlucky data set has given, such as one
    without any event, may never come back from there.

    Parameters
    ----------
    pilot
        Estimates of the model from any response.
    model
        The truth.
    """
    theta = _theta(pilot, model)
    state: LinearState | GeneralisedState
    if isinstance(pilot.state, LinearState):
        problem = pilot.state.problem
        standard = standard_theta(problem.layout, problem.maps, theta)
        state = replace(pilot.state, theta=standard)
    else:
        state = _generalised(pilot.state, model, theta)
    singular = any(_is_singular(term) for term in model.terms)
    certificate = replace(pilot.certificate, singular=singular)
    return replace(pilot, theta=theta, certificate=certificate, state=state)


def _theta(pilot: Estimates, model: DataModel) -> Vector:
    """Find θ of the truth in the user's coordinates. (m,)

    A structure with parameters of its own, such as a correlation in time, keeps those of
    the model, or of the pilot where the model has none.
    """
    truth = {(term.predictor, term.position): term for term in model.terms}
    layout = _layout(pilot)
    parts = [pilot.theta[:0]]
    for slot, found in zip(layout.slots, pilot.terms, strict=True):
        term = truth[found.predictor, found.position]
        if term.structure in ("us", "diag") and model.sigma > 0.0:
            values, vectors = np.linalg.eigh(term.covariance / model.sigma**2)
            root = vectors * np.sqrt(np.maximum(values, 0.0))
            parts.append(slot.structure.from_factor(root))
        else:
            parts.append(term.theta if len(term.theta) else found.theta)
    return np.concatenate(parts)


def _layout(estimates: Estimates) -> Layout:
    state = estimates.state
    return state.problem.layout if isinstance(state, LinearState) else state.problem.terms.layout


def _generalised(state: GeneralisedState, model: DataModel, theta: Vector) -> GeneralisedState:
    problem = state.problem
    psi = state.psi.copy()
    for block in problem.fixed:
        if block.name in model.betas:
            psi[block.parameters] = np.linalg.solve(block.to_beta, model.betas[block.name])
        elif block.p == 1:
            psi[block.parameters] = model.scalars[block.name]
    standard = standard_theta(problem.layout, problem.terms.maps, theta)
    psi[problem.n_fixed :] = off_boundary(problem.layout, standard, LEAST)
    evaluation = evaluate_laplace(problem, psi)
    hessian = working_information(problem, psi, evaluation)
    return replace(state, psi=psi, evaluation=evaluation, hessian=hessian)


def _is_singular(term: TermEstimate) -> bool:
    values = np.linalg.eigvalsh(term.covariance)
    return bool(values[0] <= SINGULAR * values[-1])
