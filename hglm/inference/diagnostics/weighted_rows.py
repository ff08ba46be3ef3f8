"""Rows of a fitted linear model times V^-1, without V.

On rows weighted by √(wf), w the precision weights and f the frequencies, V = I + ZΣZ'
relative to σ², Q = X to_beta the orthonormal columns of the fixed part, and b the modes
that belong to a column y,

    V^-1y = y - Zb,     Q'V^-1Q = L_X L_X',     V^-1(y - Xβ̂) = y - Xβ̂ - Zb̂.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hglm.criteria.linear_problem import LinearProblem
from hglm.criteria.profiled import Solution, solve
from hglm.design import Design
from hglm.errors import OptionError
from hglm.fitting.estimate import random_part
from hglm.fitting.record import Estimates, LinearState
from hglm.typing import Codes, Matrix, Vector

__all__ = ["WeightedRows", "inverse_block", "times_modes", "weighted_rows"]


@dataclass(frozen=True, slots=True)
class WeightedRows:
    """Weighted rows in the order of the data; see the module."""

    problem: LinearProblem
    solution: Solution
    root: Vector
    """(n,) √(wf)."""
    Q: Matrix
    """(n, p)"""
    VQ: Matrix
    """(n, p) V^-1Q."""
    Ve: Vector
    """(n,) V^-1(y - Xβ̂) = Py."""


def weighted_rows(estimates: Estimates, design: Design, purpose: str) -> WeightedRows:
    """Multiply the rows of a linear model by V^-1.

    Parameters
    ----------
    estimates, design
        Of the fit.
    purpose
        Of the caller, for the error about models that are not linear.
    """
    state = estimates.state
    if not isinstance(state, LinearState):
        raise OptionError(
            f"{purpose} are for linear mixed models (Gaussian, identity link), and this is a "
            "generalised one; use the bootstrap or a refit without the rows in question."
        )
    related = [term.group for term in design.mean.random if term.relation is not None]
    if related:
        raise OptionError(
            f"{purpose} are for independent levels, and those of `{related[0]}` are related; use "
            "the bootstrap or a refit without the rows in question."
        )
    solution = solve(state.problem, state.theta, state.reml)
    root = _root(design)
    Q = root[:, None] * (design.mean.X @ state.problem.fixed.to_beta)
    VQ = Q.copy()
    if Q.shape[1]:
        VQ -= times_modes(state.problem, design, root, [b[:-1] for b in solution.modes])
    Ve = root * (design.y - estimates.linear_predictor)
    return WeightedRows(state.problem, solution, root, Q, VQ, Ve)


def times_modes(
    problem: LinearProblem, design: Design, root: Vector, modes: Sequence[Matrix]
) -> Matrix:
    """Zb on weighted rows.

    Parameters
    ----------
    problem, design
        Of the fit.
    root : (n,)
        √(wf).
    modes
        (c, k, q) per group, in the problem's standardised columns.

    Returns
    -------
    (n, c)
    """
    if not modes:
        return np.zeros((design.n, 1))
    out = np.empty((design.n, len(modes[0])))
    parts = list(zip(problem.terms, problem.layout.slots, problem.maps, strict=True))
    for c in range(out.shape[1]):
        effects = {t: (S @ modes[slot.group][c, slot.columns]).T for t, slot, S in parts}
        out[:, c] = root * random_part(design.mean, effects)
    return out


def inverse_block(rows: WeightedRows, design: Design, chosen: Codes) -> Matrix:
    """Rows and columns of V^-1 that belong to some rows, by one solve for each. (m, m)

    Parameters
    ----------
    rows, design
        Of the fit.
    chosen : (m,)
        Positions of rows.
    """
    problem, m = rows.problem, len(chosen)
    gramian = problem.gramian
    shapes = zip(gramian.orders, gramian.sizes, strict=True)
    rhs = [np.zeros((m, k, q)) for k, q in shapes]
    parts = []
    for position, slot, S in zip(problem.terms, problem.layout.slots, problem.maps, strict=True):
        term = design.mean.random[position]
        z = rows.root[chosen, None] * (term.columns()[chosen] @ S)
        codes = term.codes[chosen]
        rhs[slot.group][np.arange(m)[:, None], _columns(slot.columns), codes[:, None]] = z
        parts.append((slot, z, codes))
    modes = rows.solution.factor.modes(rhs) if rhs else []
    out: Matrix = np.eye(m)
    for slot, z, codes in parts:
        own = modes[slot.group][:, slot.columns]  # (m, k, q)
        out -= np.einsum("ia,jai->ij", z, own[:, :, codes])
    return out


def _columns(columns: slice) -> Codes:
    return np.arange(columns.start, columns.stop)


def _root(design: Design) -> Vector:
    root = np.ones(design.n)
    for w in (design.weights, design.frequencies):
        if w is not None:
            root = root * np.sqrt(w)
    return root
