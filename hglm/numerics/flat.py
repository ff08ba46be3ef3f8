"""Blocks of several groups as sparse matrices, for products in one call.

One group, number 0 here, is kept by levels; all others are laid out one after
the other, component by component, which makes N columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import sparse

from hglm.numerics.gramian import Gramian
from hglm.typing import AnyArray, Codes, Matrix, Vector

__all__ = ["Flat", "flatten"]

MIN_STRIP, MAX_STRIPS = 384, 10
"""Rows in a strip at least, and strips at most."""
Block: TypeAlias = tuple[slice, slice, sparse.csr_array]


@dataclass(frozen=True, slots=True)
class Strip:
    """Some rows of E, with the pattern of their transpose."""

    rows: slice
    entries: slice
    """Where their entries stand in `Flat.data`."""
    indptr: AnyArray
    """(rows + 1,) of the strip by rows."""
    transposed: sparse.csr_array
    """(q_0, rows) pattern of the transpose; its data are positions within `entries`."""


@dataclass(frozen=True, slots=True)
class Flat:
    """Products of group 0 with the rest, and of the rest, as sparse matrices."""

    indptr: AnyArray
    indices: AnyArray
    """Pattern of E, N × q_0, shared by the k_0 components."""
    data: Matrix
    """(k_0, nnz)"""
    shape: tuple[int, int]
    order: Codes
    """(nnz,) position of each entry before it was sorted by rows."""
    A22: sparse.csr_array
    """(N, N)"""
    strips: tuple[Strip, ...]
    """E cut by rows, so that symmetric products are formed by halves."""

    def lower_products(self, left: Matrix, right: Matrix) -> Iterator[Block]:
        """Σ_a L_a R_a' block by block, on and below the diagonal.

        Parameters
        ----------
        left, right : (k_0, nnz)
            Entries in the pattern of E.

        Yields
        ------
        rows, columns : slice
        block : sparse
        """
        transposes = [[_transpose(strip, row) for row in right] for strip in self.strips]
        for i, strip in enumerate(self.strips):
            height = strip.rows.stop - strip.rows.start
            parts = [
                sparse.csr_array(
                    (row[strip.entries], self.indices[strip.entries], strip.indptr),
                    (height, self.shape[1]),
                )
                for row in left
            ]
            for j in range(i + 1):
                products = [a @ b for a, b in zip(parts, transposes[j], strict=True)]
                yield strip.rows, self.strips[j].rows, sum(products[1:], start=products[0])

    def weighted_data(self, weights: Matrix) -> Matrix:
        """Entries of E W by components: Σ_b E_b W_ba. (k_0, nnz)"""
        if len(self.data) == 1:
            return np.asarray(self.data * weights[0, 0, self.indices])
        w = weights[:, :, self.indices]
        return np.asarray(np.einsum("bm,bam->am", self.data, w))

    def sampled_product(self, Q: Matrix, block: int = 512) -> Matrix:
        """Q E_b on the pattern of E, Q (N, N) symmetric. (k_0, nnz)"""
        out = np.empty_like(self.data)
        for b, E in enumerate(self.components()):
            for i in range(0, self.shape[0], block):
                j = min(i + block, self.shape[0])
                rows = np.repeat(np.arange(j - i), np.diff(self.indptr[i : j + 1]))
                where = slice(self.indptr[i], self.indptr[j])
                out[b, where] = (E.T @ Q[:, i:j])[self.indices[where], rows]
        return out

    def in_cell_order(self, values: Matrix) -> Matrix:
        """Entries (k_0, nnz) back in the order in which the cells were stacked."""
        out = np.empty_like(values)
        out[:, self.order] = values
        return out

    def components(self) -> list[sparse.csr_array]:
        """E by components. Each (N, q_0)."""
        return self.matrices(self.data)

    def matrices(self, data: Matrix) -> list[sparse.csr_array]:
        """Sparse matrices with entries (k, nnz) in the pattern of E. Each (N, q_0)."""
        return [sparse.csr_array((row, self.indices, self.indptr), self.shape) for row in data]


def _transpose(strip: Strip, row: Vector) -> sparse.csr_array:
    """R_a' of a strip. (q_0, rows)"""
    pattern = strip.transposed
    data = row[strip.entries][pattern.data]
    return sparse.csr_array((data, pattern.indices, pattern.indptr), pattern.shape)


def _strips(pattern: sparse.csr_array) -> tuple[Strip, ...]:
    """Cut a pattern (N, q_0) into strips of rows."""
    n, q = pattern.shape
    height = max(MIN_STRIP, -(-n // MAX_STRIPS))
    out = []
    for start in range(0, n, height):
        stop = min(start + height, n)
        first, last = int(pattern.indptr[start]), int(pattern.indptr[stop])
        indptr = pattern.indptr[start : stop + 1] - first
        own = sparse.csr_array(
            (np.arange(last - first), pattern.indices[first:last], indptr), (stop - start, q)
        ).tocsc()
        flipped = sparse.csr_array((own.data, own.indices, own.indptr), (q, stop - start))
        out.append(Strip(slice(start, stop), slice(first, last), indptr, flipped))
    return tuple(out)


def flatten(z: Gramian, main: int, rest: Sequence[int]) -> Flat:
    """Stack the blocks with the main group, and those among the rest."""
    q0 = z.sizes[main]
    rows, cols, values = [], [], []
    start = {}
    order = 0
    for t in rest:
        start[t] = order
        k, q = z.orders[t], z.sizes[t]
        cells = z.cells[max(t, main), min(t, main)]
        flip = t < main
        for a in range(k):
            rows.append((cells.cols if flip else cells.rows) + order + a * q)
            cols.append(cells.rows if flip else cells.cols)
            values.append(cells.values[:, a] if flip else cells.values[a])  # (k0, m)
        order += k * q
    row, col = np.concatenate(rows), np.concatenate(cols)
    shape = (order, q0)
    data = np.concatenate(values, axis=1)
    pattern = sparse.coo_array((np.arange(len(row)), (row, col)), shape).tocsr()
    A22 = _flatten_rest(z, rest, start, order)
    return Flat(
        pattern.indptr,
        pattern.indices,
        data[:, pattern.data],
        shape,
        pattern.data,
        A22,
        _strips(pattern),
    )


def _flatten_rest(
    z: Gramian, rest: Sequence[int], start: dict[int, int], order: int
) -> sparse.csr_array:
    rows, cols, values = [], [], []

    def add(row: Codes, col: Codes, value: Vector) -> None:
        rows.append(row)
        cols.append(col)
        values.append(value)

    for t in rest:
        k, q = z.orders[t], z.sizes[t]
        level = np.arange(q)
        for a in range(k):
            for b in range(k):
                add(start[t] + a * q + level, start[t] + b * q + level, z.diagonal[t][a, b])
        for s in rest:
            if s >= t:
                continue
            cells = z.cells[t, s]
            for a in range(k):
                for b in range(z.orders[s]):
                    r = start[t] + a * q + cells.rows
                    c = start[s] + b * z.sizes[s] + cells.cols
                    add(r, c, cells.values[a, b])
                    add(c, r, cells.values[a, b])
    where = (np.concatenate(rows), np.concatenate(cols))
    return sparse.coo_array((np.concatenate(values), where), (order, order)).tocsr()
