"""Joint covariance of the errors of β̂ and b̂ from what a fit has kept.

Linear models: R = (R_X L_X')^-1 from the fit's own factors; the variance
parameters count as known, as in lme4.

Generalised models: ψ holds the fixed effects of every predictor and θ, estimated with
covariance RR' from the Hessian of the deviance. The mode b̂(ψ) solves b = Σ s(b), s =
Z'l', so with A = Z'WZ and Q = (A + Σ^-1)^-1

    ∂b̂/∂γ = -Q Z'W X,     ∂b̂/∂θ = D s - Q A D s,   D = ∂Σ/∂θ                 (2)

and Var(b̂ - b) = Q + ∂b̂ RR' ∂b̂' (Kass & Steffey 1989, JASA 84, 717-726; Kristensen et
al. 2016, JSS 70(5), sec. 2.2: glmmTMB's standard errors), G = -R'∂b̂'.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import linalg

from hglm.criteria.generalised_problem import GeneralisedProblem
from hglm.criteria.mode import Mode, counted
from hglm.criteria.profiled import solve
from hglm.errors import FitError
from hglm.fitting.record import Estimates, GeneralisedState, LinearState
from hglm.inference.joint_covariance import JointCovariance
from hglm.numerics.factor import Factor, factorise
from hglm.numerics.positive import covariance_of
from hglm.typing import Matrix, Vector

__all__ = ["joint_covariance"]


def joint_covariance(estimates: Estimates) -> JointCovariance:
    """Prepare the joint covariance of the mean's fixed effects and all random effects."""
    if isinstance(estimates.state, LinearState):
        return _linear(estimates.state)
    return _generalised(estimates.state)


def _linear(state: LinearState) -> JointCovariance:
    problem = state.problem
    solution = solve(problem, state.theta, state.reml)
    L_X, p = solution.L_X, problem.p
    inverse = linalg.solve_triangular(L_X, np.eye(p), lower=True) if p else L_X
    return JointCovariance(
        scale=solution.sigma2,
        root=problem.fixed.to_beta @ inverse.T,
        sensitivity=tuple(np.tensordot(inverse, b[:-1], (1, 0)) for b in solution.modes),
        gramian=problem.gramian,
        plan=problem.plan,
        T=solution.T,
        slots=problem.layout.slots,
        maps=problem.maps,
    )


def _generalised(state: GeneralisedState) -> JointCovariance:
    problem, mode = state.problem, state.evaluation.mode
    if mode is None:
        raise FitError("The random effects have no mode at the estimates; see the certificate.")
    theta = problem.theta(state.psi)
    factor = factorise(mode.factor.gramian, problem.plan, problem.layout.factors(theta))
    root = _root(covariance_of(state.hessian, problem.n_fixed))
    fixed, slopes = problem.fixed[0], _mode_slopes(problem, mode, factor, theta)
    return JointCovariance(
        scale=1.0,
        root=fixed.to_beta @ root[fixed.parameters],
        sensitivity=tuple(-np.tensordot(root, x, (0, 0)) for x in slopes),
        gramian=factor.gramian,
        plan=problem.plan,
        T=factor.T,
        slots=problem.layout.slots,
        maps=problem.terms.maps,
    )


def _mode_slopes(
    problem: GeneralisedProblem, mode: Mode, factor: Factor, theta: Vector
) -> list[Matrix]:
    """∂b̂/∂ψ, eq. (2). (n_fixed + m, k, q) per group"""
    if not factor.T:
        return []
    by_fixed = factor.modes(_cross_products(problem, mode))
    moved = factor.gramian.multiply(mode.d_b)
    scores = [s - x for s, x in zip(mode.scores, moved, strict=True)]  # at the mode itself
    derivatives = problem.layout.derivatives(theta)
    by_theta = [np.zeros((len(derivatives), *s.shape[1:])) for s in scores]
    for i, (g, dT) in enumerate(derivatives):
        T = factor.T[g]
        by_theta[g][i] = (dT @ T.T + T @ dT.T) @ scores[g][0]
    drawn_back = factor.modes(factor.gramian.multiply(by_theta))
    return [
        np.concatenate([-x, y - z]) for x, y, z in zip(by_fixed, by_theta, drawn_back, strict=True)
    ]


def _cross_products(problem: GeneralisedProblem, mode: Mode) -> Sequence[Matrix]:
    """Z'WX for the columns of all predictors. (n_fixed, k, q) per group"""
    rows = []
    for f, block in enumerate(problem.fixed):
        weights = {e: -counted(problem, mode.jet[e, f]) for e in problem.wanted.inner}
        columns = [np.ones(problem.n)] if block.X is None else block.X.T
        rows += [problem.pattern.sums({e: w * x for e, w in weights.items()}) for x in columns]
    return [np.concatenate(parts) for parts in zip(*rows, strict=True)]


def _root(covariance: Matrix) -> Matrix:
    """R with RR' = the covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    out: Matrix = vectors * np.sqrt(np.maximum(values, 0.0))
    return out
