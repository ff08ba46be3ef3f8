"""Random terms of all predictors, gathered by grouping factor and standardised.

Terms whose levels are related have a group of their own, after all others. It is
read by its levels, as if they were independent, and `roots` says how the products
of its columns follow (`hglm.numerics.related`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from hglm.covariance import Layout, Slot, structure
from hglm.design.arrays import PredictorDesign, RandomTerm
from hglm.numerics.columns import Strip, order_of
from hglm.numerics.grouping import Grouping, grouping, sort_rows
from hglm.numerics.orthogonal import standardise_columns
from hglm.numerics.triangular import condition, solve_triangular
from hglm.typing import AnyArray, Codes, Matrix, Vector

__all__ = ["GroupedTerms", "changed_columns", "group_terms"]


@dataclass(frozen=True, slots=True)
class GroupedTerms:
    """Grouping factors, most levels first, with the columns of all their terms."""

    groupings: tuple[Grouping, ...]
    """Rows sorted by the first; related levels as if they were independent."""
    columns: tuple[tuple[Strip, ...], ...]
    """Per group the standardised columns of its terms."""
    predictors: tuple[tuple[int, ...], ...]
    """Per group the predictor of each strip."""
    layout: Layout
    """θ to covariance factors, slot by slot."""
    terms: tuple[tuple[int, int], ...]
    """Per slot: predictor, and position among the random terms of its design."""
    maps: tuple[Matrix, ...]
    """Per slot S (k, k): coefficients of the user's columns are S b."""
    roots: tuple[Matrix | None, ...]
    """Per group R (q, r) of related levels, None for independent ones."""
    order: Codes | None
    """Rows of the data in the order used here; None for the same."""

    def take(self, a: AnyArray) -> AnyArray:
        """Rows of a, sorted. Column by column: half the time of a[order]."""
        if self.order is None:
            return a
        out = np.empty(a.shape, dtype=a.dtype, order="F")
        for target, column in zip(np.atleast_2d(out.T), np.atleast_2d(a.T), strict=True):
            np.take(column, self.order, out=target, mode="clip")
        return out

    def stack(self, X: Matrix, y: Vector) -> Matrix:
        """Rows of [X y] (n, p + 1), sorted; a copy, column by column contiguous."""
        out = np.empty((len(y), X.shape[1] + 1), order="F")
        for target, column in zip(out.T, (*X.T, y), strict=True):
            if self.order is None:
                target[:] = column
            else:
                np.take(column, self.order, out=target, mode="clip")
        return out

    def user_factors(self, theta: Vector) -> list[Matrix]:
        """Return a factor of each slot's relative covariance in the user's columns."""
        return [S @ T for S, T in zip(self.maps, self.layout.term_factors(theta), strict=True)]


def changed_columns(layout: Layout, theta: Vector, maps: Sequence[Matrix]) -> Vector:
    """Find θ of the coefficients S b from that of b. (m,)

    Parameters
    ----------
    theta : (m,)
    maps
        Per slot S (k, k).
    """
    out = theta.copy()
    for slot, S in zip(layout.slots, maps, strict=True):
        if not np.array_equal(S, np.eye(slot.k)):
            T = slot.structure.factor(theta[slot.parameters], slot.k)
            out[slot.parameters] = slot.structure.from_factor(S @ T)
    return out


def group_terms(
    designs: Sequence[PredictorDesign | None], root_weights: Vector | None = None
) -> GroupedTerms:
    """Gather the random terms of some predictors.

    Parameters
    ----------
    designs
        One a predictor; None has no random terms.
    root_weights : (n,) or None
        Multiply the standardised columns, as in weighted least squares.
    """
    members = _by_factor(designs)
    first = members[0][0][2] if members else None
    order = None if first is None else sort_rows(first.codes, first.n_levels)
    gathered = GroupedTerms((), (), (), Layout((), ()), (), (), (), order)
    root = None if root_weights is None else gathered.take(root_weights)
    slots: list[Slot] = []
    maps: list[Matrix] = []
    groupings: list[Grouping] = []
    columns: list[tuple[Strip, ...]] = []
    owners: list[tuple[int, ...]] = []
    roots: list[Matrix | None] = []
    n_theta = 0
    for g, terms in enumerate(members):
        strips: list[Strip] = []
        owner: list[int] = []
        relation = terms[0][2].relation
        copies = 1 if relation is None else relation.root.shape[1]
        for d, _, term in terms:
            kind = structure(term.structure, term.coordinates)
            start = order_of(strips)
            slot = Slot(g, start * copies, term.k, kind, n_theta, copies)
            own, S = _strips(term, start, kind.mixing, gathered, root)
            maps.append(S)
            slots.append(slot)
            strips += own
            owner += [d] * len(own)
            n_theta += kind.n_parameters(term.k)
        _, _, term = terms[0]
        groupings.append(grouping(gathered.take(term.codes), term.n_levels))
        columns.append(tuple(strips))
        owners.append(tuple(owner))
        roots.append(None if relation is None else relation.root)
    return GroupedTerms(
        groupings=tuple(groupings),
        columns=tuple(columns),
        predictors=tuple(owners),
        layout=Layout(
            tuple(slots),
            tuple(
                order_of(c) * (1 if R is None else R.shape[1])
                for c, R in zip(columns, roots, strict=True)
            ),
        ),
        terms=tuple((d, i) for terms in members for d, i, _ in terms),
        maps=tuple(maps),
        roots=tuple(roots),
        order=order,
    )


def _by_factor(
    designs: Sequence[PredictorDesign | None],
) -> list[list[tuple[int, int, RandomTerm]]]:
    """(predictor, position, term) by grouping factor, most levels first, related ones last."""
    found: dict[tuple[bool, str], list[tuple[int, int, RandomTerm]]] = {}
    for d, design in enumerate(designs):
        for i, term in enumerate(() if design is None else design.random):
            found.setdefault((term.relation is not None, term.group), []).append((d, i, term))
    by_size = sorted(found, key=lambda key: (key[0], -found[key][0][2].n_levels))
    return [found[key] for key in by_size]


def _strips(
    term: RandomTerm, start: int, mixing: str, gathered: GroupedTerms, root: Vector | None
) -> tuple[list[Strip], Matrix]:
    """Columns of a term in standardised coordinates, and the way back S (k, k)."""
    if term.positions is None:
        z, S = _standardise(gathered.take(term.z), mixing)
        z = z if root is None else z * root[:, None]
        return [Strip(x, start + a) for a, x in enumerate(z.T)], S
    ones = np.ones(len(term.codes)) if root is None else root
    codes = gathered.take(term.positions.codes)
    return [Strip(ones, start, codes, term.k)], np.eye(term.k)


def _standardise(z: Matrix, mixing: str) -> tuple[Matrix, Matrix]:
    """Columns z S of unit size, orthonormal where the structure allows it."""
    columns, S = standardise_columns(z, None, centre=mixing == "linear")
    if mixing == "none":
        size = np.sqrt(float((z**2).mean())) or 1.0
        return np.asfortranarray(z / size), np.eye(z.shape[1]) / size
    if mixing == "linear" and z.shape[1] > 1:
        R, info = linalg.lapack.dpotrf(columns.T @ columns / len(z))
        if info == 0 and condition(R, lower=False) < 1e5:
            columns = linalg.blas.dtrsm(1.0, R, columns, side=1)
            S = solve_triangular(R, S.T, lower=False, transpose=True).T
    return columns, S
