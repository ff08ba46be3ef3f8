"""Two functions in which conjugate marginal likelihoods are well conditioned.

A marginal likelihood of gamma functions loses all digits when the dispersion
q of the prior tends to zero, where its terms are huge and cancel. Written in

    log_rising(q, y)  = Σ_{k<y} log(1 + k q) = log Γ(1/q + y) − log Γ(1/q) + y log q
    log1p_ratio(q, u) = log(1 + q u) / q

it is smooth down to q = 0, with values 0 and u there, and so are its
derivatives in q. Small arguments use the power series (for the first, the
power sums S_j(y) = Σ_{k<y} k^j as Bernoulli polynomials, which also hold as an
asymptotic series for y that is not an integer: DLMF 5.11.8), others the closed
forms.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from hglm.typing import Matrix, Vector

__all__ = ["log1p_ratio", "log_rising"]

_TERMS = 14
_SMALL = 0.05


def _power_sum_coefficients() -> Matrix:
    """Coefficients of S_1 ... S_14 in y, row j - 1 for S_j, highest power first."""
    bernoulli = special.bernoulli(_TERMS + 1)
    rows = np.zeros((_TERMS, _TERMS + 2))
    for j in range(1, _TERMS + 1):
        for i in range(j + 1):
            rows[j - 1, _TERMS + i - j] = math.comb(j + 1, i) * bernoulli[i] / (j + 1)
    return rows


_POWER_SUMS = _power_sum_coefficients()


def log_rising(q: Vector, y: Vector) -> tuple[Vector, Vector, Vector]:
    """Compute Σ_{k<y} log(1 + k q) and its first two derivatives in q.

    Parameters
    ----------
    q : (n,)
        Non-negative.
    y : (n,)
        Non-negative, integer or not.

    Returns
    -------
    value, first, second : (n,) each
    """
    q, y = np.broadcast_arrays(np.asarray(q, dtype=float), np.asarray(y, dtype=float))
    small = q * np.maximum(y, 1.0) <= _SMALL
    out = np.zeros((3, *q.shape))
    out[:, small] = _log_rising_series(q[small], y[small])
    out[:, ~small] = _log_rising_closed(q[~small], y[~small])
    return out[0], out[1], out[2]


def _log_rising_series(q: Vector, y: Vector) -> Matrix:
    value, first, second = np.zeros_like(q), np.zeros_like(q), np.zeros_like(q)
    for j in range(_TERMS, 0, -1):
        sums = np.polyval(_POWER_SUMS[j - 1], y) * (-1.0) ** (j + 1)
        value += q**j / j * sums
        first += q ** (j - 1) * sums
        if j > 1:
            second += (j - 1) * q ** (j - 2) * sums
    return np.array([value, first, second])


def _log_rising_closed(q: Vector, y: Vector) -> Matrix:
    a = 1.0 / q
    digamma = special.digamma(a + y) - special.digamma(a) - y / a
    trigamma = special.zeta(2.0, a + y) - special.zeta(2.0, a) + y / a**2
    return np.array(
        [_log_gamma_ratio(a, y), -(a**2) * digamma, 2 * a**3 * digamma + a**4 * trigamma]
    )


def _log_gamma_ratio(a: Vector, y: Vector) -> Vector:
    """log Γ(a + y) − log Γ(a) − y log a, by Stirling's series where a is large."""
    out: Vector = special.gammaln(a + y) - special.gammaln(a) - y * np.log(a)
    large = a > 30
    a, y = a[large], y[large]
    out[large] = (a + y - 0.5) * np.log1p(y / a) - y + _stirling(a + y) - _stirling(a)
    return out


def _stirling(x: Vector) -> Vector:
    """Remainder of Stirling's formula for log Γ(x), x > 30."""
    z = 1.0 / x**2
    out: Vector = (1 / 12 - z * (1 / 360 - z * (1 / 1260 - z * (1 / 1680)))) / x
    return out


def log1p_ratio(q: float, u: Vector) -> tuple[Vector, Vector, Vector]:
    """Compute log(1 + q u) / q and its first two derivatives in q.

    Parameters
    ----------
    q
        Non-negative.
    u : (n,)
        Non-negative.

    Returns
    -------
    value, first, second : (n,) each
    """
    z = q * u
    small = z <= _SMALL
    out = np.zeros((3, *u.shape))
    j = np.arange(_TERMS)
    terms = (-z[small, None]) ** j
    out[0, small] = u[small] * (terms / (j + 1)).sum(axis=1)
    out[1, small] = -(u[small] ** 2) * (terms * (j + 1) / (j + 2)).sum(axis=1)
    out[2, small] = u[small] ** 3 * (terms * (j + 1) * (j + 2) / (j + 3)).sum(axis=1)
    if not small.all():
        v = u[~small]
        value = np.log1p(q * v) / q
        first = (v / (1 + q * v) - value) / q
        out[:, ~small] = value, first, -((v / (1 + q * v)) ** 2 + 2 * first) / q
    return out[0], out[1], out[2]
