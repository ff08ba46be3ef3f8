"""Blocks of several groups as sparse matrices, for products in one call.

One group, "main", is kept by levels; all others are laid out one after the other
(`hglm.numerics.stacking`), which makes N columns. E stands for the k_0 components of
their products with the main group, A22 for the products among them. Symmetric
products are formed strip by strip, on and below the diagonal only, and contracted on
their pattern, so that no index of pairs is ever built.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import sparse

from hglm.numerics.gramian import Gramian
from hglm.numerics.stacking import (
    across_places,
    across_values,
    among_places,
    among_values,
    widths,
)
from hglm.typing import AnyArray, Codes, Matrix, Vector

__all__ = ["Flat", "FlatPattern", "flat_pattern"]

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
class FlatPattern:
    """Compressed rows of E and A22."""

    main: int
    rest: tuple[int, ...]
    E: sparse.csr_array
    """(N, q_0) pattern shared by the components; its data are positions among the cells."""
    A22: sparse.csr_array
    """(N, N) likewise."""
    strips: tuple[Strip, ...]
    """E cut by rows, so that symmetric products are formed by halves."""

    def fill(self, z: Gramian) -> Flat:
        """Lay out the values of the cells."""
        data = across_values(z, self.main, self.rest)[:, self.E.data]
        own = among_values(z, self.rest)[self.A22.data]
        return Flat(self, data, _with_data(self.A22, own))

    def product_fill(self) -> float:
        """Part of EE' that is not zero."""
        ones = _with_data(self.E, np.ones(self.E.nnz))
        return float((ones @ ones.T).nnz / self.E.shape[0] ** 2)


@dataclass(frozen=True, slots=True)
class Flat:
    """Products of the main group with the rest, and of the rest, as sparse matrices."""

    pattern: FlatPattern
    data: Matrix
    """(k_0, nnz) of E by components."""
    A22: sparse.csr_array
    """(N, N)"""

    def multiply(self, x: Matrix) -> Matrix:
        """Σ_a E_a x_a. (c, k_0, q_0) to (N, c)"""
        parts = [E @ np.ascontiguousarray(x[:, a].T) for a, E in enumerate(self._components())]
        return np.asarray(sum(parts[1:], start=parts[0]))

    def multiply_transpose(self, v: Matrix) -> Matrix:
        """E_a'v. (N, c) to (c, k_0, q_0)"""
        return np.stack([(E.T @ v).T for E in self._components()], axis=1)

    def sparse_schur(self, W: Matrix) -> sparse.csr_array:
        """S^ = A22 - Σ_ab E_a W_ab E_b'. (N, N)"""
        out = self.A22
        left = self._matrices(self._times(W))
        for a, b in zip(left, self._components(), strict=True):
            out = out - a @ b.T
        return sparse.csr_array(out)

    def schur(self, W: Matrix) -> Matrix:
        """S^ as a full matrix. (N, N)"""
        n = self.pattern.E.shape[0]
        S = np.zeros((n, n), order="F")
        for rows, columns, block in self._lower_products(self._times(W), self.data):
            S[rows, columns] = -block.toarray()
        row = np.repeat(np.arange(n), np.diff(self.A22.indptr))
        lower = row >= self.A22.indices
        S[row[lower], self.A22.indices[lower]] += self.A22.data[lower]
        mirror(S)
        return S

    def main_trace(self, Q: Matrix, U: Matrix) -> Matrix:
        """Σ_j U_j E_j'QE_j U_j' for symmetric Q (N, N). (k_0, k_0)"""
        F = self._times(U.swapaxes(0, 1))
        k = len(F)
        out = np.empty((k, k))
        for c in range(k):
            for d in range(c + 1):
                out[c, d] = out[d, c] = self._contract(Q, F[c : c + 1], F[d : d + 1])
        return out

    def sampled(self, Q: Matrix, W: Matrix) -> tuple[Matrix, Matrix]:
        """E_j'QE_j (k_0, k_0, q_0), and the cells of QEW (k_0, m) in their order."""
        k, levels = len(self.data), self.pattern.E.indices
        QE = self._sampled_product(Q)
        B = np.empty((k, k, self.pattern.E.shape[1]))
        for a in range(k):
            for b in range(k):
                B[a, b] = np.bincount(levels, self.data[a] * QE[b], B.shape[2])
        cells = np.empty_like(self.data)
        cells[:, self.pattern.E.data] = np.einsum("bm,bcm->cm", QE, W[:, :, levels])
        return B, cells

    def _contract(self, Q: Matrix, left: Matrix, right: Matrix) -> float:
        """<Q, L R'> for symmetric Q, from blocks on and below the diagonal."""
        total = 0.0
        same = left is right or np.array_equal(left, right)
        for rows, columns, block in self._lower_products(left, right):
            term = _inner(block, Q[rows, columns])
            total += term if rows == columns else (2.0 * term if same else term)
        if not same:
            for rows, columns, block in self._lower_products(right, left):
                if rows != columns:
                    total += _inner(block, Q[rows, columns])
        return total

    def _lower_products(self, left: Matrix, right: Matrix) -> Iterator[Block]:
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
        E, strips = self.pattern.E, self.pattern.strips
        transposes = [[_transpose(strip, row) for row in right] for strip in strips]
        for i, strip in enumerate(strips):
            height = strip.rows.stop - strip.rows.start
            parts = [
                sparse.csr_array(
                    (row[strip.entries], E.indices[strip.entries], strip.indptr),
                    (height, E.shape[1]),
                )
                for row in left
            ]
            for j in range(i + 1):
                products = [a @ b for a, b in zip(parts, transposes[j], strict=True)]
                yield strip.rows, strips[j].rows, sum(products[1:], start=products[0])

    def _times(self, W: Matrix) -> Matrix:
        """Entries of Σ_b E_b W_ba by components. (k_0, nnz)"""
        levels = self.pattern.E.indices
        if len(self.data) == 1:
            return np.asarray(self.data * W[0, 0, levels])
        return np.asarray(np.einsum("bm,bam->am", self.data, W[:, :, levels]))

    def _sampled_product(self, Q: Matrix, block: int = 512) -> Matrix:
        """Q E_b on the pattern of E, Q (N, N) symmetric. (k_0, nnz)"""
        out = np.empty_like(self.data)
        indptr, indices = self.pattern.E.indptr, self.pattern.E.indices
        for b, E in enumerate(self._components()):
            for i in range(0, E.shape[0], block):
                j = min(i + block, E.shape[0])
                rows = np.repeat(np.arange(j - i), np.diff(indptr[i : j + 1]))
                where = slice(indptr[i], indptr[j])
                out[b, where] = (E.T @ Q[:, i:j])[indices[where], rows]
        return out

    def _components(self) -> list[sparse.csr_array]:
        """E by components. Each (N, q_0)."""
        return self._matrices(self.data)

    def _matrices(self, data: Matrix) -> list[sparse.csr_array]:
        """Sparse matrices with entries (k, nnz) in the pattern of E. Each (N, q_0)."""
        return [_with_data(self.pattern.E, row) for row in data]


