"""Z'Z by levels: all that a linear model needs to know of the random effects.

Z stands for the random-effects columns of several grouping factors ("groups",
numbered s, t = 0, 1, ...). Two kinds of blocks make up Z'Z:

    diagonal[t]    Z_t'Z_t           k_t × k_t per level               (k, k, q)
    cells[t, s]    Z_t'Z_s, t > s    k_t × k_s per pair of levels that meet

Vectors of random-effects length are lists with one array (c, k, q) a group,
c counting right-hand sides. The same record describes what is left when a
group has been eliminated (`hglm.numerics.nested`): then it holds Z'V^-1Z for
the V of the eliminated groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from hglm.numerics.batched import SOA_LIMIT
from hglm.numerics.columns import Strip, as_strips, order_of, products
from hglm.numerics.grouping import Grouping, grouping, parents, sort_rows
from hglm.typing import AnyArray, Codes, Matrix

__all__ = [
    "Cells",
    "CrossedCells",
    "Gramian",
    "NestedCells",
    "batched_apply",
    "cell_pattern",
    "gramian",
    "level_products",
]


@dataclass(frozen=True, slots=True)
class NestedCells:
    """Products with a group s that is nested in t: one cell a level of s."""

    parent: Grouping
    """Levels of s to levels of t."""
    values: Matrix
    """(k_t, k_s, q_s)"""

    @property
    def rows(self) -> Codes:
        """(q_s,) level of t of each cell."""
        return self.parent.codes

    @property
    def cols(self) -> Codes:
        """(q_s,) level of s of each cell."""
        return np.arange(len(self.parent.codes))

    @property
    def shape(self) -> tuple[int, int]:
        """(q_t, q_s)"""
        return self.parent.n_levels, len(self.parent.codes)

    def apply(self, b: Matrix) -> Matrix:
        """Z_t'Z_s b: (c, k_s, q_s) -> (c, k_t, q_t)."""
        if self.parent.n_levels == 1:
            return np.tensordot(b, self.values, ((1, 2), (1, 2)))[:, :, None]
        return self.parent.sum_last(batched_apply(self.values, b))

    def apply_transpose(self, b: Matrix) -> Matrix:
        """Z_s'Z_t b: (c, k_t, q_t) -> (c, k_s, q_s)."""
        if self.parent.n_levels == 1:
            return np.tensordot(b[:, :, 0], self.values, (1, 0))
        return batched_apply(self.values.swapaxes(0, 1), b[:, :, self.parent.codes])

    def with_values(self, values: Matrix) -> NestedCells:
        """Keep the pattern, with other products."""
        return NestedCells(self.parent, values)


@dataclass(frozen=True, slots=True)
class CrossedCells:
    """Products of two crossed groups: compressed rows over the levels of t."""

    indptr: AnyArray
    """(q_t + 1,)"""
    cols: AnyArray
    """(m,) level of s, ascending within a row."""
    values: Matrix
    """(k_t, k_s, m)"""
    shape: tuple[int, int]
    """(q_t, q_s)"""

    @property
    def rows(self) -> Codes:
        """(m,) level of t of each cell."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))

    def apply(self, b: Matrix) -> Matrix:
        """Z_t'Z_s b: (c, k_s, q_s) -> (c, k_t, q_t)."""
        k_t, k_s, _ = self.values.shape
        out = np.zeros((b.shape[0], k_t, self.shape[0]))
        for m in range(k_s):
            right = np.ascontiguousarray(b[:, m].T)
            for a in range(k_t):
                out[:, a] += (self._component(a, m) @ right).T
        return out

    def apply_transpose(self, b: Matrix) -> Matrix:
        """Z_s'Z_t b: (c, k_t, q_t) -> (c, k_s, q_s)."""
        k_t, k_s, _ = self.values.shape
        out = np.zeros((b.shape[0], k_s, self.shape[1]))
        for a in range(k_t):
            right = np.ascontiguousarray(b[:, a].T)
            for m in range(k_s):
                out[:, m] += (self._component(a, m).T @ right).T
        return out

    def with_values(self, values: Matrix) -> CrossedCells:
        """Keep the pattern, with other products."""
        return CrossedCells(self.indptr, self.cols, values, self.shape)

    def _component(self, a: int, b: int) -> sparse.csr_array | Matrix:
        if len(self.cols) == self.shape[0] * self.shape[1]:  # all pairs of levels meet
            full: Matrix = self.values[a, b].reshape(self.shape)
            return full
        return sparse.csr_array((self.values[a, b], self.cols, self.indptr), self.shape)


Cells = NestedCells | CrossedCells


