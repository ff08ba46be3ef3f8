"""Products of a fitted linear model that tests of fixed effects are made of.

At the optimum, on rows weighted by √w and with V relative to σ², let L_X be the
Cholesky factor of Q'V^-1Q. The whitened fixed effects L_X'γ have the covariance
σ²I, and β = B x + constant for whitened x: Cov(β̂) = σ²BB'. With

    S_j = [G_j; g_j],   G = L_X^-1 Q'V^-1Z,   g = (e - Qγ)'V^-1Z     by levels j

everything that Satterthwaite's and Kenward and Roger's methods need of the data,
for directions D_h of the relative covariance Σ of the random effects, is

    first    R_h  = Σ_j S_j D_h S_j'                                  (p+1, p+1)
    second   N_hi = S (I ⊗ D_h) M (I ⊗ D_i) S',   M = Z'V^-1Z         (p+1, p+1)

and traces of M itself (`hglm.inference.level_traces`). No array has the size
n × n or q × q: M is applied by one solve a column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import linalg

from hglm.criteria.linear_problem import LinearProblem
from hglm.criteria.profiled import Solution, solve
from hglm.errors import OptionError
from hglm.fitting.record import Estimates, LinearState
from hglm.typing import Matrix, Vector

__all__ = [
    "Direction",
    "Scores",
    "first_products",
    "linear_state",
    "scores",
    "second_products",
]

Direction: TypeAlias = tuple[int, Matrix]
"""Group and symmetric change (k, k) of the relative covariance of its levels."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Z'V^-1[whitened Q, residual] at one θ."""

    problem: LinearProblem
    solution: Solution
    stack: tuple[Matrix, ...]
    """S per group, (p + 1, k, q)."""
    whitened_to_beta: Matrix
    """(p, p) B."""

    @property
    def p(self) -> int:
        """Fixed effects."""
        return self.problem.p


def linear_state(estimates: Estimates, purpose: str) -> LinearState:
    """Return the state of a linear mixed model, for a purpose that needs one."""
    if not isinstance(estimates.state, LinearState):
        raise OptionError(
            f"{purpose} is for linear mixed models (Gaussian, identity link); use "
            'ddf="asymptotic" for this one.'
        )
    return estimates.state


def scores(problem: LinearProblem, theta: Vector, reml: bool) -> Scores:
    """Solve at θ (m,), in the problem's coordinates, and gather the scores."""
    s = solve(problem, theta, reml)
    p = problem.p
    products = problem.gramian.multiply(s.modes) if s.modes else []
    stack = []
    for rhs, zb in zip(problem.rhs, products, strict=True):
        GC = rhs - zb  # Z'V^-1[Q e], (p + 1, k, q)
        S = np.empty_like(GC)
        if p:
            flat = linalg.solve_triangular(s.L_X, GC[:p].reshape(p, -1), lower=True)
            S[:p] = flat.reshape(S[:p].shape)
        S[p] = GC[p] - np.tensordot(s.gamma, GC[:p], (0, 0))
        stack.append(S)
    to_beta = problem.fixed.to_beta
    half = linalg.solve_triangular(s.L_X, to_beta.T, lower=True).T if p else to_beta
    return Scores(problem, s, tuple(stack), half)


def first_products(s: Scores, directions: Sequence[Direction]) -> Matrix:
    """R_h = Σ_j S_j D_h S_j' for every direction. (m, p + 1, p + 1)"""
    sums = [_level_sums(S, S) for S in s.stack]
    out = np.empty((len(directions), s.p + 1, s.p + 1))
    for h, (t, D) in enumerate(directions):
        out[h] = np.einsum("aubv,uv->ab", sums[t], D)
    return out


def second_products(s: Scores, directions: Sequence[Direction]) -> Matrix:
    """N_hi = S (I ⊗ D_h) M (I ⊗ D_i) S' for every pair of directions. (m, m, p + 1, p + 1)

    One solve for each direction i and each row of S.
    """
    m = len(directions)
    out = np.empty((m, m, s.p + 1, s.p + 1))
    for i, (t, D) in enumerate(directions):
        U: list[Matrix | None] = [None] * len(s.stack)
        U[t] = np.matmul(D, s.stack[t])
        rhs = s.problem.gramian.multiply(U)
        b = s.solution.factor.modes(rhs)
        MU = [r - x for r, x in zip(rhs, s.problem.gramian.multiply(b), strict=True)]
        sums = [_level_sums(S, y) for S, y in zip(s.stack, MU, strict=True)]
        for h, (u, E) in enumerate(directions):
            out[h, i] = np.einsum("aubv,uv->ab", sums[u], E)
    return out


def _level_sums(x: Matrix, y: Matrix) -> Matrix:
    """Σ_j x_auj y_bvj for x (c, k, q) and y (d, k, q). (c, k, d, k)"""
    (c, k, q), d = x.shape, y.shape[0]
    return (x.reshape(c * k, q) @ y.reshape(d * k, q).T).reshape(c, k, d, k)
