"""A linear mixed model as cross-products, in well-conditioned coordinates.

The rows are read once: weighted by √w, sorted by the largest grouping factor,
X orthonormalised, y made residual, the columns of each random term scaled (and
orthonormalised, where its covariance structure absorbs any linear change of
coefficients). Everything later works on Z'Z, Z'[Q e] and [Q e]'[Q e]. The maps
back to the user's coordinates are kept with them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hglm.covariance import Layout
from hglm.criteria.grouped_terms import group_terms
from hglm.design.arrays import PredictorDesign
from hglm.numerics.factor import Plan, make_plan
from hglm.numerics.gramian import Gramian, gramian, level_products
from hglm.numerics.orthogonal import Orthogonalised, orthogonalise
from hglm.numerics.related import relate, relate_sums
from hglm.typing import Matrix, Vector

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
    roots: tuple[Matrix | None, ...]
    """Per group R (q, r) of related levels, None for independent ones."""

    @property
    def p(self) -> int:
        """Fixed effects."""
        return len(self.gram) - 1

    def user_factors(self, theta: Vector) -> list[Matrix]:
        """Lower factor of each slot's relative covariance in the user's columns."""
        return [S @ T for S, T in zip(self.maps, self.layout.term_factors(theta), strict=True)]


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
    root = _root_weights(weights, frequencies)
    terms = group_terms([design], root)
    sorted_root = None if root is None else terms.take(root)
    dense = terms.stack(design.X, y)
    terms = replace(terms, order=None)  # every row is in place, and its memory needed
    fixed = orthogonalise(dense, sorted_root)
    zz = relate(gramian(terms.groupings, terms.columns), terms.roots)
    products = [
        level_products(g, z, dense) for g, z in zip(terms.groupings, terms.columns, strict=True)
    ]
    return LinearProblem(
        gramian=zz,
        plan=make_plan(zz),
        rhs=tuple(relate_sums(products, terms.roots)),
        gram=dense.T @ dense,
        nobs=float(len(y) if frequencies is None else frequencies.sum()),
        sum_log_weights=_sum_log(weights, frequencies),
        layout=terms.layout,
        terms=tuple(position for _, position in terms.terms),
        maps=terms.maps,
        fixed=fixed,
        roots=terms.roots,
    )


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