@dataclass(frozen=True, slots=True)
class Gramian:
    """Z'Z by levels; see the module."""

    diagonal: tuple[Matrix, ...]
    """Per group (k, k, q)."""
    cells: Mapping[tuple[int, int], Cells]
    """For every pair t > s."""

    @property
    def orders(self) -> tuple[int, ...]:
        """k of each group."""
        return tuple(d.shape[0] for d in self.diagonal)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of levels of each group."""
        return tuple(d.shape[2] for d in self.diagonal)

    def multiply(self, b: Sequence[Matrix | None]) -> list[Matrix]:
        """Z'Z b; None stands for a zero block."""
        if not b:  # no random effects
            return []
        given = next(x for x in b if x is not None)
        out = [
            np.zeros((given.shape[0], d.shape[0], d.shape[2])) if x is None else batched_apply(d, x)
            for d, x in zip(self.diagonal, b, strict=True)
        ]
        for (t, s), cells in self.cells.items():
            if (b_s := b[s]) is not None:
                out[t] += cells.apply(b_s)
            if (b_t := b[t]) is not None:
                out[s] += cells.apply_transpose(b_t)
        return out


def gramian(groupings: Sequence[Grouping], columns: Sequence[Matrix | Sequence[Strip]]) -> Gramian:
    """Form Z'Z from the rows.

    Parameters
    ----------
    groupings
        One a group, largest number of levels first.
    columns
        Per group z (n, k), columns contiguous, or strips.
    """
    strips = [as_strips(z) for z in columns]
    diagonal = tuple(_diagonal(g, z) for g, z in zip(groupings, strips, strict=True))
    cells = {
        (t, s): _cells(groupings[t], strips[t], groupings[s], strips[s])
        for t in range(len(groupings))
        for s in range(t)
    }
    return Gramian(diagonal, cells)


def level_products(g: Grouping, columns: Matrix | Sequence[Strip], dense: Matrix) -> Matrix:
    """C'Z for a few dense columns C.

    Parameters
    ----------
    columns
        z (n, k), or strips.
    dense : (n, c)

    Returns
    -------
    (c, k, q)
    """
    strips = as_strips(columns)
    n, c = dense.shape
    out = np.zeros((c, order_of(strips), g.n_levels))
    rows = np.ascontiguousarray(dense) if g.starts is None and c > 4 else None
    for strip in strips:
        if rows is None or strip.codes is not None:
            for block, x in zip(out, dense.T, strict=True):
                strip.add(block, g, x)
        else:  # one sparse product beats c passes over unsorted codes
            indicator = sparse.csr_array((strip.values, g.codes, np.arange(n + 1)), (n, g.n_levels))
            out[:, strip.start] = (indicator.T @ rows).T
    return out


def batched_apply(a: Matrix, b: Matrix) -> Matrix:
    """A_j b_j for every level: (i, k, q) times (c, k, q) is (c, i, q)."""
    if a.shape[1] > SOA_LIMIT:
        product = np.matmul(np.moveaxis(b, 2, 0), np.moveaxis(a, 2, 0).swapaxes(1, 2))
        return np.ascontiguousarray(np.moveaxis(product, 0, 2))
    out: Matrix = a[None, :, 0] * b[:, None, 0]
    for m in range(1, a.shape[1]):
        out += a[None, :, m] * b[:, None, m]
    return out


def cell_pattern(outer: Grouping, inner: Grouping) -> tuple[Grouping, Cells]:
    """Find the pairs of levels that meet: rows of the data to cells, and the empty cells."""
    empty = np.empty((0, 0, 0))
    parent = parents(inner, outer)
    if parent is not None:
        return inner, NestedCells(grouping(parent, outer.n_levels), empty)
    indptr, cols, codes = _meeting(outer, inner)
    pattern = CrossedCells(indptr, cols, empty, (outer.n_levels, inner.n_levels))
    return grouping(codes, len(cols)), pattern


def _diagonal(g: Grouping, strips: Sequence[Strip]) -> Matrix:
    k = order_of(strips)
    out = np.zeros((k, k, g.n_levels))
    for b, right in enumerate(strips):
        for left in strips[: b + 1]:
            places = products(g, left, right)
            places.add(out, left.values, right.values)
            if left is not right:
                out[places.cols, places.rows] = out[places.rows, places.cols].swapaxes(0, 1)
    return out


def _cells(
    outer: Grouping, left: Sequence[Strip], inner: Grouping, right: Sequence[Strip]
) -> Cells:
    rows, pattern = cell_pattern(outer, inner)
    values = np.zeros((order_of(left), order_of(right), rows.n_levels))
    for a in left:
        for b in right:
            products(rows, a, b).add(values, a.values, b.values)
    return pattern.with_values(values)


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
