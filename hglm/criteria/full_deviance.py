"""The deviance of a linear mixed model as a function of all its parameters.

Profiles and joint regions need every parameter, also those that fitting
eliminates: φ = (γ, θ, log σ), γ the fixed effects of the residual response on
the orthonormal Q. With r²(γ) = (e - Qγ)'V^-1(e - Qγ),

    d(φ) = log|V| + n log 2πσ² + r²(γ)/σ² - Σ log w

and, with g = Z'V^-1(e - Qγ) by levels and M_t = Σ_j [Z_t'V^-1Z_t]_jj,

    ∂d/∂γ = -2 Q'V^-1(e - Qγ)/σ²,   ∂d/∂θ_i = 2 <(M - Σ gg'/σ²) T, ∂T_i>,
    ∂d/∂log σ = 2 (n - r²/σ²)

The restricted likelihood has no fixed effects to profile: for variance
parameters it is d_R(φ) = d + log|X'V^-1X| - p log 2πσ² at γ^(θ); see `restricted`.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from hglm.criteria.linear_problem import LinearProblem
from hglm.criteria.profiled import Solution, solve
from hglm.numerics.batched import outer_sum
from hglm.typing import Matrix, Vector

__all__ = ["full_deviance"]


def full_deviance(problem: LinearProblem, phi: Vector, reml: bool = False) -> tuple[float, Vector]:
    """Deviance and gradient at φ.

    Parameters
    ----------
    problem
        Cross-products.
    phi : (p + m + 1,)
        (γ, θ, log σ), θ in standardised coordinates. With `reml` γ is not used and
        its gradient is zero.
    reml
        Restricted deviance, in θ and σ only.

    Returns
    -------
    value
    gradient : (p + m + 1,)
    """
    p = problem.p
    gamma, theta, sigma2 = phi[:p], phi[p:-1], float(np.exp(2.0 * phi[-1]))
    s = solve(problem, theta, reml)
    away = np.zeros(p) if reml else gamma - s.gamma
    half = s.L_X.T @ away if p else away  # (p,)
    rss = s.penalized_rss + float(half @ half)
    n = problem.nobs - p if reml else problem.nobs
    value = s.logdet_V + n * (np.log(2.0 * np.pi) + 2.0 * phi[-1]) + rss / sigma2
    value -= problem.sum_log_weights
    if reml:
        value += 2.0 * (float(np.log(np.diagonal(s.L_X)).sum()) + problem.fixed.logdet_R)
    fixed = np.zeros(p) if reml else 2.0 * (s.L_X @ half) / sigma2
    slopes = _theta_gradient(problem, theta, s, s.gamma if reml else gamma, sigma2, reml)
    gradient = np.concatenate([fixed, slopes, [2.0 * (n - rss / sigma2)]])
    return float(value), gradient


def _theta_gradient(
    problem: LinearProblem, theta: Vector, s: Solution, gamma: Vector, sigma2: float, reml: bool
) -> Vector:
    if not s.T:
        return np.zeros(0)
    products = problem.gramian.multiply(s.modes)
    scores = [r - b for r, b in zip(problem.rhs, products, strict=True)]  # Z'V^-1[Q e]
    weights = np.append(-gamma, 1.0)
    slopes: list[Matrix] = []
    for T, score, MT in zip(s.T, scores, s.factor.traces().MT, strict=True):
        g = np.tensordot(weights, score, (0, 0))  # (k, q)
        data = outer_sum(g, g) / sigma2
        if reml and problem.p:
            G = linalg.solve_triangular(
                s.L_X, score[:-1].reshape(problem.p, -1), lower=True
            ).reshape(score[:-1].shape)
            data = data + outer_sum(G, G)
        slopes.append(MT - data @ T)
    return np.array([2.0 * np.sum(slopes[t] * d) for t, d in problem.layout.derivatives(theta)])
