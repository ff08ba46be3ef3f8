"""Information matrices of the working linear model: a first guess of the Hessian.

At the mode of u the penalised log density, with u profiled out, has the
curvature X'(W - WZQZ'W)X in γ, with W = -∂²l over all pairs of predictors. For
θ the expected information of y ~ N(0, V) is tr(A D_i A D_j)/2 summed over
levels, with A = [Z'V^-1Z]_jj and D_i = ∂Σ/∂θ_i; each level's A is taken as
their mean, which is exact for balanced data.
"""

from __future__ import annotations

import numpy as np

from hglm.criteria.generalised_problem import GeneralisedProblem
from hglm.criteria.laplace import MarginalEvaluation
from hglm.criteria.mode import counted
from hglm.families.jets import Wanted
from hglm.numerics.batched import symmetrise
from hglm.typing import Matrix, Vector

__all__ = ["working_information"]


def working_information(problem: GeneralisedProblem, psi: Vector, at: MarginalEvaluation) -> Matrix:
    """Positive definite approximation of the Hessian of the deviance at ψ.

    Parameters
    ----------
    problem
        The model.
    psi : (n_fixed + m,)
    at
        The evaluation at ψ.
    """
    out = np.zeros((len(psi), len(psi)))
    n = problem.n_fixed
    out[:n, :n] = 2.0 * _definite(_fixed_information(problem, psi, at))
    if len(psi) > n:
        out[n:, n:] = _theta_information(problem, psi, at)
    return out


def _fixed_information(problem: GeneralisedProblem, psi: Vector, at: MarginalEvaluation) -> Matrix:
    """Curvature in γ. (n_fixed, n_fixed)"""
    mode = at.mode
    assert mode is not None
    d = len(problem.fixed)
    effects = problem.pattern.apply(mode.b, {})
    eta = [
        effects[f] + x if f in effects else x for f, x in enumerate(problem.fixed_predictors(psi))
    ]
    jet = problem.likelihood.derivatives(eta, Wanted(2, tuple(range(d))))
    full = {
        (f, g): counted(problem, -np.broadcast_to(jet[f, g], (problem.n,)))
        for f in range(d)
        for g in range(d)
    }
    blocks = problem.fixed
    p = problem.n_fixed
    out = np.zeros((p, p))
    for f, left in enumerate(blocks):
        for g, right in enumerate(blocks[: f + 1]):
            part = _weighted_product(left.X, full[f, g], right.X)
            out[left.parameters, right.parameters] = part
            out[right.parameters, left.parameters] = part.T
    if not problem.pattern.groupings:
        return out
    inner = sorted({x for owner in problem.pattern.predictors for x in owner})
    rhs = [
        problem.pattern.sums({e: full[f, e] * x for e in inner})
        for f, block in enumerate(blocks)
        for x in ([1.0] if block.X is None else block.X.T)
    ]
    stacked = [np.concatenate([r[g] for r in rhs]) for g in range(len(rhs[0]))]  # (p, k, q)
    modes = mode.factor.modes(stacked)
    for r, b in zip(stacked, modes, strict=True):
        out -= r.reshape(p, -1) @ b.reshape(p, -1).T
    return symmetrise(out)


def _theta_information(problem: GeneralisedProblem, psi: Vector, at: MarginalEvaluation) -> Matrix:
    theta = problem.theta(psi)
    T = problem.layout.factors(theta)
    derivatives = problem.layout.derivatives(theta)
    means = [
        symmetrise(M) / g.n_levels for M, g in zip(at.M, problem.pattern.groupings, strict=True)
    ]
    D = [d @ T[t].T + T[t] @ d.T for t, d in derivatives]
    m = len(D)
    out = np.zeros((m, m))
    for i, (t, _) in enumerate(derivatives):
        for j, (u, _) in enumerate(derivatives[: i + 1]):
            if t == u:
                q = problem.pattern.groupings[t].n_levels
                out[i, j] = out[j, i] = q * np.sum((means[t] @ D[i]) * (means[t] @ D[j]).T)
    floor = 1e-3 * max(float(np.trace(out)) / m, 1.0)
    return _definite(out) + floor * np.eye(m)


def _weighted_product(left: Matrix | None, w: Vector, right: Matrix | None) -> Matrix:
    if left is None and right is None:
        return np.array([[w.sum()]])
    if left is None:
        assert right is not None
        return (w @ right)[None]
    if right is None:
        return (left.T @ w)[:, None]
    return left.T @ (right * w[:, None])


def _definite(a: Matrix) -> Matrix:
    """Nearest matrix with eigenvalues bounded away from zero."""
    values, vectors = np.linalg.eigh(a)
    top = max(float(np.abs(values).max(initial=0.0)), 1e-8)
    out: Matrix = (vectors * np.maximum(np.abs(values), 1e-6 * top)) @ vectors.T
    return out
