"""Small triangular matrices, straight from LAPACK.

SciPy's own functions look their arguments over for longer than a system of a few
unknowns takes, and a fit of a small model is made of such systems.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg
from scipy.linalg import lapack

from hglm.typing import Matrix

__all__ = ["condition", "solve_triangular"]


def solve_triangular(A: Matrix, rhs: Matrix, lower: bool = True, transpose: bool = False) -> Matrix:
    """Solve A x = rhs, or A'x = rhs.

    Parameters
    ----------
    A : (p, p)
        Its other triangle is not looked at.
    rhs : (p,) or (p, c)

    Raises
    ------
    LinAlgError
        If an element of the diagonal is zero.
    """
    if not rhs.size:
        return rhs
    x, info = lapack.dtrtrs(A, rhs, lower=lower, trans=transpose)
    if info != 0:
        raise linalg.LinAlgError(f"Element {info} of the diagonal is zero.")
    out: Matrix = x
    return out


def condition(A: Matrix, lower: bool = True) -> float:
    """Compute ‖A‖ ‖A^-1‖ in the 1-norm of a triangular matrix (p, p); inf if singular."""
    triangle = np.tril(A) if lower else np.triu(A)
    inverse, info = lapack.dtrtri(triangle, lower=lower)
    if info != 0:
        return float("inf")
    return float(np.abs(triangle).sum(axis=0).max() * np.abs(inverse).sum(axis=0).max())
