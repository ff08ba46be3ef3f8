"""Searches from several starts, for likelihoods that may have several optima.

The starts differ from the first one in the covariances (of full rank, diagonal, of rank one,
from a tenth to ten times the size), in dispersions and further parameters, and in the
coefficients: half of them leave all to the random effects. Where the log density is concave in
the random effects one start nearly always does; `is_log_concave` looks whether it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from hglm.covariance import Slot
from hglm.criteria.generalised_problem import FixedBlock, GeneralisedProblem
from hglm.errors import FitError
from hglm.families import Response, Wanted, bind
from hglm.families.links import Link, inverse
from hglm.fitting.boundary import openings, starts_by_moments, with_slot
from hglm.fitting.generalised import GeneralisedOptimum
from hglm.typing import Codes, Matrix, Vector

__all__ = ["best_of", "is_log_concave", "other_starts"]

SAME = 1e-3
"""Deviances that differ by less are of the same optimum."""
ROWS = 24
"""Rows of which the log density is looked at."""
WIDE = 5.0
"""Factors up to exp(5) by which dispersions and the like are changed."""
TYPICAL = 0.5
"""A standard deviation to draw about, on the scale of a logarithm or log odds."""
REACH = np.arange(-6.0, 6.5, 0.75)
"""Distances from the linear predictor, in standard deviations of the response if it has its
scale."""


def best_of(
    fit: Callable[[Vector], GeneralisedOptimum], starts: Sequence[Vector]
) -> GeneralisedOptimum:
    """Fit from every start and take the best optimum that is proven, or the best end.

    Raises
    ------
    FitError
        If no search can start.
    """
    ends, failure = [], None
    for start in starts:
        try:
            ends.append(fit(start))
        except FitError as error:
            failure = error
    if not ends:
        raise failure or FitError("There is no start to search from.")
    proven = [end for end in ends if end.certificate.converged]
    best = min(proven or ends, key=lambda end: end.evaluation.value)
    agreeing = [end for end in proven if end.evaluation.value < best.evaluation.value + SAME]
    lowest = min(end.evaluation.value for end in ends)
    certificate = replace(
        best.certificate,
        starts=len(starts),
        agreeing=len(agreeing),
        lower=max(0.0, float(best.evaluation.value - lowest)),
        evaluations=sum(end.certificate.evaluations for end in ends),
    )
    path = [point for end in ends for point in end.path]
    return replace(best, certificate=certificate, path=tuple(path))


def other_starts(
    problem: GeneralisedProblem, first: Vector, number: int, seed: int
) -> list[Vector]:
    """Draw starts around a first one. (n_fixed + m,) each

    Parameters
    ----------
    problem
        The model.
    first : (n_fixed + m,)
        ψ with the sizes to vary.
    number
        How many.
    seed
        Of the draws: the same seed gives the same starts.
    """
    rng = np.random.default_rng(seed)
    return [_draw(problem, first, rng, i) for i in range(number)]


def is_log_concave(problem: GeneralisedProblem, response: Response, psi: Vector) -> bool:
    """Whether the log density is concave in the random effects, as far as looked at.

    A few rows stand for all, among them those of the smallest and the largest response, each
    at linear predictors on both sides of its own. Random effects in several predictors are
    taken not to be concave together.

    Parameters
    ----------
    problem
        The model.
    response
        What its likelihood was bound to.
    psi : (n_fixed + m,)
        About which the predictor is varied. The others are where a search would start: at
        their limits a larger family may look like a simpler one.
    """
    inner = problem.wanted.inner
    if len(inner) > 1:
        return False
    extremes = [int(np.argmin(response.y)), int(np.argmax(response.y))]
    rows = np.unique([*np.linspace(0, problem.n - 1, ROWS).astype(np.intp), *extremes])
    family = problem.likelihood.family
    few = Response(response.y[rows], response.sizes.take(rows))
    likelihood = bind(family, few.y, few.sizes)
    d = inner[0]
    block = problem.fixed[d]
    identity = family.parameters[d].link.scale == "identity"
    width = float(np.std(response.y)) if identity and d == 0 else 1.0
    with np.errstate(all="ignore"):
        eta: list[Vector | float] = [np.asarray(guess) for guess in family.start(few)]
        eta[d] = _at(block.X, block.offset, psi[block.parameters], rows) + width * REACH[:, None]
        curvature = likelihood.derivatives(eta, Wanted(2, (d,)))[d, d]
    known = curvature[np.isfinite(curvature)]
    return not np.any(known > 1e-8 * np.abs(known).max(initial=0.0))


def _at(X: Matrix | None, offset: Vector | None, gamma: Vector, rows: Codes) -> Vector | float:
    """Compute the fixed part of a predictor in some rows."""
    if X is None:
        return float(gamma[0])
    eta: Vector = X[rows] @ gamma
    return eta if offset is None else eta + offset[rows]


def _draw(problem: GeneralisedProblem, first: Vector, rng: np.random.Generator, i: int) -> Vector:
    """Draw one start; every other one is without the predictors of the mean."""
    psi = first.copy()
    parameters = problem.likelihood.family.parameters
    for d, block in enumerate(problem.fixed):
        if d == 0 and i % 2 == 0:
            psi[block.parameters] = _level(block, parameters[0].link, psi)
        if d == 0 and parameters[0].link.scale == "identity":
            continue  # in the response's units
        psi[block.parameters] += (0.3 if d == 0 else 1.0) * rng.normal(size=block.p)
        if block.X is None and i % 2 == 0:
            psi[block.first] += rng.uniform(-WIDE, WIDE)  # noise may be what levels explain
    theta = problem.theta(psi)
    for slot in problem.layout.slots:
        least = 0.0 if parameters[0].link.scale == "identity" else TYPICAL
        theta = with_slot(theta, slot, _own(slot, theta[slot.parameters], least, rng, i // 2))
    psi[problem.n_fixed :] = theta
    return psi


def _level(block: FixedBlock, link: Link, psi: Vector) -> Vector:
    """γ of the predictor that is nearest to the average mean in all rows. (p,)"""
    if block.X is None:
        return psi[block.parameters]
    with np.errstate(all="ignore"):
        mean = inverse(link, np.asarray(block.predictor(psi))).mean(keepdims=True)
        eta = float(link.link(mean)[0])
    if not np.isfinite(eta):
        return psi[block.parameters]
    target = np.full(len(block.X), eta) if block.offset is None else eta - block.offset
    out: Vector = block.X.T @ target / len(block.X)
    return out


def _own(slot: Slot, own: Vector, least: float, rng: np.random.Generator, i: int) -> Vector:
    """Draw the parameters of one term, of standard deviations about its own or the least."""
    sd = np.maximum(np.linalg.norm(slot.structure.factor(own, slot.k), axis=1), least)
    if not starts_by_moments(slot):
        members = openings(slot, own, np.eye(slot.k), float(sd[0] * 10.0 ** rng.uniform(-1, 1)))
        chosen: Vector = members[rng.integers(len(members))]
        return chosen
    T = np.tril(rng.normal(size=(slot.k, slot.k)))
    if i % 3 == 1:
        T = np.diag(np.abs(np.diagonal(T)))
    if i % 3 == 2:
        T[:, 1:] *= 1e-2
    return slot.structure.from_factor(sd[:, None] * T * 10.0 ** rng.uniform(-1, 1, (slot.k, 1)))
