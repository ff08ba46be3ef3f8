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

from hglm.numerics.grouping import Grouping, grouping, parents
from hglm.typing import AnyArray, Codes, Matrix

__all__ = ["Cells", "CrossedCells", "Gramian", "NestedCells", "gramian", "level_products"]


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
        return np.arange(self.values.shape[2])

    @property
    def shape(self) -> tuple[int, int]:
        """(q_t, q_s)"""
        return self.parent.n_levels, self.values.shape[2]

    def apply(self, b: Matrix) -> Matrix:
        """Z_t'Z_s b: (c, k_s, q_s) -> (c, k_t, q_t)."""
        return self.parent.sum_last(batched_apply(self.values, b))

    def apply_transpose(self, b: Matrix) -> Matrix:
        """Z_s'Z_t b: (c, k_t, q_t) -> (c, k_s, q_s)."""
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

    def _component(self, a: int, b: int) -> sparse.csr_array:
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


def gramian(groupings: Sequence[Grouping], columns: Sequence[Matrix]) -> Gramian:
    """Form Z'Z from the rows.

    Parameters
    ----------
    groupings
        One a group, largest number of levels first.
    columns
        Per group z (n, k), columns contiguous.
    """
    diagonal = tuple(_diagonal(g, z) for g, z in zip(groupings, columns, strict=True))
    cells = {
        (t, s): _cells(groupings[t], columns[t], groupings[s], columns[s])
        for t in range(len(groupings))
        for s in range(t)
    }
    return Gramian(diagonal, cells)


def level_products(g: Grouping, z: Matrix, dense: Matrix) -> Matrix:
    """C'Z for a few dense columns C.

    Parameters
    ----------
    z : (n, k)
    dense : (n, c)

    Returns
    -------
    (c, k, q)
    """
    c, k, n = dense.shape[1], z.shape[1], z.shape[0]
    out = np.empty((c, k, g.n_levels))
    if g.starts is None and c > 4:  # one sparse product beats c passes over unsorted codes
        rows = np.ascontiguousarray(dense)
        for a in range(k):
            indicator = sparse.csr_array((z[:, a], g.codes, np.arange(n + 1)), (n, g.n_levels))
            out[:, a] = (indicator.T @ rows).T
        return out
    for a in range(k):
        for i in range(c):
            out[i, a] = g.sum(z[:, a] * dense[:, i])
    return out


def batched_apply(a: Matrix, b: Matrix) -> Matrix:
    """A_j b_j for every level: (i, k, q) times (c, k, q) is (c, i, q)."""
    out: Matrix = a[None, :, 0] * b[:, None, 0]
    for m in range(1, a.shape[1]):
        out += a[None, :, m] * b[:, None, m]
    return out


def _diagonal(g: Grouping, z: Matrix) -> Matrix:
    k = z.shape[1]
    out = np.empty((k, k, g.n_levels))
    for a in range(k):
        for b in range(a + 1):
            out[a, b] = out[b, a] = g.sum(z[:, a] * z[:, b])
    return out


def _cells(outer: Grouping, z_outer: Matrix, inner: Grouping, z_inner: Matrix) -> Cells:
    k_t, k_s = z_outer.shape[1], z_inner.shape[1]
    parent = parents(inner, outer)
    if parent is not None:
        values = np.empty((k_t, k_s, inner.n_levels))
        for a in range(k_t):
            for b in range(k_s):
                values[a, b] = inner.sum(z_outer[:, a] * z_inner[:, b])
        return NestedCells(grouping(parent, outer.n_levels), values)
    meet = [
        [_meeting(outer, inner, z_outer[:, a] * z_inner[:, b]) for b in range(k_s)]
        for a in range(k_t)
    ]
    pattern = meet[0][0]
    values = np.array([[m.data for m in row] for row in meet])
    return CrossedCells(pattern.indptr, pattern.indices, values, pattern.shape)


def _meeting(outer: Grouping, inner: Grouping, products: Matrix) -> sparse.csr_array:
    """Sum the products (n,) over the rows of each pair of levels that meet."""
    pairs = (outer.codes, inner.codes)
    out = sparse.coo_array((products, pairs), (outer.n_levels, inner.n_levels)).tocsr()
    out.sum_duplicates()
    return out
