"""Elementary functions with their first three derivatives, stable everywhere.

Each takes `(x, order)` and returns the tuple (f, f', ..., f^(order)). What can
overflow is capped at exp(230) = 1e100, so that products of three such terms are
still finite: a linear predictor that far out is a failed step to be shortened,
and needs a finite, hopeless log density rather than inf - inf.

References
----------
Mächler, M. (2012). Accurately computing log(1 - exp(-|a|)). R package Rmpfr.
Small, C. G. (2010). Expansions and Asymptotics for Statistics, ch. 3 (Mills' ratio).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special

from hglm.typing import Vector

__all__ = [
    "LARGEST_EXPONENT",
    "capped",
    "exp",
    "expm1",
    "log",
    "log1mexp",
    "log1p",
    "log_cauchit",
    "log_cloglog",
    "log_ndtr",
    "log_sigmoid",
    "log_softplus",
    "reciprocal",
    "sigmoid",
    "softplus",
    "square",
]

LARGEST_EXPONENT = 230.0
"""Arguments of exp are capped here: exp(230) = 1e100."""

_LOG_2 = float(np.log(2.0))
_SQRT_2 = float(np.sqrt(2.0))
_SQRT_2_OVER_PI = float(np.sqrt(2.0 / np.pi))


def exp(x: Vector, order: int) -> tuple[Vector, ...]:
    """Exponential, capped at 1e100."""
    return (np.exp(np.minimum(x, LARGEST_EXPONENT)),) * (order + 1)


def expm1(x: Vector, order: int) -> tuple[Vector, ...]:
    """exp(x) - 1, capped at 1e100."""
    value = np.expm1(np.minimum(x, LARGEST_EXPONENT))
    return (value, *(value + 1.0,) * order)


def capped(limit: float) -> Callable[[Vector, int], tuple[Vector | float, ...]]:
    """Return the function min(x, limit): beyond it x counts as infinite."""

    def cap(x: Vector, order: int) -> tuple[Vector | float, ...]:
        return (np.minimum(x, limit), np.where(x < limit, 1.0, 0.0), 0.0, 0.0)[: order + 1]

    return cap


def log(x: Vector, order: int) -> tuple[Vector, ...]:
    """Logarithm; nan where x is not positive."""
    inside = np.where(x > 0.0, x, np.nan)
    return _reciprocal_powers(np.log(inside), 1.0 / inside, order)


def log1p(x: Vector, order: int) -> tuple[Vector, ...]:
    """log(1 + x); nan where x <= -1."""
    inside = np.where(x > -1.0, x, np.nan)
    return _reciprocal_powers(np.log1p(inside), 1.0 / (1.0 + inside), order)


def _reciprocal_powers(value: Vector, r: Vector, order: int) -> tuple[Vector, ...]:
    """Return a logarithm's value with r = 1/x, -r², 2r³, -6r⁴, ..."""
    found = [value, r]
    for k in range(1, order):
        found.append(found[-1] * (-k * r))
    return tuple(found[: order + 1])


def reciprocal(x: Vector, order: int) -> tuple[Vector, ...]:
    """1 / x; nan at zero."""
    r = 1.0 / np.where(x != 0.0, x, np.nan)
    return _reciprocal_powers(r, r, order + 1)[1:]


def square(x: Vector, order: int) -> tuple[Vector | float, ...]:
    """x²."""
    return (x * x, 2.0 * x, 2.0, 0.0)[: order + 1]


def softplus(x: Vector, order: int) -> tuple[Vector, ...]:
    """log(1 + exp(x))."""
    t = np.exp(-np.abs(x))
    value = np.maximum(x, 0.0) + np.log1p(t)
    return (value,) if order == 0 else (value, *_sigmoid(x, t, order - 1))


def log_sigmoid(x: Vector, order: int) -> tuple[Vector, ...]:
    """log(1 / (1 + exp(-x))), the logarithm of a logit probability."""
    value, *rest = softplus(-x, order)
    return (-value, *(d if k % 2 == 0 else -d for k, d in enumerate(rest)))


