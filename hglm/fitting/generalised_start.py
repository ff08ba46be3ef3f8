"""Where the search for a generalised model starts.

First the model without random effects is fitted, by Newton's method on all its
predictors. Then each standard deviation is started from a moment of its scores:
with s = Z'l' and A = Z'WZ, E[s_j²] ≈ A_j + A_j²τ², so that

    τ² = Σ_j (s_j² - A_j) / Σ_j A_j²

(a score statistic; Breslow & Clayton 1993, JASA 88, 9-25, discuss its use),
kept away from zero, which would be a stationary point. Terms whose structure knows
some members to start from (correlations in time or space) take the best of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hglm.covariance import Layout, Slot
from hglm.criteria.generalised_problem import GeneralisedProblem
from hglm.criteria.information import working_information
from hglm.criteria.laplace import evaluate_laplace
from hglm.criteria.mode import counted, is_quadratic, weights
from hglm.families.base import Response
from hglm.fitting.boundary import openings, starts_by_moments, with_slot
from hglm.numerics.factor import Plan
from hglm.numerics.rows import RowPattern
from hglm.numerics.trust_region import TrustRegion, minimise
from hglm.typing import Matrix, Vector

__all__ = ["generalised_start"]

SHARES = (1.0, 0.9, 0.5, 0.1, 0.0)
"""How much rows may differ in the first predictors that are tried."""


@dataclass(frozen=True, slots=True)
class _Point:
    value: float
    gradient: Vector
    hessian: Matrix


def generalised_start(problem: GeneralisedProblem, response: Response) -> Vector:
    """ψ to start from. (n_fixed + m,)

    Parameters
    ----------
    problem
        The model.
    response
        What its likelihood was bound to.
    """
    fixed = _without_random_effects(problem, response)
    theta = np.zeros(problem.layout.n_theta)
    slots = list(zip(problem.layout.slots, _moment_sds(problem, fixed), strict=True))
    for slot, sd in slots:
        if starts_by_moments(slot):
            theta[slot.parameters] = slot.structure.from_factor(np.diag(sd))
    for slot, sd in slots:
        if not starts_by_moments(slot):
            theta = _best_member(problem, fixed, theta, slot, sd)
    return np.concatenate([fixed, theta])


def _best_member(
    problem: GeneralisedProblem, fixed: Vector, theta: Vector, slot: Slot, sd: Vector
) -> Vector:
    """Start a structured term from the best of a few members of its family. (m,)"""
    everything = np.eye(slot.k)
    members = [
        with_slot(theta, slot, own)
        for size in sd[0] * np.array([1.0, 0.4])
        for own in openings(slot, theta[slot.parameters], everything, size)
    ]
    values = [evaluate_laplace(problem, np.concatenate([fixed, x])).value for x in members]
    return members[int(np.argmin(values))]


def _without_random_effects(problem: GeneralisedProblem, response: Response) -> Vector:
    """γ of the model without random effects."""
    empty = RowPattern((), (), (), (), {})
    bare = replace(
        problem,
        pattern=empty,
        plan=Plan((), None),
        terms=replace(problem.terms, groupings=(), columns=(), layout=Layout((), ())),
    )
    guesses = problem.likelihood.family.start(response)

    def objective(psi: Vector) -> _Point:
        e = evaluate_laplace(bare, psi)
        if not np.isfinite(e.value):
            return _Point(np.inf, e.gradient, np.eye(len(psi)))
        return _Point(e.value, e.gradient, working_information(bare, psi, e))

    each = _projected(problem, guesses)
    level = _projected(problem, [np.asarray(np.mean(guess)) for guess in guesses])
    for share in SHARES:  # the link may not reach the mean of every row
        start = level + share * (each - level)
        if np.isfinite(objective(start).value):
            return minimise(objective, start, TrustRegion(tolerance=1e-3, max_evaluations=50)).x
    return each


def _projected(problem: GeneralisedProblem, predictors: Sequence[Vector]) -> Vector:
    """γ whose predictors come nearest to these, each (n,) or a number."""
    parts = []
    for block, eta in zip(problem.fixed, predictors, strict=True):
        if block.X is None:
            parts.append(np.atleast_1d(np.mean(eta)))
            continue
        target = np.broadcast_to(eta, (problem.n,))
        target = target if block.offset is None else target - block.offset
        parts.append(block.X.T @ target / problem.n)
    return np.concatenate(parts)


def _moment_sds(problem: GeneralisedProblem, fixed: Vector) -> list[Vector]:
    """Guess standard deviations of each slot's coefficients. (k,) each

    They are at most about 2, unless the log density is quadratic and the moments exact.
    Of a structured term, one number for all coefficients.
    """
    if not problem.layout.slots:
        return []
    eta = problem.fixed_predictors(np.concatenate([fixed, np.zeros(problem.layout.n_theta)]))
    jet = problem.likelihood.derivatives(eta, replace(problem.wanted, outer=()))
    limit = np.inf if is_quadratic(problem, jet) else 4.0
    A = problem.pattern.gramian(weights(problem, jet, absolute=True))
    s = problem.pattern.sums({d: counted(problem, jet[d]) for d in problem.wanted.inner})
    out = []
    for slot in problem.layout.slots:
        info = np.einsum("aaq->aq", A.diagonal[slot.group])[slot.columns]
        score = s[slot.group][0, slot.columns]
        if not starts_by_moments(slot):  # one figure, from the columns that a level has
            info, score = info[info > 0][None], score[info > 0][None]
        out.append(np.array([_moment_sd(i, x, limit) for i, x in zip(info, score, strict=True)]))
    return out


def _moment_sd(info: Vector, score: Vector, limit: float) -> float:
    """Guess the standard deviation of one column's coefficients."""
    typical = float(np.mean(info)) if info.size else 0.0
    excess = float(np.sum(score**2 - info)) / max(float(np.sum(info**2)), 1e-300)
    low = min(0.25 / typical, 0.25) if typical > 0 else 0.25
    return float(np.sqrt(np.clip(excess, low, max(16.0 * low, limit))))
