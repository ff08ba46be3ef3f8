"""Blocks of several groups as full matrices, where most pairs of levels meet.

The verbs are those of `hglm.numerics.flat`, in which the symbols are explained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hglm.numerics.gramian import Gramian
from hglm.numerics.stacking import (
    across_places,
    across_values,
    among_places,
    among_values,
    widths,
)
from hglm.typing import Codes, Matrix

__all__ = ["Full", "FullPattern", "full_pattern"]


@dataclass(frozen=True, slots=True)
class Full:
    """Products of the main group with the rest, and of the rest, as full matrices."""

    E: Matrix
    """(k_0, N, q_0)"""
    A22: Matrix
    """(N, N)"""
    places: Codes
    """(m,) where the cells stand in a component of E."""

    def multiply(self, x: Matrix) -> Matrix:
        """Σ_a E_a x_a. (c, k_0, q_0) to (N, c)"""
        return np.asarray(np.matmul(self.E, x.transpose(1, 2, 0)).sum(axis=0))

    def multiply_transpose(self, v: Matrix) -> Matrix:
        """E_a'v. (N, c) to (c, k_0, q_0)"""
        return np.asarray(np.matmul(v.T, self.E).swapaxes(0, 1))

    def schur(self, W: Matrix) -> Matrix:
        """S^ = A22 - Σ_ab E_a W_ab E_b'. (N, N)"""
        return np.asarray(self.A22 - np.matmul(self._times(W), self.E.swapaxes(1, 2)).sum(axis=0))

    def main_trace(self, Q: Matrix, U: Matrix) -> Matrix:
        """Σ_j U_j E_j'QE_j U_j' for symmetric Q (N, N). (k_0, k_0)"""
        F = self._times(U.swapaxes(0, 1))
        return np.tensordot(F, np.matmul(Q, F), ((1, 2), (1, 2)))

    def sampled(self, Q: Matrix, W: Matrix) -> tuple[Matrix, Matrix]:
        """E_j'QE_j (k_0, k_0, q_0), and the cells of QEW (k_0, m) in their order."""
        QE = np.matmul(Q, self.E)  # (k_0, N, q_0)
        B = np.einsum("anq,bnq->abq", self.E, QE)
        QEW = np.einsum("bnq,bcq->cnq", QE, W)
        return B, QEW.reshape(len(W), -1)[:, self.places]

    def _times(self, W: Matrix) -> Matrix:
        """Σ_b E_b W_ba by components. (k_0, N, q_0)"""
        if len(self.E) == 1:
            return np.asarray(self.E * W[0, 0])
        return np.asarray(np.einsum("bnq,baq->anq", self.E, W))


@dataclass(frozen=True, slots=True)
class FullPattern:
    """Where the cells stand in E and A22."""

    main: int
    rest: tuple[int, ...]
    shape: tuple[int, int]
    """(N, q_0)"""
    across: Codes
    """(m,)"""
    among: Codes

    def fill(self, z: Gramian) -> Full:
        """Lay out the values of the cells."""
        n, q0 = self.shape
        values = across_values(z, self.main, self.rest)
        E = np.zeros((len(values), n * q0))
        E[:, self.across] = values
        A22 = np.zeros(n * n)
        A22[self.among] = among_values(z, self.rest)
        return Full(E.reshape(-1, n, q0), A22.reshape(n, n), self.across)


def full_pattern(z: Gramian, main: int, rest: Sequence[int]) -> FullPattern:
    """Lay out the pattern of z; see `hglm.numerics.stacking`."""
    n, q0 = sum(widths(z, rest)), z.sizes[main]
    rows, cols = across_places(z, main, rest)
    own_rows, own_cols = among_places(z, rest)
    return FullPattern(main, tuple(rest), (n, q0), rows * q0 + cols, own_rows * n + own_cols)
