"""Coordinates in which the arithmetic is well conditioned.

Fixed effects: columns are centred on the constant column (where there is one)
and scaled, then orthonormalised, and the response is made residual, before any
cross-product is taken. An offset of 1e9 in the response or of 1e6 standard
deviations in a predictor then costs no digits. The maps back to the user's
coordinates are exact linear algebra on p × p matrices.

Orthonormalisation is Cholesky QR applied twice (Yamamoto et al. 2015, ETNA 44,
306-326): two passes of matrix products, orthogonal to machine precision as
long as the scaled columns have a condition number below 1e7; Householder QR
beyond.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from hglm.numerics.triangular import condition, solve_triangular
from hglm.typing import Matrix, Vector

__all__ = ["Orthogonalised", "orthogonalise", "standardise_columns"]


@dataclass(frozen=True, slots=True)
class Orthogonalised:
    """√w∘[X y] = [Q e] in orthonormal coordinates.

    √w∘y = Q γ + e with Q'e = 0;  X = Q R on weighted rows;  β = to_beta γ + shift.
    """

    gamma: Vector
    """(p,) coefficients of the (shifted) response on Q."""
    to_beta: Matrix
    """(p, p) R^-1."""
    shift: Vector
    """(p,) added to β: the part of the response removed beforehand."""
    logdet_R: float
    """log |R|, so that log |X'WX| = 2 log |R|."""


def orthogonalise(rows: Matrix, root_weights: Vector | None) -> Orthogonalised:
    """Orthonormalise the weighted columns of X and remove them from y.

    All is done in place: beside the data these are the largest arrays of a fit.

    Parameters
    ----------
    rows : (n, p + 1)
        [X y], X of full column rank, column by column contiguous. Overwritten by [Q e].
    root_weights : (n,) or None
        Square roots of the row weights.
    """
    columns, y = rows[:, :-1], rows[:, -1]
    p = columns.shape[1]
    weights = None if root_weights is None else root_weights**2
    shift = np.zeros(p)
    constant = constant_column(columns)
    if constant is not None:
        mean = float(np.average(y, weights=weights))
        y -= mean
        shift[constant] = mean / columns[0, constant]
    T = _standardise(columns, weights, constant)
    if root_weights is not None:
        rows *= root_weights[:, None]
    R = _orthonormalise(columns)
    gamma = _project_out(columns, y)
    gamma += _project_out(columns, y)  # "twice is enough" (Parlett 1980, p. 107)
    to_beta = T @ solve_triangular(R, np.eye(p), lower=False)
    logdet = float(np.log(np.abs(np.diagonal(R))).sum() - np.linalg.slogdet(T)[1])
    return Orthogonalised(gamma, to_beta, shift, logdet)


def standardise_columns(
    X: Matrix, weights: Vector | None, centre: bool = True
) -> tuple[Matrix, Matrix]:
    """Centre (on a constant column) and scale to unit mean square.

    Parameters
    ----------
    X : (n, p)
    weights : (n,) or None
        Row weights for means.
    centre
        Whether columns may be mixed with the constant one.

    Returns
    -------
    columns : (n, p)
        X T, column by column contiguous.
    T : (p, p)
    """
    columns = np.array(X, dtype=np.float64, order="F")
    return columns, _standardise(columns, weights, constant_column(X) if centre else None)


def constant_column(X: Matrix) -> int | None:
    """Position of the first constant, non-zero column of X (n, p)."""
    for j in range(X.shape[1]):
        x = X[:, j]
        if x.size and x[0] != 0 and x[0] == x[-1] and np.all(x == x[0]):
            return j
    return None


def _standardise(columns: Matrix, weights: Vector | None, constant: int | None) -> Matrix:
    """T (p, p) of `standardise_columns`, which is done in place."""
    n, p = columns.shape
    T = np.eye(p)
    level = 1.0 if constant is None else columns[0, constant]
    for j in range(p):
        x = columns[:, j]
        if constant is not None and j != constant:
            mean = float(x.mean() if weights is None else np.average(x, weights=weights))
            x -= mean
            T[constant, j] = -mean / level
        size = np.sqrt(float(x @ x) / max(n, 1))
        size = size if size > 0 else 1.0
        x /= size
        T[:, j] /= size
    return T


def _orthonormalise(A: Matrix) -> Matrix:
    """R (p, p) upper of A = QR, where Q (n, p) takes the place of A."""
    p = A.shape[1]
    R = np.eye(p)
    for _ in range(2 if p else 0):
        try:
            step = np.asarray(np.linalg.cholesky(A.T @ A).T, dtype=np.float64)
        except linalg.LinAlgError:
            step = None
        if step is None or condition(step, lower=False) > 1e7:
            A[:], last = linalg.qr(A, mode="economic")
            return np.asarray(last @ R)
        A[:] = linalg.blas.dtrsm(1.0, step, A, side=1, overwrite_b=True)
        R = step @ R
    return R


def _project_out(Q: Matrix, y: Vector) -> Vector:
    """Q'y (p,), of which y keeps nothing."""
    gamma: Vector = Q.T @ y
    y -= Q @ gamma
    return gamma
