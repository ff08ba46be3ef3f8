"""Random effects by rows, for weights that change from step to step.

A generalised model needs Z'WZ for new W at every step. What does not change is
found once: where each row's pair of levels stands in the blocks of Z'Z, and the
products of the columns. Columns may belong to different linear predictors
(mean, dispersion, zero inflation, ...): W then has one weight for each pair of
predictors, and two random terms on the same factor share a group, whichever
predictor they stand in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hglm.numerics.gramian import Cells, CrossedCells, Gramian, NestedCells
from hglm.numerics.grouping import Grouping, grouping, parents, sort_rows
from hglm.typing import Codes, Matrix, Vector

__all__ = ["CellRows", "RowPattern", "row_pattern"]

Weights = Mapping[tuple[int, int], Vector]
"""Predictors d ≤ e -> (n,) weights W_de; pairs that are absent are zero."""


@dataclass(frozen=True, slots=True)
class CellRows:
    """Rows to the pairs of levels of two groups."""

    rows: Grouping
    """Row -> cell."""
    pattern: Cells
    """The cells, values unused."""


@dataclass(frozen=True, slots=True)
class RowPattern:
    """Z by rows."""

    groupings: tuple[Grouping, ...]
    columns: tuple[tuple[Vector, ...], ...]
    """Per group its k columns, (n,) each."""
    predictors: tuple[tuple[int, ...], ...]
    """Per group the predictor to which each column belongs."""
    products: tuple[Mapping[tuple[int, int], Vector], ...]
    """Per group z_a z_b for a ≤ b."""
    cells: Mapping[tuple[int, int], CellRows]
    """For every pair of groups t > s."""

    def gramian(self, weights: Weights) -> Gramian:
        """Z'WZ by levels."""
        diagonal = []
        for g, products, owner in zip(self.groupings, self.products, self.predictors, strict=True):
            block = np.zeros((len(owner), len(owner), g.n_levels))
            for (a, b), zz in products.items():
                w = weights.get(_pair(owner[a], owner[b]))
                if w is not None:
                    block[a, b] = g.sum(w * zz)
                    block[b, a] = block[a, b]
            diagonal.append(block)
        cells = {key: self._weighted_cells(key, weights) for key in self.cells}
        return Gramian(tuple(diagonal), cells)

    def _weighted_cells(self, key: tuple[int, int], weights: Weights) -> Cells:
        t, s = key
        where = self.cells[key]
        shape = (len(self.columns[t]), len(self.columns[s]), where.rows.n_levels)
        values = np.zeros(shape)
        for a, (z_a, d) in enumerate(zip(self.columns[t], self.predictors[t], strict=True)):
            for b, (z_b, e) in enumerate(zip(self.columns[s], self.predictors[s], strict=True)):
                w = weights.get(_pair(d, e))
                if w is not None:
                    values[a, b] = where.rows.sum(w * z_a * z_b)
        return where.pattern.with_values(values)

    def sums(self, x: Mapping[int, Vector]) -> list[Matrix]:
        """Z'x, x given per predictor. (1, k, q) per group"""
        out = []
        for g, columns, owner in zip(self.groupings, self.columns, self.predictors, strict=True):
            block = np.zeros((1, len(columns), g.n_levels))
            for a, (z, d) in enumerate(zip(columns, owner, strict=True)):
                if d in x:
                    block[0, a] = g.sum(x[d] * z)
            out.append(block)
        return out

    def apply(self, b: Sequence[Matrix], into: Mapping[int, Vector]) -> dict[int, Vector]:
        """Zb per predictor, added to `into`. b: (1, k, q) per group; (n,) per predictor"""
        out = dict(into)
        for g, columns, owner, b_g in zip(
            self.groupings, self.columns, self.predictors, b, strict=True
        ):
            for z, d, effect in zip(columns, owner, b_g[0], strict=True):
                part = spread(g, effect) * z
                out[d] = out[d] + part if d in out else part
        return out

    def variances(
        self, diagonal: Sequence[Matrix], cells: Mapping[tuple[int, int], Matrix]
    ) -> dict[tuple[int, int], Vector]:
        """[Z_d Q Z_e']_ii for d ≤ e.

        Parameters
        ----------
        diagonal
            Q of each group's levels, (k, k, q).
        cells
            Q between groups, (k_t, k_s, m) in the order of the cells.

        Returns
        -------
        dict of (n,)
            Off-diagonal pairs of predictors count once.
        """
        out: dict[tuple[int, int], Vector] = {}

        def add(d: int, e: int, value: Vector) -> None:
            key = _pair(d, e)
            out[key] = out[key] + value if key in out else value

        for g, products, owner, Q in zip(
            self.groupings, self.products, self.predictors, diagonal, strict=True
        ):
            for (a, b), zz in products.items():
                twice = 2.0 if a != b and owner[a] == owner[b] else 1.0
                add(owner[a], owner[b], spread(g, twice * Q[a, b]) * zz)
        for (t, s), where in self.cells.items():
            Q = cells[t, s]
            for a, (z_a, d) in enumerate(zip(self.columns[t], self.predictors[t], strict=True)):
                for b, (z_b, e) in enumerate(zip(self.columns[s], self.predictors[s], strict=True)):
                    twice = 2.0 if d == e else 1.0
                    add(d, e, spread(where.rows, twice * Q[a, b]) * z_a * z_b)
        return out


