"""Natural cubic splines: the basis of a log density.

B-splines with boundary knots at the ends of x and the others at its quantiles,
projected onto the functions whose second derivative vanishes at both ends. The
null space is spanned by the trailing columns of a Householder QR, as in R's
`ns`, so that a penalty on the coefficients means the same here and there.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from hglm.typing import Matrix, Vector

__all__ = ["natural_spline"]


def natural_spline(x: Vector, df: int) -> Matrix:
    """Basis of natural cubic splines without the constant.

    Parameters
    ----------
    x : (n,)
        Increasing.
    df
        Number of columns, at least 1.

    Returns
    -------
    basis : (n, df)
    """
    inner = np.quantile(x, np.arange(1, df) / df)
    ends = np.array([x[0], x[-1]])
    knots = np.concatenate([np.full(4, x[0]), inner, np.full(4, x[-1])])
    bends = _second_derivatives(ends, knots)[:, 1:]
    Q = linalg.qr(bends.T)[0]
    out: Matrix = (_bspline(x, knots, 4)[:, 1:] @ Q)[:, 2:]
    return out


def _bspline(x: Vector, knots: Vector, order: int) -> Matrix:
    """B-splines of an order by the Cox-de Boor recursion. (n, len(knots) − order)"""
    last = int(np.searchsorted(knots, knots[-1], side="left")) - 1
    span = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, last)
    out: Matrix = np.where(span[:, None] == np.arange(knots.size - 1), 1.0, 0.0)
    for k in range(2, order + 1):
        m = knots.size - k
        left, right = knots[:m], knots[k:]
        rise = _divide(x[:, None] - left, knots[k - 1 : -1] - left)
        fall = _divide(right - x[:, None], right - knots[1 : m + 1])
        out = rise * out[:, :m] + fall * out[:, 1:]
    return out


def _second_derivatives(x: Vector, knots: Vector) -> Matrix:
    """Second derivatives of the cubic B-splines. (n, len(knots) − 4)"""
    out = _bspline(x, knots, 2)
    for order in (3, 4):
        m = out.shape[1]
        scaled = (order - 1) * _divide(out, knots[order - 1 : order - 1 + m] - knots[:m])
        out = scaled[:, :-1] - scaled[:, 1:]
    return out


def _divide(numerator: Matrix, denominator: Vector) -> Matrix:
    """Quotient that is zero where a knot is repeated."""
    safe = np.where(denominator > 0, denominator, 1.0)
    out: Matrix = np.where(denominator > 0, numerator / safe, 0.0)
    return out