def flat_pattern(z: Gramian, main: int, rest: Sequence[int]) -> FlatPattern:
    """Lay out the pattern of z."""
    order = sum(widths(z, rest))
    E = _numbered(across_places(z, main, rest), (order, z.sizes[main]))
    A22 = _numbered(among_places(z, rest), (order, order))
    return FlatPattern(main, tuple(rest), E, A22, _strips(E))


def mirror(a: Matrix, block: int = 256) -> None:
    """Copy the lower triangle to the upper, in place."""
    n = a.shape[0]
    for i in range(0, n, block):
        j = min(i + block, n)
        corner = np.tril(a[i:j, i:j])
        a[i:j, i:j] = corner + np.tril(corner, -1).T
        a[i:j, j:] = a[j:, i:j].T


def _numbered(places: tuple[Codes, Codes], shape: tuple[int, int]) -> sparse.csr_array:
    """Compressed rows with the positions of the entries as data."""
    return sparse.coo_array((np.arange(len(places[0])), places), shape).tocsr()


def _with_data(pattern: sparse.csr_array, data: Vector) -> sparse.csr_array:
    return sparse.csr_array((data, pattern.indices, pattern.indptr), pattern.shape)


def _transpose(strip: Strip, row: Vector) -> sparse.csr_array:
    """R_a' of a strip. (q_0, rows)"""
    return _with_data(strip.transposed, row[strip.entries][strip.transposed.data])


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


def _inner(product: sparse.csr_array, Q: Matrix) -> float:
    """Σ_rc product[r, c] Q[r, c]."""
    rows = np.repeat(np.arange(product.shape[0]), np.diff(product.indptr))
    return float(product.data @ Q[rows, product.indices])
