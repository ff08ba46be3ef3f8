"""A linear mixed model as cross-products, in well-conditioned coordinates.

The rows are read once: weighted by √w, sorted by the largest grouping factor,
X orthonormalised, y made residual, the columns of each random term scaled (and
orthonormalised, where its covariance structure absorbs any linear change of
coefficients). Everything later works on Z'Z, Z'[Q e] and [Q e]'[Q e]. The maps
back to the user's coordinates are kept with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from hglm.covariance import Layout, Slot, structure
from hglm.design.arrays import PredictorDesign, RandomTerm
from hglm.numerics.factor import Plan, make_plan
from hglm.numerics.gramian import Gramian, gramian, level_products
from hglm.numerics.grouping import grouping, sort_rows
from hglm.numerics.orthogonal import Orthogonalised, orthogonalise, standardise_columns
from hglm.typing import AnyArray, Codes, Matrix, Vector

__all__ = ["LinearProblem", "linear_problem"]


@dataclass(frozen=True, slots=True)
class LinearProblem:
    """Cross-products of one linear mixed model, and the way back."""

    gramian: Gramian
    """Z'Z by levels, groups with most levels first."""
    plan: Plan
    rhs: tuple[Matrix, ...]
    """[Q e]'Z per group, (p + 1, k, q)."""
    gram: Matrix
    """[Q e]'[Q e], (p + 1, p + 1)."""
    nobs: float
    """Observations (frequencies counted)."""
    sum_log_weights: float
    """Σ log w over the observations: the constant of precision weights."""
    layout: Layout
    """θ to covariance factors, terms in the order of `terms`."""
    terms: tuple[int, ...]
    """Position in the design's `random` of each slot of the layout."""
    maps: tuple[Matrix, ...]
    """Per slot S (k, k): coefficients of the user's columns are S b."""
    fixed: Orthogonalised
    """Coordinates of the fixed effects."""

    @property
    def p(self) -> int:
        """Fixed effects."""
        return self.gram.shape[0] - 1

    def user_factors(self, theta: Vector) -> list[Matrix]:
        """Lower factor of each slot's relative covariance in the user's columns."""
        return [
            S @ T for S, T in zip(self.maps, self.layout.term_factors(theta), strict=True)
        ]


def linear_problem(
    design: PredictorDesign,
    y: Vector,
    weights: Vector | None = None,
    frequencies: Vector | None = None,
) -> LinearProblem:
    """Reduce the rows of a linear mixed model to cross-products.

    Parameters
    ----------
    design
        Fixed and random effects of the mean.
    y : (n,)
        Response, offset removed.
    weights : (n,) or None
        Precision weights w: Var(e_i) = σ²/w_i.
    frequencies : (n,) or None
        How often a row was observed.
    """
    groups = _groups(design.random)
    order = None
    if groups:
        first = design.random[groups[0][0]]
        order = sort_rows(first.codes, first.n_levels)
    root = _root_weights(weights, frequencies)
    X, y = _take(design.X, order), _take(y, order)
    root = None if root is None else _take(root, order)
    fixed = orthogonalise(X, y, root)
    dense = np.column_stack([fixed.Q, fixed.residual])
    slots: list[Slot] = []
    maps: list[Matrix] = []
    groupings, columns = [], []
    n_theta = 0
    for g, members in enumerate(groups):
        parts = []
        start = 0
        for i in members:
            term = design.random[i]
            kind = structure(term.structure)
            z, S = _standardise(_take(term.z, order), kind.mixing)
            parts.append(z if root is None else z * root[:, None])
            maps.append(S)
            slots.append(Slot(g, start, term.k, kind, n_theta))
            n_theta += kind.n_parameters(term.k)
            start += term.k
        codes = _take(design.random[members[0]].codes, order)
        groupings.append(grouping(codes, design.random[members[0]].n_levels))
        columns.append(parts[0] if len(parts) == 1 else np.asfortranarray(np.hstack(parts)))
    zz = gramian(groupings, columns)
    rhs = tuple(level_products(g, z, dense) for g, z in zip(groupings, columns, strict=True))
    return LinearProblem(
        gramian=zz,
        plan=make_plan(zz),
        rhs=rhs,
        gram=dense.T @ dense,
        nobs=float(len(y) if frequencies is None else frequencies.sum()),
        sum_log_weights=_sum_log(weights, frequencies),
        layout=Layout(tuple(slots), zz.orders),
        terms=tuple(i for members in groups for i in members),
        maps=tuple(maps),
        fixed=fixed,
    )


def _groups(terms: Sequence[RandomTerm]) -> list[list[int]]:
    """Positions of the terms of each grouping factor, most levels first."""
    names = list(dict.fromkeys(t.group for t in terms))
    members = [[i for i, t in enumerate(terms) if t.group == name] for name in names]
    return sorted(members, key=lambda m: -terms[m[0]].n_levels)


def _root_weights(weights: Vector | None, frequencies: Vector | None) -> Vector | None:
    product = None
    for w in (weights, frequencies):
        if w is not None:
            product = w if product is None else product * w
    return None if product is None else np.sqrt(product)


def _sum_log(weights: Vector | None, frequencies: Vector | None) -> float:
    if weights is None:
        return 0.0
    logs = np.log(weights)
    return float(logs.sum() if frequencies is None else logs @ frequencies)


def _take(a: AnyArray, order: Codes | None) -> AnyArray:
    """Rows of a in the given order, column by column: half the time of a[order]."""
    if order is None:
        return a
    out = np.empty(a.shape, dtype=a.dtype, order="F")
    for target, column in zip(np.atleast_2d(out.T), np.atleast_2d(a.T), strict=True):
        np.take(column, order, out=target, mode="clip")
    return out


def _standardise(z: Matrix, mixing: str) -> tuple[Matrix, Matrix]:
    """Columns z S of unit size, orthonormal where the structure allows it."""
    columns, S = standardise_columns(z, None, centre=mixing == "linear")
    if mixing == "none":
        size = np.sqrt(float((z**2).mean())) or 1.0
        return np.asfortranarray(z / size), np.eye(z.shape[1]) / size
    if mixing == "linear" and z.shape[1] > 1:
        R, info = linalg.lapack.dpotrf(columns.T @ columns / len(z))
        if info == 0 and np.linalg.cond(np.triu(R)) < 1e5:
            columns = linalg.blas.dtrsm(1.0, R, columns, side=1)
            S = linalg.solve_triangular(R, S.T, trans="T").T
    return columns, S
