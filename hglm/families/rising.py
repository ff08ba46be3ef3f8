"""Rising factorials of counts: log{k (k + 1) ... (k + y - 1)/k^y} in log k.

R(y; k) = Σ_{m<y} log(1 + m/k) is what negative and beta binomial families need at
every evaluation, with derivatives in κ = log k. For counts it need not come from
gamma functions: with t = m/(k + m),

    R = -Σ log(1 - t),  R' = -Σ t,  R'' = Σ t (1 - t),  R''' = -Σ t (1 - t)(1 - 2t),

sums that never cancel. Where k is one number they are a table over m; where it
varies, rows in descending order of y share the first n_m entries of each pass. Only
large counts go through `hglm.numerics.gamma.log_rising`.
"""

from __future__ import annotations

import numpy as np

from hglm.families.jets import Term, Univariate
from hglm.numerics.gamma import log_rising
from hglm.typing import Vector

__all__ = ["rising_of"]

_LONGEST_TABLE = 10_000
_SMALLEST_KAPPA = -60.0
_PASSES = 40
_FACTORS_PER_LOG = 8


def rising_of(y: Vector) -> Univariate:
    """Return R(y; exp κ) as a function of κ, one number or (..., n)."""
    largest = int(np.max(y, initial=0.0))
    codes = y.astype(np.intp)
    by_passes = _passes(y)

    def rising(kappa: Vector, order: int) -> tuple[Term, ...]:
        if kappa.ndim > 0:
            low = np.min(kappa, initial=0.0) < _SMALLEST_KAPPA
            return log_rising(kappa, y, order) if low else by_passes(kappa, order)
        if largest > _LONGEST_TABLE or kappa < _SMALLEST_KAPPA:
            return log_rising(kappa, y, order)
        return tuple(term[codes] for term in _table(largest, kappa, order))

    return rising


def _table(largest: int, kappa: Vector, order: int) -> list[Vector]:
    """R and derivatives for y = 0 ... largest."""
    m = np.arange(largest, dtype=np.float64)
    ratio = m * np.exp(-kappa)
    t = ratio / (1.0 + ratio)
    summands = [np.log1p(ratio), -t]
    if order >= 2:
        summands.append(t * (1.0 - t))
    if order >= 3:
        summands.append(-summands[2] * (1.0 - 2.0 * t))
    return [np.concatenate([[0.0], np.cumsum(term)]) for term in summands[: order + 1]]


def _passes(y: Vector) -> Univariate:
    """Return R for varying k: one pass for each m, over the rows with y > m."""
    descending = np.argsort(-y, kind="stable")
    back = np.empty_like(descending)
    back[descending] = np.arange(y.size)
    large = int(np.count_nonzero(y > _PASSES))
    rows = descending[large:]
    counts = y[rows]
    last = int(np.max(counts, initial=0.0))
    lengths = [int(np.count_nonzero(counts > m)) for m in range(1, last)]
    big = y[descending[:large]]

    def rising(kappa: Vector, order: int) -> tuple[Vector, ...]:
        found = _sums(kappa[..., rows], lengths, order)
        if large:
            far = log_rising(kappa[..., descending[:large]], big, order)
            found = [np.concatenate(pair, axis=-1) for pair in zip(far, found, strict=True)]
        return tuple(term[..., back] for term in found)

    return rising


def _sums(kappa: Vector, lengths: list[int], order: int) -> list[Vector]:
    """Add up R and derivatives over m = 1, 2, ...; rows in descending order of y."""
    inverse = np.exp(-kappa)
    found = [np.zeros_like(kappa) for _ in range(order + 1)]
    growth = np.ones_like(kappa)
    for m, length in enumerate(lengths, start=1):
        ratio = m * inverse[..., :length]
        whole = 1.0 + ratio
        growth[..., :length] *= whole
        if m % _FACTORS_PER_LOG == 0:
            found[0] += np.log(growth)
            growth = np.ones_like(kappa)
        if order == 0:
            continue
        t = ratio / whole
        found[1][..., :length] -= t
        if order >= 2:
            spread = t * (1.0 - t)
            found[2][..., :length] += spread
        if order >= 3:
            found[3][..., :length] -= spread * (1.0 - 2.0 * t)
    found[0] += np.log(growth)
    return found
