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

__all__ = ["Averages", "Leverages", "adjoint_gradient", "adjoint_levels", "information_slopes"]

Leverages = Mapping[tuple[int, int], Vector]


@dataclass(frozen=True, slots=True)
class Averages:
    """First derivatives averaged over quadrature nodes, in place of those at the mode."""

    residuals: list[Vector]
    """Per predictor (n,), in place of l_f."""
    products: list[Matrix]
    """Per group (k, k), in place of Σ_levels (Z's)u'; its terms (k, k, q) in `adjoint_levels`."""


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
    parts = _parts(problem, theta, mode, v, a_u, averages)
    fixed = [-block.product(x) for block, x in zip(problem.fixed, parts.residuals, strict=True)]
    if not MV:
        return np.concatenate(fixed)
    by_group = [
        M - outer_sum(x[0], y[0]) + 0.5 * outer_sum(s[0], a[0])
        for M, x, y, s, a in zip(MV, parts.left, parts.u, parts.scores, a_u, strict=True)
    ]
    if averages:
        by_group = [x - y for x, y in zip(by_group, averages.products, strict=True)]
    slopes = [np.sum(by_group[g] * d) for g, d in problem.layout.derivatives(theta)]
    return np.concatenate([*fixed, slopes])


def adjoint_levels(
    problem: GeneralisedProblem,
    psi: Vector,
    mode: Mode,
    v: Leverages,
    MV: Matrix,
    a_u: Matrix,
    averages: Averages,
) -> tuple[list[Vector], Matrix]:
    """Gradient of -log L by rows and by levels, for one grouping factor.

    Parameters
    ----------
    MV, averages.products
        As in `adjoint_gradient`, but (k, k, q), level by level.
    problem, psi, mode, v, a_u
        As in `adjoint_gradient`.

    Returns
    -------
    residuals
        r_f of each predictor (n,): ∂/∂γ_f is -X_f'r_f.
    slopes : (m, q)
        In θ.
    """
    theta = problem.theta(psi)
    parts = _parts(problem, theta, mode, v, [a_u], averages)
    x, u, s = parts.left[0][0], parts.u[0][0], parts.scores[0][0]
    by_level = MV - x[:, None] * u + 0.5 * s[:, None] * a_u[0] - averages.products[0]
    slopes = [np.einsum("abq,ab->q", by_level, d) for _, d in problem.layout.derivatives(theta)]
    return parts.residuals, np.array(slopes).reshape(-1, by_level.shape[2])


@dataclass(frozen=True, slots=True)
class _Parts:
    """What gradients are made of; see the module."""

    residuals: list[Vector]
    """r_f per predictor, (n,)."""
    left: list[Matrix]
    """Z'r per group (1, k, q), without the direct part where that is averaged."""
    u: list[Matrix]
    """Per group (1, k, q), at the mode."""
    scores: list[Matrix]
    """Z's likewise."""


def _parts(
    problem: GeneralisedProblem,
    theta: Vector,
    mode: Mode,
    v: Leverages,
    a_u: Sequence[Matrix],
    averages: Averages | None,
) -> _Parts:
    T = problem.layout.factors(theta)
    m_b = [
        0.5 * batched_apply(x[:, :, None], a) - d for x, a, d in zip(T, a_u, mode.d_b, strict=True)
    ]
    m = problem.pattern.apply(m_b, {})
    indirect = [_indirect(problem, mode, v, m, f) for f in range(len(problem.fixed))]
    direct = averages.residuals if averages else _scores(problem, mode)
    r = [x + y for x, y in zip(direct, indirect, strict=True)]
    if not T:
        return _Parts(r, [], [], [])
    moved = mode.factor.gramian.multiply(mode.d_b)
    return _Parts(
        residuals=r,
        left=problem.pattern.sums(dict(enumerate(indirect if averages else r))),
        u=[x + d for x, d in zip(mode.u, mode.d_u, strict=True)],
        scores=[s - z for s, z in zip(mode.scores, moved, strict=True)],
    )


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
