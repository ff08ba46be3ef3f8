"""Correlations that die away along a line: first-order autoregression.

Given its neighbour before it, a coefficient is independent of all earlier ones
(a Markov process), so that C has a closed form: with r_j the correlation with
the neighbour before, at a gap g_j,

    C_ij = r_{j+1} ... r_i √(1 - r_j²),   i ≥ j,   r_0 = 0.

- On whole-number steps t_i (`ar1`): r_j = ρ^g_j, ρ = sin φ, and
  √(1 - r²) = cos φ √(1 + ρ² + ... + ρ^2(g-1)), smooth through both limits ρ = ±1.
- In continuous time (`ou`, the Ornstein-Uhlenbeck process): r_j = exp(-δ g_j) with
  the decay δ = φ², and √(1 - r²) = φ √((1 - exp(-2φ²g)) / φ²), smooth through
  δ = 0, where all coefficients are one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hglm.covariance.factors import complex_step_curvature
from hglm.typing import Codes, Matrix, Vector

__all__ = ["Autoregressive", "OrnsteinUhlenbeck"]


@dataclass(frozen=True, slots=True)
class Autoregressive:
    """Correlation ρ^(t_i - t_j) at whole numbers t, ascending."""

    steps: Codes | None = None
    """(k,) t; 0, 1, 2, ... by default."""

    def n_parameters(self, k: int) -> int:
        return 1

    def factor(self, phi: Vector, k: int) -> Matrix:
        lags, gaps = self._lags(k)
        rho, cosine = np.sin(phi[0]), np.cos(phi[0])
        root, _ = _geometric_roots(rho, gaps)
        C: Matrix = rho**lags * np.append(1.0, cosine * root)
        return np.tril(C)

    def derivatives(self, phi: Vector, k: int) -> Matrix:
        lags, gaps = self._lags(k)
        rho, cosine = np.sin(phi[0]), np.cos(phi[0])
        root, d_root = _geometric_roots(rho, gaps)
        column = np.append(1.0, cosine * root)
        d_column = np.append(0.0, -rho * root + cosine**2 * d_root)
        power, d_power = rho**lags, cosine * lags * rho ** np.maximum(lags - 1, 0)
        return np.asarray(np.tril(d_power * column + power * d_column)[None])

    def curvature(self, phi: Vector, k: int, weights: Matrix) -> Matrix:
        return complex_step_curvature(lambda x: self.derivatives(x, k), phi, weights)

    def from_correlations(self, R: Matrix) -> Vector:
        lags, _ = self._lags(len(R))
        known = (lags > 0) & np.isfinite(R)
        if not known.any():
            return np.zeros(1)
        lag = lags[known].min()
        mean = float(np.mean(R[known & (lags == lag)]))
        rho = np.copysign(min(abs(mean), 1.0) ** (1.0 / lag), mean)
        return np.array([np.arcsin(rho)])

    def canonical(self, phi: Vector, k: int, bound: float = 0.0) -> Vector:
        rho = float(np.clip(np.sin(phi[0]), -1.0, 1.0))
        if abs(np.cos(phi[0])) < bound:
            return np.array([np.copysign(0.5 * np.pi, rho)])
        return np.array([np.arcsin(rho)])

    def openings(self, k: int) -> Matrix:
        return np.asarray(np.arcsin([[-0.5], [0.2], [0.8]]))

    def parameters(self, phi: Vector, k: int) -> dict[str, float]:
        return {"rho": float(np.sin(phi[0]))}

    def _lags(self, k: int) -> tuple[Codes, Codes]:
        """t_i - t_j for i ≥ j, else 0 (k, k), and the gaps between neighbours (k - 1,)."""
        t = np.arange(k) if self.steps is None else self.steps
        return np.tril(t[:, None] - t), np.diff(t)


@dataclass(frozen=True, slots=True)
class OrnsteinUhlenbeck:
    """Correlation exp(-δ |t_i - t_j|) at times t, ascending."""

    times: Vector
    """(k,)"""

    def n_parameters(self, k: int) -> int:
        return 1

    def factor(self, phi: Vector, k: int) -> Matrix:
        return self._factor(phi)[0]

    def derivatives(self, phi: Vector, k: int) -> Matrix:
        return self._factor(phi)[1][None]

    def curvature(self, phi: Vector, k: int, weights: Matrix) -> Matrix:
        return complex_step_curvature(lambda x: self.derivatives(x, k), phi, weights)

    def from_correlations(self, R: Matrix) -> Vector:
        r, gaps = np.diagonal(R, -1), np.diff(self.times)
        known = np.isfinite(r)
        if not known.any():
            return np.sqrt(0.7 / np.atleast_1d(self.times[-1] - self.times[0]))
        product = float(np.sum(-np.log(np.clip(r[known], 1e-300, 1.0))))
        return np.array([np.sqrt(product / float(gaps[known].sum()))])

    def canonical(self, phi: Vector, k: int, bound: float = 0.0) -> Vector:
        shortest = float(np.diff(self.times).min())
        close = abs(phi[0]) * np.sqrt(2.0 * shortest) < bound  # √(1 - r²) of the nearest two
        return np.array([0.0 if close else abs(phi[0])])

    def openings(self, k: int) -> Matrix:
        extent = float(self.times[-1] - self.times[0])
        gap = extent / (k - 1)
        decays = -np.log([0.2, 0.8]) / gap
        out: Matrix = np.sqrt(np.append(decays, 0.7 / extent))[:, None]
        return out

    def parameters(self, phi: Vector, k: int) -> dict[str, float]:
        return {"decay": float(phi[0]) ** 2}

    def _factor(self, phi: Vector) -> tuple[Matrix, Matrix]:
        """C and its derivative in φ. (k, k) each"""
        f = phi[0]
        lags, gaps = np.tril(self.times[:, None] - self.times), np.diff(self.times)
        power = np.exp(-(f**2) * lags)
        root = np.sqrt(2.0 * gaps * _shrinkage(2.0 * f**2 * gaps))  # √(1 - r²) / φ
        column = np.append(1.0, f * root)
        d_column = np.append(0.0, 2.0 * gaps * np.exp(-2.0 * f**2 * gaps) / root)
        slope = np.tril(power * d_column - 2.0 * f * lags * power * column)
        return np.tril(power * column), slope


def _geometric_roots(rho: float | complex, gaps: Codes) -> tuple[Vector, Vector]:
    """√(1 + ρ² + ... + ρ^2(g-1)) for each gap g, and its derivative in ρ. (k - 1,) each"""
    exponents = 2 * np.arange(gaps.max(initial=1))
    sums = np.cumsum(rho**exponents)[gaps - 1]
    slopes = np.cumsum(exponents * rho ** np.maximum(exponents - 1, 0))[gaps - 1]
    roots = np.sqrt(sums)
    return roots, slopes / (2.0 * roots)


def _shrinkage(z: Vector) -> Vector:
    """(1 - exp(-z)) / z. (m,)"""
    small = np.abs(z) < 1e-8
    safe = np.where(small, 1.0, z)
    return np.where(small, 1.0 - 0.5 * z, -np.expm1(-safe) / safe)
