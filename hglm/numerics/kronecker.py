"""L = blockdiag(T_t ⊗ I): factors of several groups, laid out component by component."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from hglm.typing import Matrix

__all__ = ["apply_blocks", "sparse_blocks"]


def apply_blocks(
    T: Sequence[Matrix], sizes: Sequence[int], x: Matrix, transpose: bool, in_place: bool
) -> Matrix:
    """Multiply by L or L'.

    Parameters
    ----------
    T, sizes
        Per group the factor (k, k) and the number of levels.
    x : (N, c)
    transpose
        Whether L' is meant.
    in_place
        Whether x may be overwritten.

    Returns
    -------
    (N, c)
    """
    out = x if in_place else np.array(x)
    start = 0
    for t, q in zip(T, sizes, strict=True):
        k = t.shape[0]
        block = out[start : start + k * q]
        if k == 1:
            block *= t[0, 0]
        else:
            axes = (0, 0) if transpose else (1, 0)
            block[:] = np.tensordot(t, block.reshape(k, q, -1), axes).reshape(block.shape)
        start += k * q
    return out


def sparse_blocks(T: Sequence[Matrix], sizes: Sequence[int]) -> sparse.csr_array:
    """Make L a sparse matrix. (N, N)"""
    blocks = [sparse.kron(t, sparse.eye_array(q)) for t, q in zip(T, sizes, strict=True)]
    return sparse.csr_array(sparse.block_diag(blocks))
