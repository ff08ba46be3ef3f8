"""Scores of a generalised model by independent clusters of rows.

Where all random effects stay within clusters, the marginal likelihood is a product over
clusters, and so is its Laplace approximation (H is block diagonal) and its quadrature.
The gradient of a cluster's factor is that of the same model on its rows alone,

    s_c = ∂ log L_c(ψ)/∂ψ,     Σ_c s_c = 0 at the optimum,

exact in every parameter: fixed effects of all predictors and θ. With one grouping factor,
or none, the scores of all levels come from one evaluation; otherwise, crossed effects within
clusters included, each cluster is a model of its own, evaluated from the known mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hglm.criteria.generalised_problem import FixedBlock, GeneralisedProblem
from hglm.criteria.laplace import evaluate_laplace
from hglm.criteria.mode import counted
from hglm.criteria.quadrature import quadrature_levels
from hglm.design import Design
from hglm.errors import FitError
from hglm.families.base import bind
from hglm.fitting.record import Estimates, GeneralisedState
from hglm.numerics.columns import Strip
from hglm.numerics.factor import make_plan
from hglm.numerics.grouping import Grouping, grouping
from hglm.numerics.rows import RowPattern, row_pattern
from hglm.typing import AnyArray, Codes, Matrix, Vector

__all__ = ["cluster_scores"]

TOLERANCE = 1e-14
"""Of the decrement of each cluster's mode."""


def cluster_scores(
    estimates: Estimates, state: GeneralisedState, design: Design, members: Sequence[Codes]
) -> Matrix:
    """Compute the score of each cluster at the estimates.

    Parameters
    ----------
    estimates, state, design
        Of a generalised model with independent levels.
    members
        Rows of each cluster, positions in the data.

    Returns
    -------
    (C, n_fixed + m)
        Of ψ, in the problem's coordinates.
    """
    problem, mode = state.problem, state.evaluation.mode
    if mode is None:
        raise FitError("The random effects have no mode at the estimates; see the certificate.")
    u = [x + d for x, d in zip(mode.u, mode.d_u, strict=True)]
    if not u:
        first = [mode.jet[f] for f in range(len(problem.fixed))]
        residuals = [counted(problem, np.broadcast_to(x, (problem.n,))) for x in first]
        return _by_clusters(problem, residuals, np.zeros((0, 0)), members)
    if len(u) == 1:
        found = quadrature_levels(problem, state.psi, u, estimates.nodes)
        if found is not None:
            return _by_clusters(problem, *found, members)
    y = problem.terms.take(design.y)
    place = np.empty(problem.n, dtype=np.intp)  # of the rows of the data in the problem
    place[np.arange(problem.n) if problem.order is None else problem.order] = np.arange(problem.n)
    out = np.empty((len(members), len(state.psi)))
    for c, rows in enumerate(members):
        part, levels = _part(problem, y, np.sort(place[rows]))
        start = [x[:, :, own] for x, own in zip(u, levels, strict=True)]
        out[c] = -0.5 * evaluate_laplace(part, state.psi, start, TOLERANCE).gradient
    return out


def _by_clusters(
    problem: GeneralisedProblem,
    residuals: Sequence[Vector],
    slopes: Matrix,
    members: Sequence[Codes],
) -> Matrix:
    """Sum the scores of rows and levels. (C, n_fixed + m)"""
    codes = np.empty(problem.n, dtype=np.intp)
    for c, rows in enumerate(members):
        codes[rows] = c
    by_row = grouping(problem.terms.take(codes), len(members))
    parts = [
        by_row.sum_last(r[None] if block.X is None else block.X.T * r)
        for block, r in zip(problem.fixed, residuals, strict=True)
    ]
    for group in problem.pattern.groupings:  # one at most
        of_level = np.empty(group.n_levels, dtype=np.intp)
        of_level[group.codes] = by_row.codes
        parts.append(-grouping(of_level, len(members)).sum_last(slopes))
    return np.concatenate(parts).T


def _part(
    problem: GeneralisedProblem, y: Vector, rows: Codes
) -> tuple[GeneralisedProblem, list[Codes]]:
    """Restrict a model to some of its rows, and tell which levels are left of each group."""
    pattern = problem.pattern
    assert isinstance(pattern, RowPattern)  # levels are independent
    pairs = [_levels(g, rows) for g in pattern.groupings]
    own = row_pattern(
        [g for _, g in pairs],
        [[_strip(strip, rows) for strip in strips] for strips in pattern.columns],
        pattern.predictors,
    )
    likelihood, frequencies = problem.likelihood, _optional(problem.frequencies, rows)
    part = replace(
        problem,
        likelihood=bind(likelihood.family, y[rows], likelihood.sizes.take(rows)),
        frequencies=frequencies,
        fixed=tuple(_fixed(block, rows) for block in problem.fixed),
        pattern=own,
        plan=make_plan(own.gramian({}), fixed_values=False),
        order=None,
        nobs=float(len(rows) if frequencies is None else frequencies.sum()),
        n=len(rows),
    )
    return part, [levels for levels, _ in pairs]


def _levels(g: Grouping, rows: Codes) -> tuple[Codes, Grouping]:
    levels, codes = np.unique(g.codes[rows], return_inverse=True)
    return levels, grouping(codes.astype(np.intp), len(levels))


def _strip(strip: Strip, rows: Codes) -> Strip:
    codes = None if strip.codes is None else strip.codes[rows]
    return Strip(strip.values[rows], strip.start, codes, strip.width)


def _fixed(block: FixedBlock, rows: Codes) -> FixedBlock:
    X = None if block.X is None else block.X[rows]
    return replace(block, X=X, offset=_optional(block.offset, rows))


def _optional(values: AnyArray | None, rows: Codes) -> Vector | None:
    return None if values is None else values[rows]
