"""Directions in which linear inequalities leave coefficients free to grow for ever.

Rows a_i of A want a_i'd ≥ 0 where a row gains from growing, a_i'd ≤ 0 where it gains from
falling, a_i'd = 0 where it gains from neither. A direction d that gives every row what it
wants, and some more, is one of recession: a concave likelihood has no finite maximum along
it (Albert & Anderson 1984, Biometrika 71, 1-10; Geyer 2009, Electronic J. Statistics 3,
259-289). All such rows are found by one linear programme (after Konis 2007, thesis, Oxford,
section 4), over the d that satisfy the equalities:

    max Σ s_i   subject to   0 ≤ s_i ≤ 1,   s_i ≤ ±a_i'd

At the solution s_i = 1 for each row that any direction of recession separates, 0 for the
others, because directions may be added and lengthened.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from hglm.typing import BoolArray, Matrix, Vector

__all__ = ["Recession", "null_space", "recession"]

RANK = 1e-9
"""Eigenvalues of a cross-product this small beside the largest are zero."""
LONGEST = 1e5
"""Bound on d: what separates by less than 1e-5 of the rows' size does not."""


@dataclass(frozen=True, slots=True)
class Recession:
    """Where coefficients may go without end."""

    direction: Vector
    """(p,) that separates all rows that can be."""
    separated: BoolArray
    """(n,) rows with a_i'd ≠ 0."""
    basis: Matrix
    """(p, j) orthonormal, of the directions that change separated rows only: combinations
    of coefficients orthogonal to it are determined by the other rows."""


def null_space(gram: Matrix, size: float | None = None) -> Matrix:
    """Directions d with d'Gd = 0 for a cross-product G. (p, j)

    Parameters
    ----------
    gram : (p, p)
    size
        Beside which an eigenvalue is zero; the largest by default.
    """
    values, vectors = np.linalg.eigh(gram)
    top = max(float(values.max(initial=0.0)), 0.0) if size is None else size
    out: Matrix = vectors[:, values <= RANK * top]
    return out


def recession(A: Matrix, wanted: Vector) -> Recession | None:
    """Find the direction of recession, None if there is none.

    Parameters
    ----------
    A : (n, p)
        Columns of comparable size.
    wanted : (n,)
        1 for rows that gain from a_i'd > 0, -1 from a_i'd < 0, 0 from neither; NaN for
        rows to which a_i'd does not matter.
    """
    fixed = A[wanted == 0.0]
    free = null_space(fixed.T @ fixed) if len(fixed) else np.eye(A.shape[1])
    if not free.shape[1]:
        return None
    moves = np.isin(wanted, (1.0, -1.0))
    rows = (wanted[moves, None] * A[moves]) @ free  # (m, j), to be ≥ 0
    distinct = np.unique(np.round(rows, 12), axis=0)
    distinct = distinct[np.abs(distinct).max(axis=1, initial=0.0) > RANK]
    if not len(distinct):
        return None
    m, j = distinct.shape
    programme = linprog(
        np.append(np.zeros(j), -np.ones(m)),
        A_ub=np.hstack([-distinct, np.eye(m)]),
        b_ub=np.zeros(m),
        bounds=[(-LONGEST, LONGEST)] * j + [(0.0, 1.0)] * m,
        method="highs",
    )
    if programme.x is None or programme.fun is None or programme.fun > -0.5:
        return None
    z = np.asarray(programme.x[:j])
    direction = free @ z
    separated = np.zeros(len(A), dtype=bool)
    separated[moves] = rows @ z > 0.5
    others = A[~separated & ~np.isnan(wanted)]
    basis = null_space(others.T @ others) if len(others) else np.eye(A.shape[1])
    return Recession(direction / np.abs(direction).max(), separated, basis)
