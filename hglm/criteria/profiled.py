"""Profiled deviance and REML criterion of a linear mixed model, with derivatives.

Model: y = Xβ + Zb + e, b ~ N(0, σ²Σ(θ)), e ~ N(0, σ²W^-1); rows weighted by
√w throughout, X = QR, V = I + ZΣZ'. With β and σ² profiled out (Bates et al.
2015, JSS 67(1), eq. 34 and 41),

    r² = min_γ (e - Qγ)'V^-1(e - Qγ),   ν = n (ML) or n - p (REML),   σ² = r²/ν
    d(θ) = log|V| + ν (1 + log 2πσ²) - Σ log w  [+ log|X'V^-1X|  for REML]

Gradient, in Σ-space and then by the chain rule, so that it holds at singular T:
with g = Z'V^-1(e - Qγ) and G = Z'V^-1Q by levels, C = (Q'V^-1Q)^-1,

    F_t = Σ_j [Z'V^-1Z]_jj - Σ_j g_j g_j'/σ² - Σ_j G_j C G_j',   ∂d/∂θ_i = 2 <F T, ∂T_i>

Hessian: average information (Gilmour, Thompson & Cullis 1995, Biometrics 51,
1440-1450) of D_i = ∂Σ/∂θ_i, plus the term of ∂²Σ, which vanishes inside the
parameter space of an unstructured covariance and makes Newton's method
converge on its boundary:

    H_ij = f_i'Pf_j/σ² - (g'D_ig)(g'D_jg)/(νσ⁴) + 2 tr(∂T_i' F ∂T_j) + 2 <F T, ∂²T_ij>,
    f_i = Z D_i g
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hglm.criteria.linear_problem import LinearProblem
from hglm.errors import FitError
from hglm.numerics.batched import outer_sum, symmetrise
from hglm.numerics.factor import Factor, factorise
from hglm.numerics.triangular import solve_triangular
from hglm.typing import Matrix, Vector

__all__ = ["Evaluation", "Solution", "differenced_hessian", "evaluate", "solve"]

STEP = 1e-4
"""Relative step of central differences."""


@dataclass(frozen=True, slots=True)
class Solution:
    """Everything that is optimal given θ, in orthonormal coordinates."""

    value: float
    """d(θ)."""
    factor: Factor
    T: tuple[Matrix, ...]
    """Relative covariance factors of the groups."""
    sigma2: float
    gamma: Vector
    """(p,) fixed effects of the residual response on Q."""
    L_X: Matrix
    """(p, p) lower Cholesky factor of Q'V^-1Q."""
    modes: tuple[Matrix, ...]
    """(p + 1, k, q) per group: modes for each column of [Q e]."""
    logdet_V: float
    penalized_rss: float
    """r²."""

    def combine(self, blocks: Sequence[Matrix]) -> list[Matrix]:
        """Blocks (p + 1, k, q) for [Q e] to blocks (k, q) for e - Qγ."""
        weights = np.append(-self.gamma, 1.0)
        return [np.einsum("c,ckq->kq", weights, x) for x in blocks]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Value, exact gradient and average-information Hessian at θ."""

    value: float
    gradient: Vector
    """(m,)"""
    hessian: Matrix
    """(m, m)"""
    F: tuple[Matrix, ...]
    """Per group ∂d/∂Σ (k, k), symmetric; see `_divide` for crossed groups with singular T."""
    solution: Solution | None = None
    """What is optimal given θ; its dense factor has been used up."""


def solve(problem: LinearProblem, theta: Vector, reml: bool) -> Solution:
    """Evaluate the criterion and the solution at θ.

    Parameters
    ----------
    problem
        Cross-products.
    theta : (m,)
        In the problem's standardised columns.
    reml
        REML criterion rather than deviance.

    Raises
    ------
    FitError, LinAlgError
        Where θ is beyond the reach of the arithmetic.
    """
    T = tuple(problem.layout.factors(theta))
    factor = factorise(problem.gramian, problem.plan, T)
    modes = tuple(factor.modes(problem.rhs)) if T else ()
    inner = problem.gram - sum(
        (_flat(r) @ _flat(b).T for r, b in zip(problem.rhs, modes, strict=True)),
        start=np.zeros_like(problem.gram),
    )
    p, n = problem.p, problem.nobs
    L_X = np.asarray(np.linalg.cholesky(inner[:p, :p]), dtype=np.float64)
    half = solve_triangular(L_X, inner[:p, p])
    gamma = solve_triangular(L_X, half, transpose=True)
    rss = float(inner[p, p] - half @ half)
    if rss <= 0.0:
        raise FitError("The residual sum of squares is lost beside the random effects.")
    nu = n - p if reml else n
    value = factor.logdet + nu * (1.0 + np.log(2.0 * np.pi * rss / nu)) - problem.sum_log_weights
    if reml:
        value += 2.0 * (float(np.log(np.diagonal(L_X)).sum()) + problem.fixed.logdet_R)
    return Solution(float(value), factor, T, rss / nu, gamma, L_X, modes, float(factor.logdet), rss)


def evaluate(problem: LinearProblem, theta: Vector, reml: bool) -> Evaluation:
    """Value, gradient and Hessian of the criterion at θ; see the module."""
    s = solve(problem, theta, reml)
    if not s.T:
        return Evaluation(s.value, np.zeros(0), np.zeros((0, 0)), (), s)
    products = problem.gramian.multiply(s.modes)
    GC = [r - zb for r, zb in zip(problem.rhs, products, strict=True)]  # Z'V^-1[Q e]
    g = s.combine(GC)
    G = [_half_solve(s.L_X, x[:-1]) for x in GC]  # L_X^-1 Q'V^-1Z: (p, k, q)
    dT = [x.structure.derivatives(theta[x.parameters], x.k) for x in problem.layout.slots]
    U = _directions(problem, theta, dT, g)
    J = _projected_products(problem, s, U, G)
    quad = sum(_flat(u) @ x.ravel() for u, x in zip(U, g, strict=True))
    factor = _opened(problem, s.factor)
    FT, F = _sigma_gradient(problem, s, factor, g, G, reml)  # last: uses up the factor
    nu = problem.nobs - problem.p if reml else problem.nobs
    gradient = np.zeros(len(theta))
    hessian = J / s.sigma2 - np.outer(quad, quad) / (nu * s.sigma2**2)
    hessian += 2.0 * problem.layout.curvature(theta, FT)
    for slot, d in zip(problem.layout.slots, dT, strict=True):
        own = slot.parameters
        gradient[own] = 2.0 * _flat(d) @ slot.own(FT[slot.group]).ravel()
        hessian[own, own] += 2.0 * symmetrise(_flat(d) @ _flat(slot.own(F[slot.group]) @ d).T)
    return Evaluation(s.value, gradient, hessian, F, s)


def differenced_hessian(problem: LinearProblem, theta: Vector, reml: bool) -> Matrix:
    """Hessian of the criterion by central differences of its exact gradient. (m, m)"""
    out = np.empty((len(theta), len(theta)))
    for j in range(len(theta)):
        step = np.zeros_like(theta)
        step[j] = STEP * max(0.1, abs(theta[j]))
        ahead = evaluate(problem, theta + step, reml).gradient
        behind = evaluate(problem, theta - step, reml).gradient
        out[j] = (ahead - behind) / (2.0 * step[j])
    return symmetrise(out)


def _directions(
    problem: LinearProblem, theta: Vector, dT: Sequence[Matrix], g: Sequence[Matrix]
) -> list[Matrix]:
    """D_i g for every parameter. (m, k, q) per group"""
    U = [np.zeros((len(theta), *x.shape)) for x in g]
    for slot, d in zip(problem.layout.slots, dT, strict=True):
        T = slot.structure.factor(theta[slot.parameters], slot.k)
        own = g[slot.group][slot.columns]
        x = own.reshape(slot.k, -1)  # copies beside levels
        if x.shape[1] > slot.k:
            half = d @ T.T
            change = (half + half.swapaxes(1, 2)) @ x
        else:
            change = d @ (T.T @ x) + T @ (d.swapaxes(1, 2) @ x)
        U[slot.group][slot.parameters, slot.columns] = change.reshape(len(d), *own.shape)
    return U


def _projected_products(
    problem: LinearProblem, s: Solution, U: Sequence[Matrix], G: Sequence[Matrix]
) -> Matrix:
    """f_i'Pf_j for f_i = Z D_i g, P = V^-1 - V^-1Q C Q'V^-1. (m, m)"""
    m = len(U[0])
    rhs = problem.gramian.multiply(U)
    b = s.factor.modes(rhs)
    J = np.zeros((m, m))
    across = np.zeros((m, problem.p))
    for u, r, x, Gt in zip(U, rhs, b, G, strict=True):
        J += _flat(u) @ _flat(r).T - _flat(r) @ _flat(x).T
        across += _flat(u) @ _flat(Gt).T
    return symmetrise(J - across @ across.T)


def _opened(problem: LinearProblem, factor: Factor) -> Factor:
    """Factor at T with nothing on its diagonal exactly zero, where M follows from M T only."""
    if problem.plan.crossed is None or all(np.diagonal(T).all() for T in factor.T):
        return factor
    T = [T + np.diag(np.where(np.diagonal(T) == 0.0, 1e-50, 0.0)) for T in factor.T]
    return factorise(problem.gramian, problem.plan, T)


def _sigma_gradient(
    problem: LinearProblem,
    s: Solution,
    factor: Factor,
    g: Sequence[Matrix],
    G: Sequence[Matrix],
    reml: bool,
) -> tuple[list[Matrix], tuple[Matrix, ...]]:
    """F T and F per group; see the module. (k, k) each"""
    traces = factor.traces()
    FT, F = [], []
    for t, (T, MT, M) in enumerate(zip(factor.T, traces.MT, traces.M, strict=True)):
        data = outer_sum(g[t], g[t]) / s.sigma2
        if reml:
            data = data + outer_sum(G[t], G[t])
        FT.append(MT - data @ T)
        if M is None:
            F.append(_divide(MT, T, problem.gramian.diagonal[t].sum(axis=2)) - data)
        else:
            F.append(symmetrise(M - data))
    return FT, tuple(F)


def _divide(MT: Matrix, T: Matrix, bound: Matrix) -> Matrix:
    """M symmetric from the lower triangle of MT, column by column from the last. (k, k)

    MT is accurate relative to T_bb, however small, unless the rest of that
    column of T is much larger: then Z'Z ⪰ M stands in, whose curvature is safe.
    """
    k = T.shape[0]
    M = np.zeros((k, k))
    for b in range(k - 1, -1, -1):
        known = M[b + 1 :, b + 1 :] @ T[b + 1 :, b]
        if abs(T[b, b]) < 1e-6 * float(np.abs(T[b + 1 :, b]).max(initial=0.0)):
            M[b:, b] = bound[b:, b]
        else:
            M[b + 1 :, b] = (MT[b + 1 :, b] - known) / T[b, b]
            M[b, b] = (MT[b, b] - M[b + 1 :, b] @ T[b + 1 :, b]) / T[b, b]
        M[b, b + 1 :] = M[b + 1 :, b]
    return M


def _half_solve(L: Matrix, x: Matrix) -> Matrix:
    """L^-1 x for x (p, k, q)."""
    return solve_triangular(L, _flat(x)).reshape(x.shape)


def _flat(x: Matrix) -> Matrix:
    return x.reshape(x.shape[0], math.prod(x.shape[1:]))  # -1 would not do for no rows
