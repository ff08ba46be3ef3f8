"""Independent clusters of rows: within them the random effects stay.

A factor may serve as cluster if every level of every random term, of whichever predictor,
lies within one of its levels; then V is block diagonal, and sums over rows of a cluster
are sums over the cluster's own model: [V^-1Q]_c = V_c^-1Q_c.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hglm.design import Design
from hglm.design.arrays import RandomTerm
from hglm.errors import DataError, OptionError
from hglm.inference.diagnostics.weighted_rows import WeightedRows
from hglm.typing import AnyArray, Codes, Matrix

__all__ = ["Clusters", "cluster_products", "clusters", "is_within"]


@dataclass(frozen=True, slots=True)
class Clusters:
    """Which rows go together."""

    name: str
    levels: pd.Index
    """(C,)"""
    codes: Codes
    """(n,)"""

    def rows(self) -> list[Codes]:
        """Positions of the rows of each cluster. (C,) of (n_c,)"""
        order = np.argsort(self.codes, kind="stable")
        ends = np.cumsum(np.bincount(self.codes, minlength=len(self.levels)))
        return np.split(order, ends[:-1])


def clusters(design: Design, by: str | AnyArray | None = None) -> Clusters:
    """Find the clusters.

    Parameters
    ----------
    design
        Of the fit.
    by
        A grouping factor, a column of the model's data, or the (n,) labels of the rows
        used. By default the grouping factor with the fewest levels that contains all
        the others.

    Raises
    ------
    OptionError
        If random effects go across clusters, or their levels are related.
    """
    _refuse_related(design)
    if by is None:
        return _outermost(design)
    found = _named(design, by) if isinstance(by, str) else _factor("cluster", np.asarray(by))
    if len(found.codes) != design.n:
        raise DataError(
            f"There are {len(found.codes)} labels of clusters for {design.n} rows; give one for "
            "each row that the model uses."
        )
    across = [t.group for t in _random_terms(design) if not is_within(t, found.codes)]
    if across:
        raise OptionError(
            f"Levels of `{across[0]}` occur in several clusters of `{found.name}`, so the clusters "
            f"are not independent; choose a factor in which `{across[0]}` is nested."
        )
    if len(found.levels) < 2:
        raise DataError(f"`{found.name}` has one cluster only; two or more are needed.")
    return found


def is_within(term: RandomTerm, codes: Codes) -> bool:
    """Tell whether each level of a term occurs in one cluster only.

    Parameters
    ----------
    term
        With rows of the fit.
    codes : (n,)
        Clusters.
    """
    n = int(codes.max(initial=0)) + 1
    return len(np.unique(term.codes * n + codes)) == len(np.unique(term.codes))


def cluster_products(rows: WeightedRows, found: Clusters) -> tuple[Matrix, Matrix]:
    """Q_c'V_c^-1Q_c and Q_c'V_c^-1e_c of each cluster. (C, p, p), (C, p)"""
    p, members = rows.Q.shape[1], found.rows()
    G, s = np.empty((len(members), p, p)), np.empty((len(members), p))
    for c, i in enumerate(members):
        G[c] = rows.Q[i].T @ rows.VQ[i]
        s[c] = rows.Q[i].T @ rows.Ve[i]
    return 0.5 * (G + G.swapaxes(1, 2)), s


def _random_terms(design: Design) -> list[RandomTerm]:
    """Random terms of all predictors."""
    return [t for part in (design.mean, *design.others.values()) for t in part.random]


def _refuse_related(design: Design) -> None:
    related = [t.group for t in _random_terms(design) if t.relation is not None]
    if related:
        raise OptionError(
            f"The levels of `{related[0]}` are related, so no rows are independent clusters; use "
            "the covariance of the model, or the bootstrap."
        )


def _outermost(design: Design) -> Clusters:
    terms = _random_terms(design)
    for term in sorted(terms, key=lambda t: t.n_levels):
        if term.n_levels > 1 and all(is_within(other, term.codes) for other in terms):
            return Clusters(term.group, term.levels, term.codes)
    if not terms:
        raise OptionError("The model has no grouping factor; say by which column rows cluster.")
    names = ", ".join(dict.fromkeys(f"`{t.group}`" for t in terms))
    raise OptionError(
        f"The grouping factors {names} are crossed: none contains all others, so no rows are "
        "independent clusters. Name a column that contains them all, if there is one."
    )


def _named(design: Design, by: str) -> Clusters:
    for term in _random_terms(design):
        if term.group == by:
            return Clusters(by, term.levels, term.codes)
    if by not in design.frame:
        known = [t.group for t in _random_terms(design)] + [str(c) for c in design.frame]
        raise OptionError(
            f"There is no grouping factor or column `{by}` in the model to cluster by; it has "
            f"{', '.join(dict.fromkeys(known))}. Other labels may be given as an array."
        )
    return _factor(by, design.frame[by].to_numpy())


def _factor(name: str, labels: AnyArray) -> Clusters:
    codes, levels = pd.factorize(labels)
    if np.any(codes < 0):
        raise DataError(f"The cluster labels `{name}` have missing values; give one for each row.")
    return Clusters(name, pd.Index(levels), codes.astype(np.intp))
