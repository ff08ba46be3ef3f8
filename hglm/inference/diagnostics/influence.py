"""Influence of rows and of levels on the fixed effects of linear mixed models.

Without the rows I, at the same θ and σ, on weighted rows with V^-1Q, Py = V^-1e and the
block K of V^-1 that belongs to I (the rows left out get a mean each: Christensen, Pearson
& Johnson 1992, Technometrics 34, 38-45; Hodges 1998, J. R. Stat. Soc. B 60, 497-536),

    G_I = [V^-1Q]_I'K^-1[V^-1Q]_I,    s_I = [V^-1Q]_I'K^-1[V^-1e]_I
    γ̂ - γ̂_(I) = (Q'V^-1Q - G_I)^-1 s_I,    Var(γ̂_(I)) = σ²(Q'V^-1Q - G_I)^-1.

For a factor in which all others are nested G_I and s_I are sums over its rows, for a single
row K is a number, and for a level of a crossed factor K takes a solve for each of its rows.

    Cook's distance   (β̂ - β̂_(I))'Var(β̂)^-1(β̂ - β̂_(I))/p
    DFBETAS           (β̂ - β̂_(I))_j/se(β̂_(I),j)
    COVRATIO          det Var(β̂_(I))/det Var(β̂)

Cook's distance is about the fixed effects alone (as in R's influence.ME), not about
fitted values (as lme4's `cooks.distance`). Where θ itself hangs on a few levels, fit again
without each: the option `refit`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy import linalg

from hglm.design import Design
from hglm.errors import OptionError
from hglm.fitting.record import Estimates
from hglm.inference.diagnostics.clusters import Clusters, cluster_products, is_within
from hglm.inference.diagnostics.subset import take_rows
from hglm.inference.diagnostics.weighted_rows import WeightedRows, inverse_block, weighted_rows
from hglm.inference.residuals import leverage
from hglm.typing import Codes, Matrix, Vector

__all__ = ["Influence", "influence"]

TOLERANCE = 1e-8
"""Share of the information about a coefficient that counts as none left."""
Refit: TypeAlias = Callable[[Design], Estimates]


FEW = 5
"""Rows of a summary."""


@dataclass(frozen=True, slots=True, repr=False)
class Influence:
    """What leaving out each row, or each level of a factor, would change."""

    group: str | None
    """The factor; None: single rows."""
    measures: pd.DataFrame
    """By level or row: `n_rows, cooks_distance, covratio`; for rows `leverage` too. NaN where
    the others do not determine the fixed effects."""
    dfbetas: pd.DataFrame
    """By level or row, a column for each fixed effect."""
    change: pd.DataFrame
    """β̂ - β̂_(I), likewise."""

    def __repr__(self) -> str:
        left_out = "single rows" if self.group is None else f"levels of {self.group}"
        largest = self.measures.nlargest(FEW, "cooks_distance").round(4)
        return (
            f"Influence of {left_out}, the largest of {len(self.measures)}:\n"
            f"{largest.to_string()}\n"
            "All are in .measures; by coefficient, in standard errors and in units, in .dfbetas "
            "and .change."
        )


def influence(
    estimates: Estimates,
    design: Design,
    group: str | None = None,
    refit: Refit | None = None,
) -> Influence:
    """Leave out each row, or each level of a grouping factor.

    Parameters
    ----------
    estimates, design
        Of the fit; with `refit` of any model.
    group
        Grouping factor whose levels are left out one by one; None for single rows.
    refit
        Fits a design the way the model was fitted, variances and all; by default θ and σ
        stay as they are, and every result is exact linear algebra.
    """
    sets = _single_rows(design) if group is None else _levels(design, group)
    if refit is not None:
        return _by_refitting(estimates, design, group, sets, refit)
    rows = weighted_rows(estimates, design, "Influence measures without `refit`")
    extra: dict[str, Vector] = {}
    if group is None:
        h = leverage(estimates, design)
        G, s = _row_products(rows, design, h)
        extra["leverage"] = h
    elif all(is_within(term, sets.codes) for term in design.mean.random):
        G, s = cluster_products(rows, sets)
    else:
        G, s = _block_products(rows, design, sets)
    change, variances, covratio = _without(rows, G, s)
    L_X, to_beta = rows.solution.L_X, rows.problem.fixed.to_beta
    p, sigma2 = len(L_X), rows.solution.sigma2
    return _tabulate(
        design=design,
        group=group,
        sets=sets,
        cooks=np.sum((change @ L_X) ** 2, axis=1) / (max(p, 1) * sigma2),
        covratio=covratio,
        change=change @ to_beta.T,
        std_error=np.sqrt(sigma2 * np.einsum("ji,cik,jk->cj", to_beta, variances, to_beta)),
        extra=extra,
    )


def _single_rows(design: Design) -> Clusters:
    return Clusters("row", design.index, np.arange(design.n))


def _levels(design: Design, group: str) -> Clusters:
    for term in design.mean.random:
        if term.group == group:
            return Clusters(group, term.levels, term.codes)
    known = ", ".join(dict.fromkeys(f"`{t.group}`" for t in design.mean.random)) or "none"
    raise OptionError(f"The model has no grouping factor `{group}`; it has {known}.")


def _row_products(rows: WeightedRows, design: Design, h: Vector) -> tuple[Matrix, Vector]:
    """G and s of single rows; K = P_ii + (V^-1Q)_i C (V^-1Q)_i'. (n, p, p), (n, p)"""
    f = 1.0 if design.frequencies is None else design.frequencies
    half = linalg.solve_triangular(rows.solution.L_X, rows.VQ.T, lower=True)
    K = 1.0 - f * h + np.sum(half**2, axis=0)
    u = rows.VQ
    return u[:, :, None] * u[:, None, :] / K[:, None, None], u * (rows.Ve / K)[:, None]


