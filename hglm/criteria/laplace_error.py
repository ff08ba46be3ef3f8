"""How far the Laplace approximation is from the integral it stands for.

For each grouping factor in turn the integral over the effects of its levels is
done by adaptive quadrature, all other random effects held at their modes:

    error = Σ_groups Σ_levels { log ∫ exp(-h_j(u)) du - Laplace's value of the same }

With one grouping factor this is the error of the log likelihood itself (up to
the rule's own); with several it leaves out their joint part, which is of higher
order, since each level's curvature comes from many rows. Costs a few passes
over the rows.
"""

from __future__ import annotations

import numpy as np

from hglm.criteria.generalised_problem import GeneralisedProblem
from hglm.criteria.mode import Mode, counted
from hglm.families.jets import Wanted
from hglm.numerics.batched import cholesky, congruence, lower_inverse
from hglm.numerics.gauss_hermite import product_rule
from hglm.typing import Matrix, Vector

__all__ = ["laplace_error"]

MAX_POINTS = 81
"""Most nodes of a product rule that are worth their passes."""


def laplace_error(problem: GeneralisedProblem, psi: Vector, mode: Mode) -> float | None:
    """Estimate the log likelihood less its Laplace approximation.

    Parameters
    ----------
    problem
        The model.
    psi : (n_fixed + m,)
    mode
        Of the random effects at ψ.

    Returns
    -------
    float or None
        None where a term has too many coefficients for a product rule.
    """
    total = 0.0
    for group, T in enumerate(problem.layout.factors(problem.theta(psi))):
        nodes = _nodes(len(T), problem.n)
        if nodes is None:
            return None
        total += _group_error(problem, psi, mode, group, T, nodes)
    return total


def _nodes(k: int, n: int) -> int | None:
    """Nodes in each of k dimensions."""
    for nodes in (9, 5, 3):
        if nodes**k <= (MAX_POINTS if n < 20_000 else 9):
            return nodes
    return None


def _group_error(
    problem: GeneralisedProblem, psi: Vector, mode: Mode, group: int, T: Matrix, nodes: int
) -> float:
    k = len(T)
    g = problem.pattern.groupings[group]
    H = congruence(T.T, mode.factor.gramian.diagonal[group])
    H[np.arange(k), np.arange(k)] += 1.0
    C_inverse = lower_inverse(cholesky(H))
    fixed = problem.fixed_predictors(psi)
    u_mode = mode.u[group][0]

    def penalised(u: Matrix) -> Vector:
        b = list(mode.b)
        b[group] = (T @ u)[None]
        effects = problem.pattern.apply(b, {})
        eta = [effects[d] + f if d in effects else f for d, f in enumerate(fixed)]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            value = problem.likelihood.derivatives(eta, Wanted(0)).value
        rows = counted(problem, np.broadcast_to(value, (problem.n,)))
        return np.asarray(0.5 * (u**2).sum(axis=0) - g.sum(rows))

    at_mode = penalised(u_mode)
    total = np.zeros(g.n_levels)
    for node, log_weight in zip(*product_rule(nodes, k), strict=True):
        u = u_mode + np.einsum("abq,a->bq", C_inverse, node)
        gain = at_mode - penalised(u) + 0.5 * float(node @ node) + log_weight
        total += np.exp(np.minimum(gain, 600.0))
    return float(np.log(total).sum())
