"""The gradient of an approximate marginal likelihood by one adjoint solve.

Laplace's approximation and adaptive quadrature have gradients of one form. Let
v_de be leverages of the rows (diag(Z_d Q Z_e') for Laplace), t the derivative of
the approximation in b through the information and the nodes, a_u = H^-1Λ't, a = Λa_u,
and m = Z(a/2 - Λd), d the Newton step that is left. For every predictor f

    r_f = l_f + Σ_de v_de l_def / 2 - Σ_d l_df m_d          ("effective residual")
    ∂/∂γ_f = -X_f'r_f
    ∂/∂T   = Σ_levels { -(Z'r)u' + (Z's)a_u'/2 } + Σ_j [Z'WZ ΛV]_jj

with u = u^ + d, s the scores at u, V = H^-1 for Laplace. See `laplace` and
`quadrature` for v, t and V.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hglm.criteria.generalised_problem import GeneralisedProblem
from hglm.criteria.mode import Mode, counted
from hglm.numerics.batched import outer_sum
from hglm.numerics.gramian import batched_apply
from hglm.typing import Matrix, Vector

__all__ = ["Averages", "adjoint_gradient", "information_slopes"]

Leverages = Mapping[tuple[int, int], Vector]


@dataclass(frozen=True, slots=True)
class Averages:
    """First derivatives averaged over quadrature nodes, in place of those at the mode."""

    residuals: list[Vector]
    """Per predictor (n,), in place of l_f."""
    products: list[Matrix]
    """Per group (k, k), in place of Σ_levels (Z's)u'."""


def adjoint_gradient(
    problem: GeneralisedProblem,
    psi: Vector,
    mode: Mode,
    v: Leverages,
    MV: Sequence[Matrix],
    a_u: Sequence[Matrix],
    averages: Averages | None = None,
) -> Vector:
    """Gradient of -log L in ψ = (γ, θ); see the module.

    Parameters
    ----------
    v
        Leverages by pairs of predictors, (n,) each.
    MV
        Σ_j [Z'WZ ΛV]_jj per group, (k, k).
    a_u
        Solution of the adjoint system per group, (1, k, q); a = Λa_u.
    averages
        For quadrature.
    """
    theta = problem.theta(psi)
    T = problem.layout.factors(theta)
    m_b = [
        0.5 * batched_apply(x[:, :, None], a) - d for x, a, d in zip(T, a_u, mode.d_b, strict=True)
    ]
    m = problem.pattern.apply(m_b, {})
    indirect = [_indirect(problem, mode, v, m, f) for f in range(len(problem.fixed))]
    direct = averages.residuals if averages else _scores(problem, mode)
    r = [x + y for x, y in zip(direct, indirect, strict=True)]
    fixed = [-block.product(x) for block, x in zip(problem.fixed, r, strict=True)]
    if not T:
        return np.concatenate(fixed)
    u = [x + d for x, d in zip(mode.u, mode.d_u, strict=True)]
    moved = mode.factor.gramian.multiply(mode.d_b)
    left = problem.pattern.sums(dict(enumerate(indirect if averages else r)))
    by_group = [
        M - outer_sum(x[0], y[0]) + 0.5 * outer_sum((s - z)[0], a[0])
        for M, x, y, s, z, a in zip(MV, left, u, mode.scores, moved, a_u, strict=True)
    ]
    if averages:
        by_group = [x - y for x, y in zip(by_group, averages.products, strict=True)]
    slopes = [np.sum(by_group[g] * d) for g, d in problem.layout.derivatives(theta)]
    return np.concatenate([*fixed, slopes])


def information_slopes(problem: GeneralisedProblem, mode: Mode, v: Leverages) -> dict[int, Vector]:
    """c_f = -Σ_de v_de l_def for the predictors with random effects. (n,) each"""
    inner = sorted({d for owner in problem.pattern.predictors for d in owner})
    return {f: -counted(problem, _contract(mode, v, f)) for f in inner}


def _scores(problem: GeneralisedProblem, mode: Mode) -> list[Vector]:
    return [
        counted(problem, np.broadcast_to(mode.jet[f], (problem.n,)))
        for f in range(len(problem.fixed))
    ]


def _indirect(
    problem: GeneralisedProblem, mode: Mode, v: Leverages, m: Mapping[int, Vector], f: int
) -> Vector:
    """Σ_de v_de l_def / 2 - Σ_d l_df m_d. (n,)"""
    if not v:
        return np.zeros(problem.n)
    out = 0.5 * _contract(mode, v, f)
    for d, x in m.items():
        out = out - mode.jet[d, f] * x
    return counted(problem, out)


def _contract(mode: Mode, v: Leverages, f: int) -> Vector:
    """Σ_de v_de l_def, each unordered pair with its multiplicity. (n,)"""
    terms = [(1.0 if d == e else 2.0) * x * mode.jet[d, e, f] for (d, e), x in v.items()]
    return np.sum(terms, axis=0) if len(terms) > 1 else terms[0]