def log_softplus(x: Vector, order: int) -> tuple[Vector, ...]:
    """log log(1 + exp(x)); x for x → -∞, log x for x → ∞.

    With p the sigmoid and c = 1 - p - f' the derivatives are f' = p / log(1 + exp x),
    the next two f' c and f' {c² - p(1 - p) - f' c}. In t = exp(x) → 0,
    c = -t/2 + 7t²/12 - 5t³/8 + ..., used where the definition cancels.
    """
    soft, *rest = softplus(np.maximum(x, _FAR_LEFT), min(order, 2))
    value = np.where(x < _FAR_LEFT, x, np.log(soft))
    if order == 0:
        return (value,)
    slope = np.where(x < _FAR_LEFT, 1.0, rest[0] / soft)
    if order == 1:
        return value, slope
    t = np.exp(np.minimum(x, 0.0))
    series = t * (-0.5 + t * (7.0 / 12.0 - t * (5.0 / 8.0)))
    c = np.where(x < _NEAR_LEFT, series, 1.0 - rest[0] - slope)
    drop = np.where(x < _FAR_LEFT, t, rest[1])
    return (value, slope, slope * c, slope * (c * c - drop - slope * c))[: order + 1]


_FAR_LEFT = -40.0
_NEAR_LEFT = -9.0


def sigmoid(x: Vector, order: int) -> tuple[Vector, ...]:
    """1 / (1 + exp(-x))."""
    return _sigmoid(x, np.exp(-np.abs(x)), order)


def _sigmoid(x: Vector, t: Vector, order: int) -> tuple[Vector, ...]:
    """Sigmoid and derivatives, given t = exp(-|x|)."""
    inverse = 1.0 / (1.0 + t)
    small = t * inverse
    p = np.where(x >= 0.0, inverse, small)
    if order == 0:
        return (p,)
    p1 = small * inverse
    if order == 1:
        return p, p1
    skew = 1.0 - 2.0 * p
    return (p, p1, p1 * skew, p1 * (skew * skew - 2.0 * p1))[: order + 1]


def log1mexp(x: Vector, order: int) -> tuple[Vector, ...]:
    """log(1 - exp(x)) for x < 0; nan elsewhere."""
    inside = np.where(x < 0.0, x, np.nan)
    near = np.log(-np.expm1(np.maximum(inside, -_LOG_2)))
    value = np.where(inside > -_LOG_2, near, np.log1p(-np.exp(np.minimum(inside, -_LOG_2))))
    if order == 0:
        return (value,)
    a = 1.0 / np.expm1(np.minimum(-inside, 3.0 * LARGEST_EXPONENT))
    b = a * (1.0 + a)
    return (value, -a, -b, -b * (1.0 + 2.0 * a))[: order + 1]


def log_ndtr(x: Vector, order: int) -> tuple[Vector, ...]:
    """Logarithm of the standard normal distribution function.

    With E = erfcx(|x|/√2) and g = exp(-x²/2) the smaller tail is E g/2, so one scaled
    error function gives the value on both sides and r = φ/Φ, in the left tail without
    underflow. With δ = x + r the derivatives are r, -rδ and r{δ(δ + r) - 1}; δ and the
    brace cancel for x → -∞, where they come from the series of Mills' ratio.
    """
    scaled = special.erfcx(np.abs(x) / _SQRT_2)
    exponent = -0.5 * x * x
    density = np.exp(exponent)
    tail = 0.5 * scaled * density
    left = x < 0.0
    value = np.where(left, np.log(0.5 * scaled) + exponent, np.log1p(-tail))
    if order == 0:
        return (value,)
    r = _SQRT_2_OVER_PI * np.where(left, 1.0, 0.5 * density) / np.where(left, scaled, 1.0 - tail)
    if order == 1:
        return value, r
    delta = x + r
    brace = delta * (delta + r) - 1.0
    far = x < _TAIL
    if far.any():
        s = 1.0 / np.square(x[far])
        delta[far] = -_polynomial(_MILLS_DELTA, s) * s * x[far]
        brace[far] = _polynomial(_MILLS_BRACE, s) * s
    return (value, r, -r * delta, r * brace)[: order + 1]


