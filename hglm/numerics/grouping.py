"""Sums over the rows of each level, and how two groupings lie to each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from hglm.typing import Codes, Matrix, Vector

__all__ = ["Grouping", "grouping", "parents", "sort_rows"]

PIECE = 1 << 15
"""Rows whose products are formed at a time: they stay in the cache."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """Rows to levels. Every level has at least one row."""

    codes: Codes
    """(n,) level of each row."""
    n_levels: int
    starts: Codes | None
    """(n_levels,) first row of each level if the rows are sorted, else None."""

    def sum(self, x: Vector) -> Vector:
        """Sum x (n,) over the rows of each level. (n_levels,)"""
        if self.starts is not None:
            out: Vector = np.add.reduceat(x, self.starts)
            return out
        return np.asarray(np.bincount(self.codes, x, self.n_levels), dtype=np.float64)

    def sum_products(self, x: Vector, y: Vector) -> Vector:
        """Sum x∘y (n,) over the rows of each level. (n_levels,)"""
        n = len(x)
        if self.starts is None or n <= 2 * PIECE:
            return self.sum(x * y)
        out = np.empty(self.n_levels, dtype=np.result_type(x, y))
        ends = np.append(self.starts[1:], n)
        first = 0
        while first < self.n_levels:
            begin = self.starts[first]
            last = max(first + 1, int(np.searchsorted(ends, begin + PIECE, side="right")))
            piece = slice(begin, ends[last - 1])
            levels = slice(first, last)
            np.add.reduceat(x[piece] * y[piece], self.starts[levels] - begin, out=out[levels])
            first = last
        return out

    def sum_last(self, x: Matrix) -> Matrix:
        """Sum the last axis of x (..., n) over the rows of each level. (..., n_levels)"""
        flat = x.reshape(-1, x.shape[-1])
        out = np.empty((flat.shape[0], self.n_levels), dtype=x.dtype)
        for i, row in enumerate(flat):
            if np.iscomplexobj(row) and self.starts is None:
                out[i] = self.sum(row.real) + 1j * self.sum(row.imag)
            else:
                out[i] = self.sum(row)
        return out.reshape(*x.shape[:-1], self.n_levels)


def grouping(codes: Codes, n_levels: int) -> Grouping:
    """Describe dense codes (n,) in 0 ... n_levels - 1."""
    steps = np.diff(codes)
    starts = None
    if steps.size == 0 or steps.min() >= 0:
        starts = np.concatenate([[0], np.flatnonzero(steps) + 1]).astype(np.intp)
    return Grouping(codes, n_levels, starts)


def sort_rows(codes: Codes, n_levels: int) -> Codes | None:
    """Find the stable order that sorts rows by level: a counting sort, O(n).

    Returns None where the rows are sorted already.
    """
    if codes.size < 2 or bool(np.all(codes[1:] >= codes[:-1])):
        return None
    n = codes.shape[0]
    indicator = sparse.coo_array(
        (np.ones(n, dtype=np.int8), (codes, np.arange(n))), shape=(n_levels, n)
    ).tocsr()
    return indicator.indices.astype(np.intp)


def parents(inner: Grouping, outer: Grouping) -> Codes | None:
    """Level of `outer` that holds each level of `inner`, if nested; else None."""
    if inner.n_levels < outer.n_levels:
        return None
    parent = np.empty(inner.n_levels, dtype=np.intp)
    parent[inner.codes] = outer.codes
    return parent if np.array_equal(parent[inner.codes], outer.codes) else None
