"""Which columns of a matrix do not depend on the columns before them.

R and lme4 drop a column whose residual, after regression on the columns kept
before it, is smaller than 1e-7 of the column. Taken literally that drops a
year counted in nanoseconds: with an intercept only the variation about the
mean counts. So the measure here is the variation: a column is kept when its
residual exceeds ``TOLERANCE`` times its length about its mean, and what
rounding could make of it.

The usual answer, "all of them", is found from the cross-product of the
centred, scaled columns in one pass without a copy. Only when that is nearly
singular is an orthogonal factor formed (Householder), whose small triangle R
has the same dependencies as X, and each column of R is made orthogonal to
those kept (Gram-Schmidt, twice; Giraud, Langou & Rozložník 2005,
doi:10.1016/j.camwa.2005.08.009).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hglm.typing import Codes, Matrix, Vector

__all__ = ["independent_columns"]

TOLERANCE = 1e-7
"""Smallest residual of a kept column, relative to its variation (lme4's)."""

ROUNDING = 1e-13
"""Residual, relative to the column itself, that rounding alone can make."""

_SAFE_PIVOT = 1e-8  # squared residual that the cross-product surely gets right
_ROWS = 16384  # a block of rows stays in the cache


class _Standardised(NamedTuple):
    """How to centre and scale the columns: ``(X - shift) / scale``."""

    shift: Vector  # (p,) zero where there is no intercept
    scale: Vector  # (p,) one where the column is nothing but rounding
    threshold: Vector  # (p,) smallest residual of a kept column, so scaled


def independent_columns(X: Matrix, weights: Vector | None = None) -> Codes:
    """Find the columns that do not depend linearly on earlier ones.

    Parameters
    ----------
    X : (n, p)
    weights : (n,), optional
        Weights of the rows, not negative. Rows of weight zero do not count.

    Returns
    -------
    kept : (rank,)
        Positions of the columns to keep, ascending.

    Examples
    --------
    >>> x = np.arange(6.0)
    >>> independent_columns(np.column_stack([np.ones(6), x, 2 * x - 3, x**2]))
    array([0, 1, 3])
    """
    n, p = X.shape
    if p == 0:
        return np.arange(0)
    root = None if weights is None else np.sqrt(weights)
    how = _standardise(X, weights)
    if p <= n and _clearly_independent(X, root, how):
        return np.arange(p)
    scaled = (X - how.shift) / how.scale
    if root is not None:
        scaled *= root[:, None]
    triangle = np.asarray(np.linalg.qr(scaled, mode="r"))  # (min(n, p), p)
    return _independent_of_earlier(triangle, how.threshold)


def _standardise(X: Matrix, weights: Vector | None) -> _Standardised:
    """Lengths of the columns, about their means if the first is constant."""
    mean = X.mean(axis=0) if weights is None else np.average(X, axis=0, weights=weights)
    length = np.zeros((2, X.shape[1]))  # about the mean, and about zero
    for start in range(0, X.shape[0], _ROWS):
        rows = slice(start, start + _ROWS)
        w = 1.0 if weights is None else weights[rows, None]
        block = X[rows]
        length[1] += np.sum(w * block**2, axis=0)
        length[0] += np.sum(w * (block - mean) ** 2, axis=0)
    variation, size = np.sqrt(length)
    constant = variation <= ROUNDING * size
    centred = bool(constant[0]) and size[0] > 0
    shift = np.where(np.arange(X.shape[1]) > 0, mean, 0.0) * centred
    scale = np.where(shift != 0, variation, size) if centred else size
    threshold = np.maximum(TOLERANCE * variation, ROUNDING * size)
    scale = np.where(scale > 0, scale, 1.0)
    return _Standardised(shift, scale, threshold / scale)


def _clearly_independent(X: Matrix, root: Vector | None, how: _Standardised) -> bool:
    """Whether the cross-product of the scaled columns is far from singular."""
    p = X.shape[1]
    gram = np.zeros((p, p))
    for start in range(0, X.shape[0], _ROWS):
        rows = slice(start, start + _ROWS)
        block = (X[rows] - how.shift) / how.scale
        if root is not None:
            block *= root[rows, None]
        gram += block.T @ block
    try:
        pivots = np.diag(np.linalg.cholesky(gram)) ** 2
    except np.linalg.LinAlgError:
        return False
    return bool(np.all(pivots > np.maximum(_SAFE_PIVOT, 4 * how.threshold**2)))


def _independent_of_earlier(triangle: Matrix, threshold: Vector) -> Codes:
    basis = np.empty((triangle.shape[0], 0))
    kept = []
    for j, column in enumerate(triangle.T):
        residual = column.copy()
        for _ in range(2):
            residual -= basis @ (basis.T @ residual)
        length = float(np.linalg.norm(residual))
        if length > threshold[j]:
            kept.append(j)
            basis = np.column_stack([basis, residual / length])
    return np.array(kept, dtype=np.intp)
