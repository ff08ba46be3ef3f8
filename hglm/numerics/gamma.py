"""Log-gamma differences with derivatives, as functions of a log argument.

Count and proportion families need log Γ(y + k) - log Γ(k) and its derivatives in
log k for k from 0 to infinity, where the two terms are each huge and their
difference, once y log k is taken off, tends to zero. Both functions here split
off Stirling's elementary part,

    log Γ(x) = (x - 1/2) log x - x + log(2π)/2 + s(x),

combine the elementary parts on paper, and leave only the small remainder s to
be subtracted. s comes from its asymptotic series for x ≥ 8 and from the
recurrence Γ(x + 1) = x Γ(x) below; one pass gives all orders, several times
faster than separate polygamma functions.

References
----------
Abramowitz, M. and Stegun, I. A. (1964). Handbook of Mathematical Functions,
6.1.40-41, 6.3.18, 6.4.11 (asymptotic series), 6.3.6, 6.4.6 (recurrences).
"""

from __future__ import annotations

import numpy as np
from scipy import special

from hglm.numerics.special import LARGEST_EXPONENT
from hglm.typing import Vector

__all__ = ["log_rising", "stirling"]

_SHIFT = 8
_HALF_LOG_2PI = float(0.5 * np.log(2.0 * np.pi))


def stirling(kappa: Vector, order: int) -> tuple[Vector, ...]:
    """Stirling's remainder s(exp(κ)) and derivatives in κ.

    For κ → -∞ it is -κ/2 - log(2π)/2, used below κ = -230.
    """
    inside = np.clip(kappa, -LARGEST_EXPONENT, LARGEST_EXPONENT)
    x = np.exp(inside)
    value, *slopes = _remainder(x, order)
    value = value - 0.5 * np.minimum(kappa - inside, 0.0)
    return (value, *_in_log_argument(x, slopes))


def log_rising(kappa: Vector, y: Vector, order: int) -> tuple[Vector, ...]:
    """log Γ(y + k) - log Γ(k) - y log k, k = exp(κ), with derivatives in κ.

    For integer y this is Σ_{m<y} log(1 + m/k). It tends to 0 for k → ∞ and to
    (1 - y) κ + log Γ(y) for k → 0 and y > 0.
    """
    inside = np.clip(kappa, -LARGEST_EXPONENT, LARGEST_EXPONENT)
    k = np.exp(inside)
    z = y + k
    u = y / k
    short = _log1p_minus(u)  # log(1 + u) - u
    upper, lower = _remainder(z, order), _remainder(k, order)
    gap = [a - b for a, b in zip(upper, lower, strict=True)]
    # log(z/k) (z - 1/2) - y, written without its leading terms when u is small
    leading = np.where(u < 1.0, k * ((1.0 + u) * short + u * u), z * np.log1p(u) - y)
    below = np.minimum(kappa - inside, 0.0)
    value = leading - 0.5 * np.log1p(u) + gap[0] + below * np.where(y > 0.0, 1.0 - y, 0.0)
    slopes: list[Vector] = []
    if order >= 1:
        slopes.append(short + 0.5 * u / z + gap[1])
    if order >= 2:
        slopes.append(u * u / z - 0.5 * u * (z + k) / (k * z * z) + gap[2])
    if order >= 3:
        r = k / z
        middle = u * (1.0 + r + r * r) / (k * k * z)
        slopes.append(-u * u * (2.0 * z + k) / (k * z * z) + middle + gap[3])
    return (value, *_in_log_argument(k, slopes))


def _in_log_argument(x: Vector, slopes: list[Vector]) -> list[Vector]:
    """Turn derivatives in x into derivatives in log x."""
    if not slopes:
        return []
    first = x * slopes[0]
    if len(slopes) == 1:
        return [first]
    second = x * x * slopes[1]
    if len(slopes) == 2:
        return [first, second + first]
    return [first, second + first, x * x * x * slopes[2] + 3.0 * second + first]


def _log1p_minus(u: Vector) -> Vector:
    """log(1 + u) - u for u ≥ 0, without cancellation for small u.

    With r = u/(2 + u), log(1 + u) = 2 artanh(r), so the difference is
    -u r + 2 r³ (1/3 + r²/5 + ...).
    """
    r = np.minimum(u, 0.3) / (2.0 + np.minimum(u, 0.3))
    r2 = r * r
    total = np.full_like(r2, 1.0 / 17.0)
    for denominator in (15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0):
        total = total * r2 + 1.0 / denominator
    return np.where(u < 0.3, -u * r + 2.0 * r * r2 * total, np.log1p(u) - u)


def _remainder(x: Vector, order: int) -> list[Vector]:
    """Stirling's remainder s and its derivatives in x > 0."""
    small = x < _SHIFT
    if not small.any():
        return _asymptotic(x, order)
    if small.all():
        pairs = zip(_asymptotic(x + _SHIFT, order), _recurrence(x, order), strict=True)
        return [far + step for far, step in pairs]
    found = _asymptotic(np.where(small, x + _SHIFT, x), order)
    for total, step in zip(found, _recurrence(x[small], order), strict=True):
        total[small] += step
    return found


def _series(order: int) -> Vector:
    """Coefficients of x^(1-order) Σ_k c_k x^(-2k), the series of s^(order)."""
    k = np.arange(1, 10)
    power = 1 - 2 * k
    coefficients = special.bernoulli(18)[2::2] / (2 * k * (2 * k - 1))
    for _ in range(order):
        coefficients = coefficients * power
        power = power - 1
    return np.asarray(coefficients)


_SERIES = tuple(_series(order) for order in range(4))


def _asymptotic(x: Vector, order: int) -> list[Vector]:
    """Asymptotic series of s and derivatives, x ≥ 8."""
    r = 1.0 / x
    r2 = r * r
    scale = r
    found = []
    for coefficients in _SERIES[: order + 1]:
        total = np.full_like(r2, coefficients[-1])
        for c in coefficients[-2::-1]:
            total = total * r2 + c
        found.append(total * scale)
        scale = scale * r
    return found


def _recurrence(x: Vector, order: int) -> list[Vector]:
    """Differences s(x) - s(x + 8) and those of the derivatives.

    They are those of Stirling's elementary part less log Π (x + i), i = 0 ... 7.
    With v = x² + 7x the product is v (v + 6)(v + 10)(v + 12), so four
    reciprocals serve all orders.
    """
    z, v, v1 = x + _SHIFT, x * (x + 7.0), 2.0 * x + 7.0
    factors = (v, v + 6.0, v + 10.0, v + 12.0)
    log_x, log_z = np.log(x), np.log(z)
    log_product = np.log(factors[0] * factors[1] * factors[2] * factors[3])
    found = [(z - 0.5) * log_z - (x - 0.5) * log_x - _SHIFT - log_product]
    if order == 0:
        return found
    r, q = 1.0 / x, 1.0 / z
    inverses = [1.0 / factor for factor in factors]
    first = sum(inverses)
    found.append(log_z - log_x - 0.5 * (q - r) - v1 * first)
    if order >= 2:
        squares = [i * i for i in inverses]
        second = sum(squares)
        found.append(q - r + 0.5 * (q * q - r * r) + v1 * v1 * second - 2.0 * first)
    if order >= 3:
        third = sum(i * j for i, j in zip(inverses, squares, strict=True))
        elementary = r * r * (1.0 + r) - q * q * (1.0 + q)
        found.append(elementary + 6.0 * v1 * second - 2.0 * v1 * v1 * v1 * third)
    return found
