"""Adaptive Gauss-Hermite quadrature for one grouping factor, with exact gradient.

For level j with penalised log density -h_j(u), mode u^ and H_j = CC' the
curvature there, and a rule (x_m, w_m) for N(0, I) (Pinheiro & Bates 1995, JCGS
4, 12-35),

    u_m = u^ + C^-T x_m,   log L_j = -log|C| + log Σ_m w_m exp(x_m'x_m/2 - h_j(u_m)).

One node gives the Laplace approximation. The nodes move with the parameters
through u^ and C. With p_m the normalised terms of the sum and g_m = -∂h_j(u_m),

    α = Σ p_m g_m,   G = Σ p_m x_m (C^-1 g_m)'
    Ψ symmetric, Ψ_ab = -G_ab/2 for a > b, Ψ_aa = -(1 + G_aa)/2,   Γ = C^-T Ψ C^-1
    d log L_j = [derivative at fixed nodes] + <Γ, dH_j> + α'du^

so that the gradient is that of the Laplace approximation with H^-1 replaced by
-2Γ in the leverages and the trace, Z'c by Z'c - 2α in the adjoint solve, and
the first derivatives at the mode by their averages over the nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hglm.criteria.adjoint import (
    Averages,
    Leverages,
    adjoint_gradient,
    adjoint_levels,
    information_slopes,
)
from hglm.criteria.generalised_problem import GeneralisedProblem
from hglm.criteria.laplace import MarginalEvaluation
from hglm.criteria.mode import Mode, counted, find_mode
from hglm.errors import OptionError
from hglm.families.jets import Wanted
from hglm.numerics.batched import cholesky, congruence, lower_inverse, matmul
from hglm.numerics.gauss_hermite import product_rule
from hglm.numerics.gramian import batched_apply
from hglm.numerics.rows import spread
from hglm.typing import Matrix, Vector

__all__ = ["MOST_NODES", "check_quadrature", "evaluate_quadrature", "quadrature_levels"]

MOST_NODES = 500_000
"""In all dimensions together."""
TIGHT = 1e-20
"""Tolerance of the mode: the gradient takes it to be exact."""


@dataclass(slots=True)
class _Sums:
    """Running sums over nodes of exp(-h_j + ...) times what is to be averaged."""

    total: Vector
    """(q,)"""
    residuals: list[Vector]
    """Per predictor (n,)."""
    products: Matrix
    """(k, k, q) of (Z's)u'."""
    alpha: Matrix
    """(k, q)"""
    G: Matrix
    """(k, k, q)"""


def check_quadrature(problem: GeneralisedProblem, nodes: int) -> None:
    """Raise `OptionError` unless the integral is one of few dimensions for each level."""
    if len(problem.pattern.groupings) != 1:
        raise OptionError(
            "Quadrature is for models with one grouping factor, and this one has "
            f'{len(problem.pattern.groupings)}; use method="laplace".'
        )
    if problem.terms.roots[0] is not None:
        raise OptionError(
            "Quadrature is for independent levels, and here they are related, so that their "
            'integrals do not come apart; use method="laplace".'
        )
    k = problem.layout.orders[0]
    if nodes**k > MOST_NODES:
        raise OptionError(
            f"Quadrature with {nodes} nodes in each of {k} dimensions takes {nodes**k:.1g} nodes; "
            'give fewer, or use method="laplace".'
        )


def evaluate_quadrature(
    problem: GeneralisedProblem,
    psi: Vector,
    start: Sequence[Matrix] | None = None,
    tolerance: float = TIGHT,
    nodes: int = 9,
) -> MarginalEvaluation:
    """Deviance and gradient at ψ = (γ, θ); see the module.

    Parameters
    ----------
    problem
        The model, with one grouping factor.
    psi : (n_fixed + m,)
    start
        u to start the search for the mode from.
    tolerance
        Of the mode's decrement; never looser than `TIGHT`.
    nodes
        Nodes in each dimension.
    """
    found = _integrals(problem, psi, start, tolerance, nodes)
    if found is None:
        return MarginalEvaluation(np.inf, np.full(len(psi), np.nan), None)
    mode, averages = found.mode, found.averages
    summed = Averages(averages.residuals, [x.sum(axis=2) for x in averages.products])
    MV = [found.MV.sum(axis=2)]
    gradient = adjoint_gradient(problem, psi, mode, found.v, MV, [found.a_u], summed)
    M = (mode.factor.traces().M[0],)
    assert M[0] is not None
    return MarginalEvaluation(2.0 * found.value, 2.0 * gradient, mode, (M[0],))


def quadrature_levels(
    problem: GeneralisedProblem,
    psi: Vector,
    start: Sequence[Matrix] | None = None,
    nodes: int = 1,
) -> tuple[list[Vector], Matrix] | None:
    """Gradient of -log L by rows and by levels; Laplace's with one node.

    Parameters
    ----------
    problem, psi, start, nodes
        As in `evaluate_quadrature`.

    Returns
    -------
    residuals, slopes
        See `adjoint_levels`; None where there is no feasible mode.
    """
    found = _integrals(problem, psi, start, TIGHT, nodes)
    if found is None:
        return None
    return adjoint_levels(problem, psi, found.mode, found.v, found.MV, found.a_u, found.averages)


@dataclass(frozen=True, slots=True)
class _Integrals:
    """What the nodes of all levels give; see `hglm.criteria.adjoint`."""

    value: float
    """-log L."""
    mode: Mode
    v: Leverages
    MV: Matrix
    """[Z'WZ ΛV]_jj, (k, k, q)."""
    a_u: Matrix
    """(1, k, q)"""
    averages: Averages
    """Products (k, k, q), level by level."""


def _integrals(
    problem: GeneralisedProblem,
    psi: Vector,
    start: Sequence[Matrix] | None,
    tolerance: float,
    nodes: int,
) -> _Integrals | None:
    (T,) = problem.layout.factors(problem.theta(psi))
    fixed = problem.fixed_predictors(psi)
    mode = find_mode(problem, [T], fixed, start, min(tolerance, TIGHT))
    if mode is None:
        return None
    A = mode.factor.gramian.diagonal[0]
    k = len(T)
    H = congruence(T.T, A)
    H[np.arange(k), np.arange(k)] += 1.0
    C_inverse = lower_inverse(cholesky(H))
    sums, base = _sum_over_nodes(problem, fixed, T, mode, C_inverse, nodes)
    V = _moving_inverse(sums.G / sums.total, C_inverse)  # -2Γ
    v = problem.pattern.variances([congruence(T, V)], {})
    t = problem.pattern.sums(information_slopes(problem, mode, v))
    t_u = batched_apply(T.T[:, :, None], t[0])[0] - 2.0 * sums.alpha / sums.total  # (k, q)
    by_row = spread(problem.pattern.groupings[0], sums.total)
    return _Integrals(
        value=0.5 * mode.factor.logdet + base - float(np.log(sums.total).sum()),
        mode=mode,
        v=v,
        MV=matmul(A, matmul(np.repeat(T[:, :, None], A.shape[2], axis=2), V)),
        a_u=_solve(C_inverse, t_u)[None],
        averages=Averages([r / by_row for r in sums.residuals], [sums.products / sums.total]),
    )


def _sum_over_nodes(
    problem: GeneralisedProblem,
    fixed: Sequence[Vector | float],
    T: Matrix,
    mode: Mode,
    C_inverse: Matrix,
    nodes: int,
) -> tuple[_Sums, float]:
    """Sum over the nodes, relative to the density at the mode, and Σ_j h_j there."""
    (group,) = problem.pattern.groupings
    k, q = mode.u[0].shape[1:]
    x, log_w = product_rule(nodes, k)
    u_mode = mode.u[0][0]
    at_mode = -group.sum(counted(problem, np.broadcast_to(mode.jet.value, (problem.n,))))
    h_mode = at_mode + 0.5 * (u_mode**2).sum(axis=0)
    predictors = range(len(problem.fixed))
    sums = _Sums(
        np.zeros(q),
        [np.zeros(problem.n) for _ in predictors],
        np.zeros((k, k, q)),
        np.zeros((k, q)),
        np.zeros((k, k, q)),
    )
    wanted = Wanted(1, tuple(predictors))
    for node, log_weight in zip(x, log_w, strict=True):
        u = u_mode + np.einsum("abq,a->bq", C_inverse, node)  # u^ + C^-T x
        effects = problem.pattern.apply([(T @ u)[None]], {})
        eta = [effects[d] + f if d in effects else f for d, f in enumerate(fixed)]
        jet = problem.likelihood.derivatives(eta, wanted)
        first = [counted(problem, np.broadcast_to(jet[d], (problem.n,))) for d in predictors]
        value = counted(problem, np.broadcast_to(jet.value, (problem.n,)))
        h = 0.5 * (u**2).sum(axis=0) - group.sum(value)
        weight = np.exp(np.minimum(log_weight + 0.5 * (node @ node) + h_mode - h, 600.0))
        by_row = spread(group, weight)
        for d, r in enumerate(first):
            sums.residuals[d] += by_row * r
        Zs = problem.pattern.sums(dict(enumerate(first)))[0][0]
        g = T.T @ Zs - u
        sums.total += weight
        sums.products += weight * Zs[:, None] * u[None]
        sums.alpha += weight * g
        sums.G += weight * node[:, None, None] * np.einsum("abq,bq->aq", C_inverse, g)[None]
    return sums, float(h_mode.sum())


def _moving_inverse(G: Matrix, C_inverse: Matrix) -> Matrix:
    """-2Γ = C^-T (-2Ψ) C^-1. (k, k, q)"""
    k = len(G)
    Psi = np.empty_like(G)
    for a in range(k):
        Psi[a, a] = 1.0 + G[a, a]
        for b in range(a):
            Psi[a, b] = Psi[b, a] = G[a, b]
    return matmul(C_inverse.swapaxes(0, 1), matmul(Psi, C_inverse))


def _solve(C_inverse: Matrix, x: Matrix) -> Matrix:
    """H^-1 x for x (k, q)."""
    half = np.einsum("abq,bq->aq", C_inverse, x)
    out: Matrix = np.einsum("abq,aq->bq", C_inverse, half)
    return out