def _block_products(rows: WeightedRows, design: Design, sets: Clusters) -> tuple[Matrix, Matrix]:
    p, members = rows.Q.shape[1], sets.rows()
    G, s = np.empty((len(members), p, p)), np.empty((len(members), p))
    for c, i in enumerate(members):
        u = rows.VQ[i]
        K = inverse_block(rows, design, i)
        solved = linalg.solve(K, np.column_stack([u, rows.Ve[i]]), assume_a="sym")
        G[c], s[c] = u.T @ solved[:, :p], u.T @ solved[:, p]
    return G, s


def _without(rows: WeightedRows, G: Matrix, s: Matrix) -> tuple[Matrix, Matrix, Vector]:
    """γ̂ - γ̂_(I) (C, p), Var(γ̂_(I))/σ² (C, p, p) and COVRATIO (C,)."""
    p = rows.Q.shape[1]
    inverse = linalg.solve_triangular(rows.solution.L_X, np.eye(p), lower=True)
    left = np.eye(p) - inverse @ G @ inverse.T  # share of the information that is left
    values, vectors = np.linalg.eigh(left)
    lost = np.any(values < TOLERANCE, axis=1)
    values = np.where(lost[:, None], np.nan, values)
    half = inverse.T @ vectors / np.sqrt(values)[:, None, :]
    variances = half @ half.swapaxes(1, 2)
    return np.einsum("cij,cj->ci", variances, s), variances, 1.0 / np.prod(values, axis=1)


def _by_refitting(
    estimates: Estimates, design: Design, group: str | None, sets: Clusters, refit: Refit
) -> Influence:
    C, p = len(sets.levels), len(estimates.beta)
    change, std_error = np.full((C, p), np.nan), np.full((C, p), np.nan)
    covratio = np.full(C, np.nan)
    log_det = np.linalg.slogdet(estimates.vcov)[1]
    for c, left in enumerate(_complements(sets)):
        subset = take_rows(design, left)
        if np.linalg.matrix_rank(subset.mean.X) < p:
            continue
        found = refit(subset)
        change[c] = estimates.beta - found.beta
        std_error[c] = np.sqrt(np.diagonal(found.vcov))
        covratio[c] = np.exp(np.linalg.slogdet(found.vcov)[1] - log_det)
    root = linalg.cholesky(estimates.vcov, lower=True)
    whitened = linalg.solve_triangular(root, change.T, lower=True, check_finite=False)
    return _tabulate(
        design=design,
        group=group,
        sets=sets,
        cooks=np.sum(whitened**2, axis=0) / max(p, 1),
        covratio=covratio,
        change=change,
        std_error=std_error,
        extra={},
    )


def _complements(sets: Clusters) -> Iterator[Codes]:
    for c in range(len(sets.levels)):
        yield np.flatnonzero(sets.codes != c)


def _tabulate(
    design: Design,
    group: str | None,
    sets: Clusters,
    cooks: Vector,
    covratio: Vector,
    change: Matrix,
    std_error: Matrix,
    extra: dict[str, Vector],
) -> Influence:
    index = sets.levels.rename(group) if group is not None else sets.levels
    size = np.bincount(sets.codes, minlength=len(index))
    measures = {"n_rows": size, "cooks_distance": cooks, "covratio": covratio, **extra}
    names = list(design.mean.names)
    return Influence(
        group=group,
        measures=pd.DataFrame(measures, index),
        dfbetas=pd.DataFrame(change / std_error, index, names),
        change=pd.DataFrame(change, index, names),
    )
