"""Eliminate a group that is nested in every group that remains.

Let Z_0 belong to the group, T be the k × k factor of its relative covariance
and V_0 = I + Z_0 (I ⊗ TT') Z_0'. Level by level, on unscaled quantities, so
that a singular T needs no special case:

    K_j = T'A_jT + I,   W_j = T K_j^-1 T',   log|V_0| = Σ_j log|K_j|
    Z_r'V_0^-1Z_s = Z_r'Z_s - Σ_j E_rj W_j E_sj',     E_rj = Z_r'Z_0 at level j

A level of the group meets one level of each other group, so nothing fills in:
the reduced problem has the pattern of the old one with one group less, and a
chain of such steps treats one factor, and any depth of nesting, in O(q).
The backward step gives, from the posterior covariance Q of the remaining
random effects (relative to σ²) on that same pattern, the blocks needed for the
gradient:

    B_j = Σ_rs E_rj'Q_rs E_sj,      [Z_0'V^-1Z_0]_jj = A - AWA - (I-AW) B (I-WA)
    Q_jj = W + WBW,                 Q_rj = -Σ_s Q_rs E_sj W

Equations: Searle, Casella & McCulloch (1992), Variance Components, app. M, for
the inverse of I + ZDZ'; the recursion is block Gaussian elimination.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hglm.numerics.batched import congruence, inverse_logdet, matmul
from hglm.numerics.gramian import Cells, CrossedCells, Gramian, NestedCells, batched_apply
from hglm.numerics.grouping import Grouping, grouping
from hglm.typing import Codes, Matrix

__all__ = ["NestedPlan", "NestedStep", "eliminate", "plan_step"]


@dataclass(frozen=True, slots=True)
class NestedPlan:
    """Where the levels of group 0 fall in the blocks that remain."""

    index: Mapping[tuple[int, int], Grouping]
    """(t, s), t > s > 0: level of group 0 -> position in `cells[t, s]`."""


def plan_step(z: Gramian) -> NestedPlan | None:
    """Plan the elimination of group 0, or None where it is not nested in all others."""
    others = range(1, len(z.diagonal))
    if not all(isinstance(z.cells[r, 0], NestedCells) for r in others):
        return None
    index = {
        (t, s): _position(z.cells[t, s], z.cells[t, 0].rows, z.cells[s, 0].rows)
        for t in others
        for s in range(1, t)
    }
    return NestedPlan(index)


@dataclass(frozen=True, slots=True)
class NestedStep:
    """One elimination: everything later calls need of it."""

    A: Matrix
    """(k, k, q)"""
    W: Matrix
    """(k, k, q)"""
    logdet: float
    E: tuple[NestedCells, ...]
    """Products with the remaining groups."""
    EW: tuple[Matrix, ...]
    """E_r W per remaining group, (k_r, k, q)."""

    def reduce(self, rhs: Sequence[Matrix]) -> list[Matrix]:
        """Z_r'V_0^-1 y for the remaining groups, from Z'y of all groups."""
        return [
            r - cells.with_values(ew).apply(rhs[0])
            for r, cells, ew in zip(rhs[1:], self.E, self.EW, strict=True)
        ]

    def back_substitute(self, rhs: Matrix, b: Sequence[Matrix]) -> Matrix:
        """Mode of group 0 given those of the others. (c, k, q)"""
        for cells, b_r in zip(self.E, b, strict=True):
            rhs = rhs - cells.apply_transpose(b_r)
        return batched_apply(self.W, rhs)

    def backward(
        self, plan: NestedPlan, diagonal: Sequence[Matrix], cells: Mapping[tuple[int, int], Matrix]
    ) -> tuple[Matrix, Matrix, list[Matrix]]:
        """Blocks of the inverse from those of the remaining groups.

        Parameters
        ----------
        plan
            Positions of the levels.
        diagonal
            Q_tt of the remaining groups, (k_t, k_t, q_t).
        cells
            Q_ts on the pattern of the remaining cells, keys as in `plan`.

        Returns
        -------
        M : (k, k)
            Σ_j [Z_0'V^-1Z_0]_jj.
        Q : (k, k, q)
            Posterior covariance of group 0.
        Q_r : list of (k_r, k, q)
            Its cross blocks with the remaining groups.
        """
        AW = matmul(self.A, self.W)
        M = self.A.sum(axis=2) - matmul(AW, self.A).sum(axis=2)
        if not self.E:
            return M, self.W, []
        U = np.eye(self.A.shape[0])[:, :, None] - AW
        Y = [
            _gathered_product(q, e.parent, e.values) for q, e in zip(diagonal, self.E, strict=True)
        ]  # Σ_s Q_rs E_s
        for (t, s), where in plan.index.items():
            q_ts = cells[t, s]
            Y[t - 1] += _gathered_product(q_ts, where, self.E[s - 1].values)
            Y[s - 1] += _gathered_product(q_ts.swapaxes(0, 1), where, self.E[t - 1].values)
        B = np.sum(
            [matmul(e.values.swapaxes(0, 1), y) for e, y in zip(self.E, Y, strict=True)], axis=0
        )
        M = M - matmul(matmul(U, B), U.swapaxes(0, 1)).sum(axis=2)
        Q = self.W + matmul(matmul(self.W, B), self.W)
        return M, Q, [-matmul(y, self.W) for y in Y]


def eliminate(z: Gramian, T: Matrix, plan: NestedPlan) -> tuple[NestedStep, Gramian]:
    """Eliminate group 0.

    Parameters
    ----------
    z
        All groups that are left.
    T : (k, k)
        Relative covariance factor of group 0 (may be singular or complex).
    plan
        From `plan_step`.
    """
    A = z.diagonal[0]
    K = congruence(T.T, A)
    K[np.arange(len(T)), np.arange(len(T))] += 1.0
    inverse, logdet = inverse_logdet(K)
    W = congruence(T, inverse)
    E = tuple(_nested(z.cells[r, 0]) for r in range(1, len(z.diagonal)))
    EW = tuple(matmul(e.values, W) for e in E)
    diagonal = tuple(
        d - _summed_product(e.parent, ew, e.values)
        for d, e, ew in zip(z.diagonal[1:], E, EW, strict=True)
    )
    cells: dict[tuple[int, int], Cells] = {}
    for (t, s), where in plan.index.items():
        old = z.cells[t, s]
        fill = _summed_product(where, EW[t - 1], E[s - 1].values)
        cells[t - 1, s - 1] = old.with_values(old.values - fill)
    return NestedStep(A, W, logdet.sum(), E, EW), Gramian(diagonal, cells)


def _nested(cells: Cells) -> NestedCells:
    assert isinstance(cells, NestedCells)  # or there would be no plan
    return cells


def _summed_product(parent: Grouping, left: Matrix, right: Matrix) -> Matrix:
    """Σ_j left_j right_j' over the levels j of each parent: (a, k, q), (b, k, q) to (a, b, q_p).

    With one parent that is a single product of matrices, and no array (a, b, q) is formed.
    """
    if parent.n_levels == 1:
        return np.tensordot(left, right, ((1, 2), (1, 2)))[:, :, None]
    return parent.sum_last(matmul(left, right.swapaxes(0, 1)))


def _gathered_product(outer: Matrix, parent: Grouping, right: Matrix) -> Matrix:
    """Product of each level's parent and its own: (a, b, q_p), (b, k, q) to (a, k, q)."""
    if parent.n_levels == 1:
        return np.tensordot(outer[:, :, 0], right, (1, 0))
    return matmul(outer[:, :, parent.codes], right)


def _position(cells: Cells, rows: Codes, cols: Codes) -> Grouping:
    """Where each pair (rows, cols) of levels stands in `cells`."""
    if isinstance(cells, CrossedCells):
        width = cells.shape[1]
        keys = cells.rows * width + cells.cols
        return grouping(np.searchsorted(keys, rows * width + cols), len(keys))
    return grouping(cols, cells.shape[1])
