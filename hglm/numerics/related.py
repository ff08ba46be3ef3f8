"""Groups whose levels are related: b = RU, U with independent rows.

The r rows of U are the same random effects for all levels, so such a group has one
level with k r columns, column a of Z times column l of R standing at a r + l.
Everything about it follows from sums over the original levels, which the data are
read for as if the levels were independent:

    Z'WZ      R'diag(A_ab)R           from the diagonal blocks A (k, k, q)
    Z_t'WZ_s  R'M_ab                  from the cells M (k_t, k_s, pairs of levels)
    Z'x       (Z'x)R,    Zb from RU

so that no matrix with a row for each observation is formed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from hglm.numerics.gramian import Cells, Gramian, NestedCells
from hglm.numerics.grouping import Grouping, grouping
from hglm.numerics.rows import RowPattern, Weights
from hglm.typing import Codes, Matrix, Vector

__all__ = [
    "RelatedRows",
    "level_blocks",
    "level_effects",
    "relate",
    "relate_sums",
    "related_rows",
    "single_level",
]

Roots = Sequence[Matrix | None]
"""Per group R (q, r), None where the levels are independent."""
CHUNK = 2**23
"""Numbers held at once."""


def single_level(n: int) -> Grouping:
    """Put n rows, or levels, into one level."""
    return grouping(np.zeros(n, dtype=np.intp), 1)


def relate(z: Gramian, roots: Roots) -> Gramian:
    """Products of the columns of U from those of the levels.

    Parameters
    ----------
    z
        Z'WZ by original levels; related groups come after all others.
    roots
        One a group.
    """
    diagonal = tuple(
        d if root is None else _between(d, np.arange(d.shape[2]), root, root)
        for d, root in zip(z.diagonal, roots, strict=True)
    )
    cells = {key: _related_cells(c, roots[key[0]], roots[key[1]]) for key, c in z.cells.items()}
    return Gramian(diagonal, cells)


def relate_sums(sums: Sequence[Matrix], roots: Roots) -> list[Matrix]:
    """Turn Z'x by original levels, (c, k, q) per group, into (c, k r, 1) for related ones."""
    return [
        x if root is None else (x @ root).reshape(len(x), -1, 1)
        for x, root in zip(sums, roots, strict=True)
    ]


def level_effects(b: Sequence[Matrix], roots: Roots) -> list[Matrix]:
    """Effects of the original levels, RU: (c, k r, 1) to (c, k, q) for related groups."""
    return [
        x if root is None else x.reshape(len(x), -1, root.shape[1]) @ root.T
        for x, root in zip(b, roots, strict=True)
    ]


def level_blocks(Q: Matrix, root: Matrix) -> Matrix:
    """Blocks of single levels, R_j Q R_j': (k r, k r, 1) to (k, k, q)."""
    r = root.shape[1]
    k = len(Q) // r
    parts = Q.reshape(k, r, k, r)
    return np.array(
        [[((root @ parts[a, :, b]) * root).sum(axis=1) for b in range(k)] for a in range(k)]
    )


@dataclass(frozen=True, slots=True)
class RelatedRows:
    """Z by rows where some groups are related; the verbs are those of `RowPattern`."""

    rows: RowPattern
    """As if all levels were independent."""
    roots: tuple[Matrix | None, ...]

    @property
    def groupings(self) -> tuple[Grouping, ...]:
        """Rows to levels; a related group has only one."""
        return tuple(
            g if root is None else single_level(len(g.codes))
            for g, root in zip(self.rows.groupings, self.roots, strict=True)
        )

    @property
    def predictors(self) -> tuple[tuple[int, ...], ...]:
        """Per group the predictor to which each strip belongs."""
        return self.rows.predictors

    def gramian(self, weights: Weights) -> Gramian:
        """Z'WZ by levels."""
        return relate(self.rows.gramian(weights), self.roots)

    def sums(self, x: Mapping[int, Vector]) -> list[Matrix]:
        """Z'x, x given per predictor. (1, k, q) per group"""
        return relate_sums(self.rows.sums(x), self.roots)

    def apply(self, b: Sequence[Matrix], into: Mapping[int, Vector]) -> dict[int, Vector]:
        """Zb per predictor, added to `into`. b: (1, k, q) per group; (n,) per predictor"""
        return self.rows.apply(level_effects(b, self.roots), into)

    def bound(self, b: Sequence[Matrix]) -> float:
        """Find a number that no element of Zb exceeds, without a pass over the rows."""
        return self.rows.bound(level_effects(b, self.roots))

    def variances(
        self, diagonal: Sequence[Matrix], cells: Mapping[tuple[int, int], Matrix]
    ) -> dict[tuple[int, int], Vector]:
        """[Z_d Q Z_e']_ii for d ≤ e, as `RowPattern.variances`."""
        blocks = [
            Q if root is None else level_blocks(Q, root)
            for Q, root in zip(diagonal, self.roots, strict=True)
        ]
        by_cell = {
            (t, s): _read_cells(Q, self.rows.cells[t, s].pattern, self.roots[t], self.roots[s])
            for (t, s), Q in cells.items()
        }
        return self.rows.variances(blocks, by_cell)


def related_rows(rows: RowPattern, roots: Roots) -> RowPattern | RelatedRows:
    """Z by rows where some groups may be related."""
    related = any(root is not None for root in roots)
    return RelatedRows(rows, tuple(roots)) if related else rows


def _between(values: Matrix, codes: Codes, left: Matrix, right: Matrix) -> Matrix:
    """Σ_c values_abc R_c'R_c for pairs of the same level. (k, k, q) to (k r, k r, 1)"""
    k, h, _ = values.shape
    out = np.empty((k, left.shape[1], h, right.shape[1]))
    for a in range(k):
        for b in range(h):
            out[a, :, b] = (left[codes] * values[a, b, :, None]).T @ right[codes]
    return out.reshape(k * left.shape[1], h * right.shape[1], 1)


def _related_cells(cells: Cells, outer: Matrix | None, inner: Matrix | None) -> Cells:
    """Cells between two groups, of which the first is related if the second is."""
    if outer is None:
        return cells
    k, h, _ = cells.values.shape
    q_t, q_s = len(outer), cells.shape[1]
    products = np.empty((k, outer.shape[1], h, q_s))
    for a in range(k):
        for b in range(h):
            where = (cells.cols, cells.rows)
            met = sparse.csr_array((cells.values[a, b], where), (q_s, q_t))
            products[a, :, b] = (met @ outer).T
    if inner is None:
        values = products.reshape(k * outer.shape[1], h, q_s)
        return NestedCells(single_level(q_s), values)
    values = (products @ inner).reshape(k * outer.shape[1], -1, 1)
    return NestedCells(single_level(1), values)


def _read_cells(Q: Matrix, cells: Cells, outer: Matrix | None, inner: Matrix | None) -> Matrix:
    """Q between pairs of original levels. (k_t, k_s, m)"""
    if outer is None:
        return Q
    rows, cols = cells.rows, cells.cols
    r = outer.shape[1]
    k = len(Q) // r
    parts = Q.reshape(k, r, -1, Q.shape[2] if inner is None else inner.shape[1])
    out = np.empty((k, parts.shape[2], len(rows)))
    step = max(1, CHUNK // (r * parts.shape[2]))
    for a in range(k):
        by_level = parts[a] if inner is None else parts[a] @ inner.T  # (r, k_s, q_s)
        for i in range(0, len(rows), step):
            here = slice(i, i + step)
            out[a, :, here] = np.einsum("ml,lbm->bm", outer[rows[here]], by_level[:, :, cols[here]])
    return out
