"""Where the search for a generalised model starts.

First the model without random effects is fitted, by Newton's method on all its
predictors. Then each standard deviation is started from a moment of its scores:
with s = Z'l' and A = Z'WZ, E[s_j²] ≈ A_j + A_j²τ², so that

    τ² = Σ_j (s_j² - A_j) / Σ_j A_j²

(a score statistic; Breslow & Clayton 1993, JASA 88, 9-25, discuss its use),
kept away from zero, which would be a stationary point.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hglm.covariance import Layout
from hglm.criteria.generalised_problem import GeneralisedProblem
from hglm.criteria.information import working_information
from hglm.criteria.laplace import evaluate_laplace
from hglm.criteria.mode import counted, weights
from hglm.families.base import Response
from hglm.numerics.factor import Plan
from hglm.numerics.rows import RowPattern
from hglm.numerics.trust_region import TrustRegion, minimise
from hglm.typing import Matrix, Vector

__all__ = ["generalised_start"]


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
    sds = _moment_sds(problem, fixed)
    factors = [np.diag(sd) for sd in sds]
    return np.concatenate([fixed, problem.layout.from_factors(factors)])


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
    parts = []
    for block, guess in zip(problem.fixed, guesses, strict=True):
        if block.X is None:
            parts.append(np.atleast_1d(np.mean(guess)))
            continue
        target = np.broadcast_to(guess, (problem.n,))
        target = target if block.offset is None else target - block.offset
        parts.append(block.X.T @ target / problem.n)

    def objective(psi: Vector) -> _Point:
        e = evaluate_laplace(bare, psi)
        if not np.isfinite(e.value):
            return _Point(np.inf, e.gradient, np.eye(len(psi)))
        return _Point(e.value, e.gradient, working_information(bare, psi, e))

    start = np.concatenate(parts)
    if not np.isfinite(objective(start).value):
        return start
    return minimise(objective, start, TrustRegion(tolerance=1e-3, max_evaluations=50)).x


def _moment_sds(problem: GeneralisedProblem, fixed: Vector) -> list[Vector]:
    """Guess standard deviations of each slot's coefficients. (k,) each"""
    if not problem.layout.slots:
        return []
    eta = problem.fixed_predictors(np.concatenate([fixed, np.zeros(problem.layout.n_theta)]))
    jet = problem.likelihood.derivatives(eta, replace(problem.wanted, order=2, outer=()))
    A = problem.pattern.gramian(weights(problem, jet, absolute=True))
    s = problem.pattern.sums({d: counted(problem, jet[d]) for d in problem.wanted.inner})
    out = []
    for slot in problem.layout.slots:
        columns = range(slot.columns.start, slot.columns.stop)
        sds = []
        for a in columns:
            info, score = A.diagonal[slot.group][a, a], s[slot.group][0, a]
            typical = float(np.mean(info))
            excess = float(np.sum(score**2 - info)) / max(float(np.sum(info**2)), 1e-300)
            low = min(0.25 / typical, 0.25) if typical > 0 else 0.25
            sds.append(np.sqrt(np.clip(excess, low, max(16.0 * low, 4.0))))
        out.append(np.array(sds))
    return out
