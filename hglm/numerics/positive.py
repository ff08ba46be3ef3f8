"""Inverses of Hessians that may be flat, or not positive, in some directions.

What a flat direction means depends on the parameter. A variance at zero is not estimated
at all, and has no variance of its own: a pseudo-inverse leaves it out. A coefficient of
which the data do not tell the size, such as the log odds of what never happened, may be
anything: its variance is not zero but as good as infinite.
"""

from __future__ import annotations

import numpy as np

from hglm.typing import Matrix

__all__ = ["covariance_of", "positive_inverse"]

FLAT = 1e-8
"""Eigenvalues of a scaled matrix this much smaller than the largest are flat (lmerTest's
figure)."""
TINY = 1e-200


def positive_inverse(H: Matrix) -> Matrix:
    """H^+ of the positive part of H, after scaling to a diagonal of ones.

    Flat directions get no variance.

    Parameters
    ----------
    H : (..., d, d)
        Symmetric.

    Returns
    -------
    (..., d, d)
        NaN where a matrix is not finite.
    """
    if not H.size:
        return H
    diagonal = _diagonal(H)
    size = np.maximum(diagonal, FLAT * diagonal.max(axis=-1, keepdims=True))
    values, vectors, scale = _scaled(H, size)
    kept = values > FLAT * values[..., -1:]
    return _inverse(np.where(kept, values, np.inf), vectors, scale)


def covariance_of(H: Matrix, n_fixed: int) -> Matrix:
    """2 H^-1, the covariance of estimates, from the Hessian H of a deviance.

    Parameters
    ----------
    H : (..., d, d)
        Symmetric.
    n_fixed
        How many of the parameters, the first ones, are coefficients: where they are flat
        they get a very large variance, and the others none.

    Returns
    -------
    (..., d, d)
        NaN where a matrix is not finite.
    """
    f = n_fixed
    others = positive_inverse(H[..., f:, f:])
    slopes = -others @ H[..., f:, :f]  # of the others' estimates in the coefficients
    fixed = _floored_inverse(H[..., :f, :f] + H[..., :f, f:] @ slopes)
    across = slopes @ fixed
    out: Matrix = 2.0 * np.concatenate(
        [
            np.concatenate([fixed, across.swapaxes(-1, -2)], axis=-1),
            np.concatenate([across, others + across @ slopes.swapaxes(-1, -2)], axis=-1),
        ],
        axis=-2,
    )
    return out


def _floored_inverse(H: Matrix) -> Matrix:
    """H^-1, flat directions being raised to the least curvature that is not flat."""
    if not H.size:
        return H
    values, vectors, scale = _scaled(H, np.abs(_diagonal(H)))
    return _inverse(np.maximum(values, FLAT * np.maximum(values[..., -1:], 1.0)), vectors, scale)


def _diagonal(H: Matrix) -> Matrix:
    """Diagonals of the matrices. (..., d)"""
    return np.diagonal(H, axis1=-2, axis2=-1)


def _scaled(H: Matrix, size: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Eigenvalues and vectors of H scaled by √size, and √size; NaN where H is not finite."""
    finite = np.asarray(np.isfinite(H).all(axis=(-2, -1), keepdims=True))
    scale = np.sqrt(np.maximum(np.where(finite[..., 0], size, np.nan), TINY))
    scaled = H / scale[..., :, None] / scale[..., None, :]
    values, vectors = np.linalg.eigh(np.where(finite, scaled, 0.0))
    return values, vectors, scale


def _inverse(values: Matrix, vectors: Matrix, scale: Matrix) -> Matrix:
    """V diag(1/values) V' scaled back."""
    half = vectors / np.sqrt(values)[..., None, :] / scale[..., :, None]
    out: Matrix = half @ half.swapaxes(-1, -2)
    return out
