"""Correlation as a function of distance: exponential, Gaussian and Matérn kernels.

With range ϱ = exp(φ_1) and u = d/ϱ,

    exp       r = exp(-u)
    gau       r = exp(-u²)
    matern    r = 2^(1-ν)/Γ(ν) u^ν K_ν(u),   smoothness ν = exp(φ_2)

(glmmTMB's `exp`, `gau` and `mat`). The Matérn kernel and its derivatives, in the
order of the Bessel function too, come from one integral,

    u^ν K_ν(u) = 1/2 ∫ exp(νs - e^s/2 - u²e^-s/2) ds

(Abramowitz & Stegun 1964, 9.6.24, s = t + log u), whose integrand is analytic and
falls off doubly exponentially, so that the trapezoidal rule is exact to rounding
(Trefethen & Weideman 2014, SIAM Review 56, 385-458).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import gammaln, psi, zeta

from hglm.typing import Matrix, Vector

__all__ = ["Exponential", "Gaussian", "Kernel", "Matern"]

LIMIT = 200.0
"""Of |log range|."""
SMOOTHNESS = (0.05, 50.0)
"""Smoother surfaces cannot be told from the Gaussian kernel's."""
STEP = 0.25
"""Of the trapezoidal rule, for smoothness up to 3; it falls as the integrand narrows."""
TINY = 1e-40
"""Distances are no smaller, in units of the range."""
CHUNK = 2**12
"""Distances at a time."""

Derivatives = tuple[Vector, Matrix, Matrix]


class Kernel(Protocol):
    """An isotropic correlation function."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters, each the exponential of a φ. (m,)"""
        ...

    def values(self, phi: Vector, d: Vector) -> Vector:
        """Correlation at distances d (n,). (n,)"""
        ...

    def derivatives(self, phi: Vector, d: Vector) -> Derivatives:
        """Correlation (n,), its first (m, n) and second (m, m, n) derivatives in φ."""
        ...

    def bounded(self, phi: Vector) -> Vector:
        """φ within the limits of what is computed. (m,)"""
        ...

    def openings(self, ranges: Vector) -> Matrix:
        """φ to try for these ranges. (r, m)"""
        ...


@dataclass(frozen=True, slots=True)
class Exponential:
    """exp(-d/ϱ): rough surfaces, the continuous `ar1`."""

    names: tuple[str, ...] = ("range",)

    def values(self, phi: Vector, d: Vector) -> Vector:
        return np.exp(-_scaled(phi, d))

    def derivatives(self, phi: Vector, d: Vector) -> Derivatives:
        u = _scaled(phi, d)
        r = np.exp(-u)
        return r, (u * r)[None], ((u * u - u) * r)[None, None]

    def bounded(self, phi: Vector) -> Vector:
        return np.clip(phi, -LIMIT, LIMIT)

    def openings(self, ranges: Vector) -> Matrix:
        return np.log(ranges)[:, None]


@dataclass(frozen=True, slots=True)
class Gaussian:
    """exp(-(d/ϱ)²): surfaces that are smooth to every order."""

    names: tuple[str, ...] = ("range",)

    def values(self, phi: Vector, d: Vector) -> Vector:
        out: Vector = np.exp(-(_scaled(phi, d) ** 2))
        return out

    def derivatives(self, phi: Vector, d: Vector) -> Derivatives:
        u2 = _scaled(phi, d) ** 2
        r = np.exp(-u2)
        return r, (2.0 * u2 * r)[None], (4.0 * (u2 * u2 - u2) * r)[None, None]

    def bounded(self, phi: Vector) -> Vector:
        return np.clip(phi, -LIMIT, LIMIT)

    def openings(self, ranges: Vector) -> Matrix:
        return np.log(ranges)[:, None]


@dataclass(frozen=True, slots=True)
class Matern:
    """Surfaces of any smoothness: ν = 1/2 is `Exponential`, ν -> ∞ `Gaussian`."""

    names: tuple[str, ...] = ("range", "smoothness")

    def values(self, phi: Vector, d: Vector) -> Vector:
        return _matern(self.bounded(phi), d, second=False)[0]

    def derivatives(self, phi: Vector, d: Vector) -> Derivatives:
        inside = self.bounded(phi)
        r, first, second = _matern(inside, d, second=True)
        free = inside == phi
        return r, first * free[:, None], second * np.outer(free, free)[:, :, None]

    def bounded(self, phi: Vector) -> Vector:
        low, high = np.log(SMOOTHNESS)
        return np.array([np.clip(phi[0], -LIMIT, LIMIT), np.clip(phi[1], low, high)])

    def openings(self, ranges: Vector) -> Matrix:
        shapes = np.log([0.5, 1.5])
        return np.array([[np.log(x), nu] for nu in shapes for x in ranges / np.exp(nu)])


def _scaled(phi: Vector, d: Vector) -> Vector:
    """d/ϱ, no larger than makes a correlation of zero. (n,)"""
    out: Vector = np.minimum(d * np.exp(-np.clip(phi[0], -LIMIT, LIMIT)), 750.0)
    return out


def _matern(phi: Vector, d: Vector, second: bool) -> Derivatives:
    """Values, and derivatives if wanted, in chunks of distances."""
    u = _scaled(phi, d)
    parts = [
        _matern_chunk(float(np.exp(phi[1])), u[i : i + CHUNK], second)
        for i in range(0, len(u), CHUNK)
    ]
    r, first, hessian = zip(*parts, strict=True)
    return np.concatenate(r), np.concatenate(first, axis=1), np.concatenate(hessian, axis=2)


def _matern_chunk(nu: float, u: Vector, second: bool) -> Derivatives:
    """Moments over s, normalised at u = 0, of products of

        a = -∂/∂φ_1 of the exponent = u²e^-s,    b = ∂/∂φ_2 of it = ν(s - E_0 s)

    E_0 s = ψ(ν) + log 2 being the mean of s at u = 0, the derivative of the constant.
    """
    least = max(float(u.min(initial=1.0)), TINY)
    start = 2.0 * np.log(least)
    step = min(STEP, 0.45 / np.sqrt(nu))
    s = np.arange(max(min(start - 7.5, -2.0), -750.0 / nu), np.log(1500.0 + 20.0 * nu) + 1.0, step)
    log_constant = np.log(2.0) * nu + gammaln(nu)  # of the integral at u = 0
    falling = np.exp(start - s)  # in units of the least u², lest powers overflow
    size = (np.maximum(u, TINY) / least) ** 2
    weight = np.exp(
        (nu * s - 0.5 * np.exp(s) - log_constant)[:, None] - 0.5 * np.outer(falling, size)
    )
    if not second:
        return step * weight.sum(axis=0), np.zeros((0, len(u))), np.zeros((0, 0, len(u)))
    b = nu * (s - psi(nu) - np.log(2.0))
    moments = np.array([np.ones(len(s)), falling, falling**2, b, falling * b, b * b]) * step
    r, wa, waa, wb, wab, wbb = moments @ weight
    wa, waa, wab = size * wa, size**2 * waa, size * wab
    variance = nu**2 * float(zeta(2.0, nu))  # of νs at u = 0
    hessian = np.array([[waa - 2.0 * wa, wab], [wab, wbb + wb - variance * r]])
    return r, np.array([wa, wb]), hessian