# For t = -x → ∞: r - t = t Σ_k d_k t^(-2k), k ≥ 1 (Small 2010, sec. 3.4), and the
# brace as Σ_k e_k t^(-2k) by multiplying series; both truncated where their terms
# are below 1e-16 at t = 12.
_TAIL = -12.0


def _mills_series(terms: int) -> tuple[Vector, Vector]:
    """Coefficients of δ/t and of δ(δ + r) - 1, from s = 1/t² on."""
    mills = np.ones(terms + 2)  # t M(t) = Σ (-1)^k (2k-1)!! s^k
    for k in range(1, terms + 2):
        mills[k] = -mills[k - 1] * (2 * k - 1)
    ratio = np.zeros(terms + 2)  # r/t = 1 / (t M(t))
    ratio[0] = 1.0
    for k in range(1, terms + 2):
        ratio[k] = -np.dot(mills[1 : k + 1], ratio[k - 1 :: -1])
    delta = ratio.copy()
    delta[0] = 0.0  # δ = r - t
    product = np.convolve(delta, delta + ratio)[: terms + 2]  # δ(δ + r) s
    return delta[1 : terms + 1], product[2 : terms + 2]


_MILLS_DELTA, _MILLS_BRACE = _mills_series(16)


def _polynomial(coefficients: Vector, s: Vector) -> Vector:
    """Evaluate Σ_k c_k s^k by Horner's rule."""
    total = np.full_like(s, coefficients[-1])
    for c in coefficients[-2::-1]:
        total = total * s + c
    return total


def log_cloglog(x: Vector, order: int) -> tuple[Vector, ...]:
    """log{1 - exp(-exp(x))}, the logarithm of a complementary log-log probability.

    With v = exp(x) and b = v/(exp(v) - 1) the first derivative is b and the
    second b c, c = 1 - v - b; c is -v/2 - v²/12 + ... for small v.
    """
    v = np.exp(np.minimum(x, LARGEST_EXPONENT))
    capped = np.minimum(v, 3.0 * LARGEST_EXPONENT)
    near = x + _log_mean_decay(np.minimum(v, 0.7))
    value = np.where(x < -0.5, near, np.log1p(-np.exp(-np.maximum(v, 0.5))))
    if order == 0:
        return (value,)
    b = np.where(v < 1e-20, 1.0, capped / np.expm1(np.maximum(capped, 1e-20)))
    if order == 1:
        return value, b
    small = np.minimum(v, 0.5)
    c = np.where(v < 0.5, -small * _polynomial(_BERNOULLI, small), 1.0 - v - b)
    return (value, b, b * c, b * (c * c - v - b * c))[: order + 1]


# v/(e^v - 1) = 1 - v/2 + Σ B_2k v^2k/(2k)!; hence c/(-v) = 1/2 + v/12 - v³/720 + ...
_BERNOULLI = np.zeros(14)
_BERNOULLI[0] = 0.5
_BERNOULLI[1::2] = special.bernoulli(14)[2::2] / special.factorial(np.arange(2, 15, 2))


def _log_mean_decay(v: Vector) -> Vector:
    """log{(1 - exp(-v)) / v}, 0 at v = 0."""
    safe = np.maximum(v, 1e-8)
    return np.where(v < 1e-8, -0.5 * v, np.log(-np.expm1(-safe) / safe))


def log_cauchit(x: Vector, order: int) -> tuple[Vector, ...]:
    """log{1/2 + arctan(x)/π}, the logarithm of a Cauchy probability."""
    p = np.arctan2(1.0, -x) / np.pi
    value = np.log(p)
    if order == 0:
        return (value,)
    decay = 1.0 / (1.0 + x * x)
    r = decay / (np.pi * p)
    lean = 2.0 * x * decay  # r' = -r (lean + r)
    lean1 = 2.0 * decay - lean * lean
    pull = lean + r
    return (value, r, -r * pull, r * (pull * pull - lean1 + r * pull))[: order + 1]
