"""Laplace approximation of the marginal likelihood, with its exact gradient.

With u^ the mode of h(u) = -Σ l_i(η_i) + u'u/2 and H = Λ'Z'WZΛ + I, W the
observed information,

    -log L(ψ) = h(u^) + log|H(u^)| / 2

(Kristensen et al. 2016, JSS 70(5), eq. 3; the powers of 2π cancel). The
gradient takes one adjoint solve for all parameters. With Q = ΛH^-1Λ',

    v_de = diag(Z_d Q Z_e'),     c_f = -Σ_de v_de l_def,     a = Q Z'c,     m = Z a / 2
    r_f  = l_f + Σ_de v_de l_def / 2 - Σ_d l_df m_d           ("effective residual")

for every predictor f, whether or not it has random effects, summing over the
predictors d, e that have. Then

    ∂/∂γ_f = -X_f'r_f
    ∂/∂T   = Σ_levels { -(Z'r) u' + (Z's) a_u'/2 } + Σ_j [Z'WZ ΛH^-1]_jj

where a_u = H^-1Λ'Z'c. If Newton's method stops one step d short of the mode,

    -log L = h(u) - g'd/2 + log|H(u)|/2 + (Z'c)'Λd/2,
    u^ = u + d,   m = Z(a/2 - Λd),   Z's -> Z's - Z'WZ Λd

is in error by O(|d|²) only, in value and gradient, and saves one pass over the
data. The value is returned as a deviance, -2 log L.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hglm.criteria.generalised_problem import GeneralisedProblem
from hglm.criteria.mode import Mode, counted, find_mode, level_products
from hglm.numerics.factor import Traces
from hglm.numerics.gramian import batched_apply
from hglm.typing import Matrix, Vector

__all__ = ["LaplaceEvaluation", "evaluate_laplace"]


@dataclass(frozen=True, slots=True)
class LaplaceEvaluation:
    """Deviance and gradient at ψ."""

    value: float
    """-2 log L; inf where the point is infeasible."""
    gradient: Vector
    """(n_fixed + m,)"""
    mode: Mode | None
    """Where the random effects are."""
    M: tuple[Matrix, ...] = ()
    """Σ over levels of [Z'V^-1Z]_jj per group, V^-1 the marginal precision of the
    working response; for the start's information."""


def evaluate_laplace(
    problem: GeneralisedProblem,
    psi: Vector,
    start: Sequence[Matrix] | None = None,
    tolerance: float = 1e-6,
    gradient: bool = True,
) -> LaplaceEvaluation:
    """Deviance and gradient at ψ = (γ, θ); see the module.

    Parameters
    ----------
    problem
        The model.
    psi : (n_fixed + m,)
        In the problem's coordinates.
    start
        u to start the search for the mode from, as in `Mode.u`.
    tolerance
        Of the mode's decrement; the value is right to about its square root.
    gradient
        Whether the gradient is wanted.
    """
    T = problem.layout.factors(problem.theta(psi))
    mode = find_mode(problem, T, problem.fixed_predictors(psi), start, tolerance)
    if mode is None:
        return LaplaceEvaluation(np.inf, np.full(len(psi), np.nan), None)
    value = mode.penalised - 0.5 * mode.decrement + 0.5 * mode.factor.logdet
    if not T:
        r = _residuals(problem, mode, {}, {})
        return LaplaceEvaluation(2.0 * value, 2.0 * _fixed_gradient(problem, r), mode)
    traces, diagonal, cells = mode.factor.inverse_on_pattern()
    v = problem.pattern.variances(diagonal, cells)
    t = problem.pattern.sums(_information_slopes(problem, mode, v))
    value += 0.5 * sum(float(np.sum(x * d)) for x, d in zip(t, mode.d_b, strict=True))
    if not gradient:
        return LaplaceEvaluation(2.0 * value, np.zeros(0), mode)
    a_b = mode.factor.modes(t)
    m_b = [0.5 * a - d for a, d in zip(a_b, mode.d_b, strict=True)]
    r = _residuals(problem, mode, v, problem.pattern.apply(m_b, {}))
    theta_part = _theta_gradient(problem, psi, mode, traces, t, a_b, r)
    full = np.concatenate([_fixed_gradient(problem, r), theta_part])
    M = tuple(
        m if m is not None else mt @ np.linalg.pinv(x, rcond=1e-6)
        for m, mt, x in zip(traces.M, traces.MT, T, strict=True)
    )
    return LaplaceEvaluation(2.0 * value, 2.0 * full, mode, M)


def _information_slopes(
    problem: GeneralisedProblem, mode: Mode, v: Mapping[tuple[int, int], Vector]
) -> dict[int, Vector]:
    """c_f for the predictors with random effects. (n,) each"""
    return {
        f: -counted(problem, _contract(mode, v, f))
        for f in sorted({d for owner in problem.pattern.predictors for d in owner})
    }


def _contract(mode: Mode, v: Mapping[tuple[int, int], Vector], f: int) -> Vector:
    """Σ_de v_de l_def, each unordered pair with its multiplicity. (n,)"""
    terms = [(1.0 if d == e else 2.0) * x * mode.jet[d, e, f] for (d, e), x in v.items()]
    return np.sum(terms, axis=0) if len(terms) > 1 else terms[0]


def _residuals(
    problem: GeneralisedProblem,
    mode: Mode,
    v: Mapping[tuple[int, int], Vector],
    m: Mapping[int, Vector],
) -> list[Vector]:
    """Effective residual of every predictor. (n,) each"""
    out = []
    for f in range(len(problem.fixed)):
        r = np.array(np.broadcast_to(mode.jet[f], (problem.n,)))
        if v:
            r += 0.5 * _contract(mode, v, f)
        for d, x in m.items():
            r -= mode.jet[d, f] * x
        out.append(counted(problem, r))
    return out


def _fixed_gradient(problem: GeneralisedProblem, r: Sequence[Vector]) -> Vector:
    parts = [-block.product(x) for block, x in zip(problem.fixed, r, strict=True)]
    return np.concatenate(parts)


def _theta_gradient(
    problem: GeneralisedProblem,
    psi: Vector,
    mode: Mode,
    traces: Traces,
    t: Sequence[Matrix],
    a_b: Sequence[Matrix],
    r: Sequence[Vector],
) -> Vector:
    theta = problem.theta(psi)
    T = problem.layout.factors(theta)
    left = mode.factor.gramian.multiply(a_b)
    a_u = [
        batched_apply(x.T[:, :, None], y - z) for x, y, z in zip(T, t, left, strict=True)
    ]  # H^-1 Λ't
    u = [x + d for x, d in zip(mode.u, mode.d_u, strict=True)]
    moved = mode.factor.gramian.multiply(mode.d_b)
    scores = [s - x for s, x in zip(mode.scores, moved, strict=True)]
    Zr = problem.pattern.sums(dict(enumerate(r)))
    by_group = [
        0.5 * second - first + MT
        for first, second, MT in zip(
            level_products(Zr, u), level_products(scores, a_u), traces.MT, strict=True
        )
    ]
    return np.array([np.sum(by_group[g] * d) for g, d in problem.layout.derivatives(theta)])
