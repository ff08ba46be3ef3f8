"""The series of the Tweedie density, with derivatives.

    H(z, γ) = log Σ_{j≥1} exp g_j,    g_j = j z - log Γ(j + 1) - log Γ(jγ).

Under the weights exp(g_j)/Σ the derivatives of H are cumulants: with a = j,
b = ∂g/∂γ = -j ψ(jγ), c = -j² ψ'(jγ), d = -j³ ψ''(jγ),

    H_z = E a,  H_γ = E b,  H_zz = V a,  H_zγ = C(a, b),  H_γγ = V b + E c,
    H_zzz = κ(a,a,a),  H_zzγ = κ(a,a,b),  H_zγγ = κ(a,b,b) + C(a, c),
    H_γγγ = κ(b,b,b) + 3 C(b, c) + E d.

The terms rise to j* with (1 + γ) log j* + γ log γ = z and fall off faster than a
Gaussian of variance j*/(1 + γ): a window about j* holds all that matters in
double precision (Dunn and Smyth 2005, sec. 4). Rows sorted by z share windows.

The sum is Wright's generalised Bessel function φ(γ, 0; exp z). Where
Y = γ j* is large its asymptotic expansion is used, with error of order Y⁻³:

    H = (1 + γ) Y/γ + {log Y - log 2π(1 + γ)}/2 - k₁/Y - k₂/Y²,
    k₁ = (1 + 2γ)(2 + γ)/{24 (1 + γ)},  k₂ = γ (1 + 2γ)(2 + γ)/{48 (1 + γ)²}.

References
----------
Dunn, P. K. and Smyth, G. K. (2005). Statistics and Computing 15, 267-280.
Wright, E. M. (1935). Proc. London Math. Soc. (2) 38, 257-270.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from scipy.special import gammaln, polygamma, psi

from hglm.families.jets import Index, Jet, Wanted, chain, indices
from hglm.families.terms import blocks_of_terms
from hglm.numerics import special
from hglm.typing import Codes, Matrix, Vector

__all__ = ["remembering_series"]

_LARGE = 2000.0
_LOG_2PI = float(np.log(2.0 * np.pi))
_DEVIATIONS = 9.0
_LEAST_TERMS = 20.0


def remembering_series() -> Callable[[Jet, Jet], Jet]:
    """Return H(z, γ) as a function of jets; γ is one number for all rows.

    The search for a mode evaluates it many times at one (φ, p), where it does not
    change: the function keeps its last result.
    """
    remembered = lru_cache(maxsize=1)(_series_of_bytes)

    def log_series(z: Jet, gamma: Jet) -> Jet:
        order = max(z.depth, gamma.depth)
        found = remembered(z.value.tobytes(), float(gamma.value), order)
        return chain((z, gamma), {i: t.reshape(z.value.shape) for i, t in found.items()})

    return log_series


def _series_of_bytes(z: bytes, gamma: float, order: int) -> dict[Index, Vector]:
    return _series(np.frombuffer(z), gamma, order)


def _series(z: Vector, gamma: float, order: int) -> dict[Index, Vector]:
    """Return H and its derivatives at each z (m,)."""
    found = {index: np.zeros(z.size) for index in indices(Wanted(order, (0, 1)))}
    far = (z + np.log(gamma)) / (1.0 + gamma) > np.log(_LARGE)
    large, summed = np.flatnonzero(far), np.flatnonzero(~far)
    if large.size:
        expansion = _expansion(z[large], gamma, order)
        for index, whole in found.items():
            whole[large] = expansion[index]
    for block, j in _windows(z[summed], gamma):
        rows = summed[block]
        g = z[rows, None] * j - (gammaln(j + 1.0) + gammaln(j * gamma))
        peak = np.max(g, axis=1, keepdims=True)
        weights = np.exp(g - peak)
        total = np.sum(weights, axis=1, keepdims=True)
        found[()][rows] = peak[:, 0] + np.log(total[:, 0])
        for index, term in _cumulants(weights / total, j, gamma, order).items():
            found[index][rows] = term
    return found


def _expansion(z: Vector, gamma: float, order: int) -> Jet:
    """Return H for large Y, as a jet in (z, γ)."""
    wanted = Wanted(order, (0, 1))
    at, shape = Jet.variable(0, z, wanted), Jet.variable(1, np.asarray(gamma), wanted)
    more = (shape + 1.0).apply(special.reciprocal)
    log_y = (at + shape.apply(special.log)) * more
    fall = (-log_y).apply(special.exp)
    k1 = (shape * 2.0 + 1.0) * (shape + 2.0) * more * (1.0 / 24.0)
    k2 = k1 * shape * more * 0.5
    lead = (shape.apply(special.reciprocal) + 1.0) * log_y.apply(special.exp)
    spread = log_y + more.apply(special.log) - _LOG_2PI
    return lead + spread * 0.5 - k1 * fall - k2 * fall * fall


def _windows(z: Vector, gamma: float) -> Iterator[tuple[Codes, Vector]]:
    """Yield blocks of rows with the j (J,) that matter to any of them."""
    mode = np.exp((z - gamma * np.log(gamma)) / (1.0 + gamma))
    reach = _DEVIATIONS * np.sqrt(mode / (1.0 + gamma))
    low = np.maximum(np.floor(mode - reach), 1.0)
    return blocks_of_terms(low, np.ceil(mode + reach + _LEAST_TERMS))


def _cumulants(weights: Matrix, j: Vector, gamma: float, order: int) -> dict[Index, Vector]:
    """Return the derivatives above order zero, from weights (m, J) of j (J,)."""
    if order == 0:
        return {}
    b = -j * psi(j * gamma)
    mean_a, mean_b = weights @ j, weights @ b
    found: dict[Index, Vector] = {(0,): mean_a, (1,): mean_b}
    if order == 1:
        return found
    c = -j * j * polygamma(1, j * gamma)
    mean_c = weights @ c
    da, db, dc = j - mean_a[:, None], b - mean_b[:, None], c - mean_c[:, None]
    aa, ab = weights * da * da, weights * da * db
    found[0, 0], found[0, 1] = aa.sum(axis=1), ab.sum(axis=1)
    found[1, 1] = np.sum(weights * db * db, axis=1) + mean_c
    if order == 2:
        return found
    mean_d = weights @ (-(j**3) * polygamma(2, j * gamma))
    ac, bc = np.sum(weights * da * dc, axis=1), np.sum(weights * db * dc, axis=1)
    found[0, 0, 0], found[0, 0, 1] = np.sum(aa * da, axis=1), np.sum(aa * db, axis=1)
    found[0, 1, 1] = np.sum(ab * db, axis=1) + ac
    found[1, 1, 1] = np.sum(weights * db**3, axis=1) + 3.0 * bc + mean_d
    return found
