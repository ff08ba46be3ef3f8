"""Normalising constant of the Conway-Maxwell-Poisson distribution.

    C(a, ν) = log Σ_{j≥0} exp(j a - ν log j!)

and its partial derivatives of any order, which are the joint cumulants of j and
-log j!: the logarithm of their moment generating function, taken as a jet. Terms
fall off from their mode α = exp(a/ν) at a known rate, so a window about it holds
all that matters. Where α and να are large the asymptotic expansion

    C = να - (ν - 1)/2 log(2πα) - (log ν)/2 + Σ_k l_k (να)⁻ᵏ

is used, with l_1 = (ν² - 1)/24, l_2 = (ν² - 1)/48, l_3 = (ν² - 1)(161 - 9ν²)/5760, the
logarithm of the series of Gaunt et al. (2019), theorem 1.

References
----------
Gaunt, R. E., Iyengar, S., Olde Daalhuis, A. B. and Simsek, B. (2019). Annals of the
Institute of Statistical Mathematics 71, 163-180.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from hglm.families.jets import Index, Jet, Wanted, indices
from hglm.families.terms import blocks_of_terms
from hglm.numerics import special
from hglm.typing import Matrix, Vector

__all__ = ["normalizer", "rate_of_mean"]

_LARGE = 1000.0
_DROP = 40.0
_LOG_2PI = float(np.log(2.0 * np.pi))
_STEPS = 60


def normalizer(a: Vector, nu: Vector, wanted: Wanted) -> dict[Index, Vector]:
    """Return C and its partial derivatives in a (0) and ν (1), (n,) each."""
    found = {index: np.zeros(a.size) for index in indices(wanted)}
    log_mode = a / nu
    distant = (log_mode + np.log(nu) > np.log(_LARGE)) & (log_mode > np.log(100.0 * nu))
    far, near = np.flatnonzero(distant), np.flatnonzero(~distant)
    if far.size:
        expansion = _expansion(a[far], nu[far], wanted)
        for index, whole in found.items():
            whole[far] = expansion[index]
    low, high = _windows(a[near], nu[near])
    for block, j in blocks_of_terms(low, high):
        rows = near[block]
        for index, term in _sums(a[rows], nu[rows], j, wanted).terms.items():
            found[index][rows] = term
    return found


def rate_of_mean(log_mu: Vector, nu: Vector) -> Vector:
    """Solve ∂C/∂a = μ for a, (n,), by Newton's method in log μ within brackets.

    It starts from the first terms of the expansion, α = μ + 1/2 - 1/(2ν), or where
    that is less from the geometric (ν → 0) or Poisson rate.
    """
    mode = np.exp(log_mu) + 0.5 - 0.5 / nu
    least = np.where(nu < 1.0, special.log_sigmoid(log_mu, 0)[0], np.minimum(log_mu, 0.0))
    a = np.where(mode > 0.0, np.maximum(nu * np.log(np.maximum(mode, 1e-300)), least), least)
    low, high = np.full_like(a, -1e300), np.full_like(a, 1e300)
    active = np.arange(a.size)
    for _ in range(_STEPS):
        if active.size == 0:
            break
        here = a[active]
        partials = normalizer(here, nu[active], Wanted(2))
        gap = np.log(partials[0,]) - log_mu[active]
        low[active] = np.where(gap < 0.0, here, low[active])
        high[active] = np.where(gap > 0.0, here, high[active])
        reach = 1.0 + 0.5 * np.abs(here)
        step = np.clip(-gap * partials[0,] / partials[0, 0], -reach, reach)
        moved = here + step
        outside = (moved <= low[active]) | (moved >= high[active])
        a[active] = np.where(outside, 0.5 * (low[active] + high[active]), moved)
        settled = (np.abs(gap) < 1e-14) | (np.abs(step) < 4e-16 * np.abs(here))
        a[active[settled]] = here[settled]
        active = active[~settled]
    return a


def _expansion(a: Vector, nu: Vector, wanted: Wanted) -> Jet:
    """Return C by its asymptotic expansion."""
    at, shape = Jet.variable(0, a, wanted), Jet.variable(1, nu, wanted)
    log_mode = at * shape.apply(special.reciprocal)
    scale = log_mode.apply(special.exp) * shape
    fall = scale.apply(special.reciprocal)
    square = shape * shape
    bend = square - 1.0
    third = (square * -9.0 + 161.0) * fall * fall * (1.0 / 5760.0)
    tail = bend * fall * (fall * (1.0 / 48.0) + third + 1.0 / 24.0)
    lead = (shape - 1.0) * (log_mode + _LOG_2PI) + shape.apply(special.log)
    return scale - lead * 0.5 + tail


def _windows(a: Vector, nu: Vector) -> tuple[Vector, Vector]:
    """Return first and last j whose terms are within exp(-40) of the largest."""
    mode = np.floor(np.exp(a / nu))
    peak = _log_term(a, nu, mode)
    spread = 7.0 * np.sqrt((mode + 1.0) / nu) + 15.0
    geometric = _DROP / np.maximum(-a, 1e-300) + 1.0  # terms are below exp(j a)
    low = np.maximum(mode - spread, 0.0)
    high = mode + np.where(a < 0.0, np.minimum(spread, geometric), spread)
    while True:
        short = peak - _log_term(a, nu, high) < _DROP
        long = (peak - _log_term(a, nu, low) < _DROP) & (low > 0.0)
        if not (short.any() or long.any()):
            return np.floor(low), np.ceil(high)
        high = np.where(short, mode + 1.4 * (high - mode), high)
        low = np.where(long, np.maximum(mode - 1.4 * (mode - low), 0.0), low)


def _log_term(a: Vector, nu: Vector, j: Vector) -> Vector:
    return np.asarray(j * a - nu * gammaln(j + 1.0))


def _sums(a: Vector, nu: Vector, j: Vector, wanted: Wanted) -> Jet:
    """Return C and cumulants of rows (m,) over terms j (J,)."""
    log_factorial = gammaln(j + 1.0)
    g = a[:, None] * j - nu[:, None] * log_factorial
    first = np.argmax(g, axis=1)[:, None]
    peak = np.take_along_axis(g, first, axis=1)
    weights = np.exp(g - peak)
    np.put_along_axis(weights, first, 0.0, axis=1)
    rest = np.sum(weights, axis=1)  # without the largest: C may be tiny
    np.put_along_axis(weights, first, 1.0, axis=1)
    weights /= (1.0 + rest)[:, None]
    means = weights @ j, -(weights @ log_factorial)
    centred = j - means[0][:, None], -log_factorial - means[1][:, None]
    moments: dict[Index, Vector] = {(): np.ones_like(a)}
    powers: dict[Index, Matrix] = {(): weights}
    for index in indices(wanted)[1:]:
        powers[index] = powers[index[:-1]] * centred[index[-1]]
        moments[index] = np.sum(powers[index], axis=1)
    cumulants = dict(Jet(moments, wanted).apply(special.log).terms)
    cumulants[()] = peak[:, 0] + np.log1p(rest)
    for position, mean in enumerate(means):
        if (position,) in moments:
            cumulants[position,] = mean
    return Jet(cumulants, wanted)
