"""Many small symmetric matrices at once, stored as struct of arrays.

An array of shape (k, k, q) holds q matrices of order k, one a level of a
grouping factor, with the level index last and contiguous: each scalar formula
of the k × k algebra then runs over all levels in one vector operation. For
k ≤ 3 the inverse is a closed form; up to `SOA_LIMIT` a blocked elimination in
that layout; beyond it LAPACK on stacked matrices is faster. All functions
accept complex arrays (no conjugation), so that a derivative can be taken by a
complex step.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

from hglm.typing import Matrix, Vector

__all__ = [
    "cholesky",
    "congruence",
    "inverse_logdet",
    "lower_inverse",
    "matmul",
    "outer_sum",
    "symmetrise",
]

SOA_LIMIT = 8
"""Largest order for which struct-of-arrays formulas beat stacked LAPACK."""
LARGE = 64
"""Least order at which a loop over levels costs nothing."""


def matmul(a: Matrix, b: Matrix) -> Matrix:
    """Multiply matrices level by level.

    Parameters
    ----------
    a : (i, k, q)
    b : (k, j, q)

    Returns
    -------
    (i, j, q)
    """
    k = a.shape[1]
    if k > SOA_LIMIT:
        product = np.matmul(np.moveaxis(a, 2, 0), np.moveaxis(b, 2, 0))
        return np.ascontiguousarray(np.moveaxis(product, 0, 2))
    out: Matrix = a[:, 0, None, :] * b[None, 0, :, :]
    for m in range(1, k):
        out += a[:, m, None, :] * b[None, m, :, :]
    return out


def congruence(t: Matrix, a: Matrix) -> Matrix:
    """Compute T A_j T' for every level j.

    Parameters
    ----------
    t : (i, k)
    a : (k, k, q)

    Returns
    -------
    (i, i, q)
    """
    if t.shape == (1, 1):
        return np.asarray((t[0, 0] * t[0, 0]) * a)
    d = np.diagonal(t)
    if t.shape[0] == t.shape[1] and np.count_nonzero(t) == np.count_nonzero(d):
        return np.asarray(np.multiply.outer(d, d)[:, :, None] * a)
    i, k, q = len(t), *a.shape[1:]
    left = (t @ a.reshape(k, -1)).reshape(i, k, q)
    return np.asarray(np.matmul(t, left))


def inverse_logdet(a: Matrix) -> tuple[Matrix, Vector]:
    """Invert symmetric positive definite matrices.

    Parameters
    ----------
    a : (k, k, q)

    Returns
    -------
    inverse : (k, k, q)
    logdet : (q,)
        Not a number where a matrix is not positive definite.
    """
    k = a.shape[0]
    if k == 1:
        return 1.0 / a, np.log(a[0, 0])
    if k == 2:
        return _inverse_2(a)
    if k <= SOA_LIMIT:
        return _inverse_ldl(a)
    if k >= LARGE and not np.iscomplexobj(a):
        return _inverse_cholesky(a)
    stacked = np.moveaxis(a, 2, 0)
    inverse = np.linalg.inv(stacked)
    sign, logdet = np.linalg.slogdet(stacked)
    if np.iscomplexobj(a):
        logdet = logdet + np.log(sign)
    elif not _positive_definite(stacked):
        logdet = np.full(len(stacked), np.nan)
    return np.ascontiguousarray(np.moveaxis(inverse, 0, 2)), logdet


def outer_sum(x: Matrix, y: Matrix) -> Matrix:
    """Compute Σ_j x_j y_j' over levels.

    Parameters
    ----------
    x : (..., i, q)
    y : (..., j, q)
        The leading axes are summed as well.

    Returns
    -------
    (i, j)
    """
    if x.ndim == 2:
        out: Matrix = x @ y.T
    else:
        out = np.matmul(x, np.swapaxes(y, -1, -2)).sum(axis=tuple(range(x.ndim - 2)))
    return out


def symmetrise(a: Matrix) -> Matrix:
    """Return (A + A') / 2 of one matrix (k, k)."""
    out: Matrix = 0.5 * (a + a.T)
    return out


def _inverse_2(a: Matrix) -> tuple[Matrix, Vector]:
    a00, a01, a11 = a[0, 0], a[0, 1], a[1, 1]
    det = a00 * a11 - a01 * a01
    reciprocal = 1.0 / det
    out = np.empty_like(a)
    np.multiply(a11, reciprocal, out=out[0, 0])
    np.multiply(a00, reciprocal, out=out[1, 1])
    np.multiply(a01, reciprocal, out=out[0, 1])
    np.negative(out[0, 1], out=out[0, 1])
    out[1, 0] = out[0, 1]
    return out, np.log(det)


def _inverse_ldl(a: Matrix) -> tuple[Matrix, Vector]:
    """Gauss-Jordan sweeps of all pivots in turn; the pivots give the determinant.

    Sweeping k of k pivots of A leaves -A^-1 (Goodnight 1979, The American
    Statistician 33, 149-158); positive definite matrices need no pivoting.
    """
    s = a.copy()
    k = a.shape[0]
    det = np.ones_like(a[0, 0])
    logdet = np.zeros_like(a[0, 0])
    for j in range(k):
        pivot = s[j, j].copy()
        det = det * pivot
        if j % 4 == 3:  # one logarithm for four pivots; no overflow in between
            logdet = logdet + np.log(det)
            det = np.ones_like(det)
        column = s[:, j] / pivot  # (k, q)
        row = s[j].copy()  # (k, q)
        s -= column[:, None, :] * row[None, :, :]
        s[:, j] = column
        s[j] = column
        s[j, j] = -1.0 / pivot
    return -s, logdet + np.log(det)


def _inverse_cholesky(a: Matrix) -> tuple[Matrix, Vector]:
    """Invert level by level, where one matrix is work enough."""
    inverse, logdet = np.empty_like(a), np.empty(a.shape[2])
    for j in range(a.shape[2]):
        L, info = lapack.dpotrf(a[:, :, j], lower=1, clean=0)
        if info != 0:
            return np.full_like(a, np.nan), np.full(a.shape[2], np.nan)
        logdet[j] = 2.0 * np.log(np.diagonal(L)).sum()
        below = np.tril(lapack.dpotri(L, lower=1, overwrite_c=1)[0])
        inverse[:, :, j] = below + np.tril(below, -1).T
    return inverse, logdet


def _positive_definite(stacked: Matrix) -> bool:
    """Whether all of the symmetric matrices (q, k, k) are positive definite."""
    try:
        np.linalg.cholesky(stacked)
    except np.linalg.LinAlgError:
        return False
    return True


def cholesky(a: Matrix) -> Matrix:
    """Lower Cholesky factors of symmetric positive definite matrices.

    Parameters
    ----------
    a : (k, k, q)

    Returns
    -------
    (k, k, q)
    """
    k = a.shape[0]
    if k > SOA_LIMIT:
        return np.ascontiguousarray(np.moveaxis(np.linalg.cholesky(np.moveaxis(a, 2, 0)), 0, 2))
    L = np.zeros_like(a)
    for j in range(k):
        column = a[j:, j] - np.einsum("imq,mq->iq", L[j:, :j], L[j, :j])
        L[j, j] = np.sqrt(column[0])
        L[j + 1 :, j] = column[1:] / L[j, j]
    return L


def lower_inverse(L: Matrix) -> Matrix:
    """Inverses of lower triangular matrices. (k, k, q)"""
    k = L.shape[0]
    if k > SOA_LIMIT:
        return np.ascontiguousarray(np.moveaxis(np.linalg.inv(np.moveaxis(L, 2, 0)), 0, 2))
    out = np.zeros_like(L)
    for j in range(k):
        out[j, j] = 1.0 / L[j, j]
        for i in range(j + 1, k):
            out[i, j] = -np.einsum("mq,mq->q", L[i, j:i], out[j:i, j]) / L[i, i]
    return out