def row_pattern(
    groupings: Sequence[Grouping],
    columns: Sequence[Matrix],
    predictors: Sequence[Sequence[int]],
) -> RowPattern:
    """Find what stays the same whatever the weights.

    Parameters
    ----------
    groupings
        One a group, most levels first.
    columns
        Per group (n, k).
    predictors
        Per group, the predictor of each column.
    """
    split = tuple(tuple(np.ascontiguousarray(c) for c in z.T) for z in columns)
    products = tuple(
        {(a, b): z[a] * z[b] for b in range(len(z)) for a in range(b + 1)} for z in split
    )
    cells = {
        (t, s): _cell_rows(groupings[t], groupings[s])
        for t in range(len(groupings))
        for s in range(t)
    }
    owners = tuple(tuple(p) for p in predictors)
    return RowPattern(tuple(groupings), split, owners, products, cells)


def spread(g: Grouping, values: Vector) -> Vector:
    """Value of each row's level. (n_levels,) -> (n,)"""
    if g.starts is not None:
        out: Vector = np.repeat(values, np.diff(np.append(g.starts, len(g.codes))))
        return out
    return np.take(values, g.codes, mode="clip")


def _pair(d: int, e: int) -> tuple[int, int]:
    return (d, e) if d <= e else (e, d)


def _cell_rows(outer: Grouping, inner: Grouping) -> CellRows:
    empty = np.empty((0, 0, 0))
    parent = parents(inner, outer)
    if parent is not None:
        return CellRows(inner, NestedCells(grouping(parent, outer.n_levels), empty))
    indptr, cols, codes = _meeting(outer, inner)
    pattern = CrossedCells(indptr, cols, empty, (outer.n_levels, inner.n_levels))
    return CellRows(grouping(codes, len(cols)), pattern)


def _meeting(outer: Grouping, inner: Grouping) -> tuple[Codes, Codes, Codes]:
    """Pairs of levels that meet, as compressed rows, and the pair of each row of data."""
    first = sort_rows(inner.codes, inner.n_levels)  # two counting sorts, the second stable
    codes = outer.codes if first is None else outer.codes[first]
    second = sort_rows(codes, outer.n_levels)
    order = first if second is None else (second if first is None else first[second])
    order = np.arange(len(outer.codes)) if order is None else order
    rows, cols = outer.codes[order], inner.codes[order]
    new = np.empty(len(rows), dtype=bool)
    new[0] = True
    new[1:] = (rows[1:] != rows[:-1]) | (cols[1:] != cols[:-1])
    codes = np.empty(len(rows), dtype=np.intp)
    codes[order] = np.cumsum(new) - 1
    counts = np.bincount(rows[new], minlength=outer.n_levels)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    return indptr, cols[new], codes
