"""Exchangeable coefficients: one correlation for all pairs (compound symmetry).

ρ runs over its whole range [ℓ, 1], ℓ = -1/(k-1): ρ = ℓ + (1-ℓ) sin²φ. With
c_j = 1 + jρ (j = 0 ... k-1) the factor has the columns

    C_jj = √(1-ρ) √(c_j / c_{j-1}),   C_ij = ρ √(1-ρ) / √(c_j c_{j-1}),  i > j,

c_{-1} = 1-ρ entering the first column only (C_00 = 1, C_i0 = ρ). √(1-ρ) is
√(1-ℓ) cos φ and √c_{k-1} is √(k-1) √(1-ℓ) sin φ: smooth through both limits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hglm.covariance.factors import complex_step_curvature
from hglm.typing import Matrix, Vector

__all__ = ["Exchangeable"]


@dataclass(frozen=True, slots=True)
class Exchangeable:
    """R = (1-ρ)I + ρ11'; see the module."""

    def n_parameters(self, k: int) -> int:
        return 1

    def factor(self, phi: Vector, k: int) -> Matrix:
        return _factor(phi[0], k)[0]

    def derivatives(self, phi: Vector, k: int) -> Matrix:
        return _factor(phi[0], k)[1][None]

    def curvature(self, phi: Vector, k: int, weights: Matrix) -> Matrix:
        return complex_step_curvature(lambda x: self.derivatives(x, k), phi, weights)

    def from_correlations(self, R: Matrix) -> Vector:
        k = len(R)
        low = -1.0 / (k - 1)
        values = R[np.tril_indices(k, -1)]
        values = values[np.isfinite(values)]
        rho = float(values.mean()) if values.size else 0.0
        return np.atleast_1d(np.arcsin(np.sqrt(np.clip((rho - low) / (1.0 - low), 0.0, 1.0))))

    def canonical(self, phi: Vector, k: int, bound: float = 0.0) -> Vector:
        sine, cosine = abs(np.sin(phi[0])), abs(np.cos(phi[0]))
        width = np.sqrt(k / (k - 1.0))  # √(1-ℓ): the standard deviations that vanish are
        if width * cosine < bound:  # √(1-ρ) of differences,
            return np.array([0.5 * np.pi])
        if np.sqrt(k - 1.0) * width * sine < bound:  # and √(1 + (k-1)ρ) of the mean
            return np.zeros(1)
        return np.atleast_1d(np.arcsin(min(sine, 1.0)))

    def openings(self, k: int) -> Matrix:
        return np.array([self.from_correlations(np.full((k, k), rho)) for rho in (0.1, 0.6)])

    def parameters(self, phi: Vector, k: int) -> dict[str, float]:
        low = -1.0 / (k - 1)
        return {"rho": float(low + (1.0 - low) * np.sin(phi[0]) ** 2)}


def _factor(phi: float | complex, k: int) -> tuple[Matrix, Matrix]:
    """C and its derivative in φ. (k, k) each"""
    low = -1.0 / (k - 1)
    sine, cosine = np.sin(phi), np.cos(phi)
    rho, d_rho = low + (1.0 - low) * sine**2, (1.0 - low) * 2.0 * sine * cosine
    root, d_root = np.sqrt(1.0 - low) * cosine, -np.sqrt(1.0 - low) * sine
    c = 1.0 + rho * np.arange(k)
    width = np.sqrt((k - 1) * (1.0 - low))
    s = np.append(np.sqrt(c[:-1]), width * sine)
    d_s = np.append(d_rho * np.arange(k - 1) / (2.0 * s[:-1]), width * cosine)
    C, dC = np.zeros((2, k, k), dtype=c.dtype)
    C[0, 0] = 1.0
    C[1:, 0], dC[1:, 0] = rho, d_rho
    for j in range(1, k):
        C[j, j] = root * s[j] / s[j - 1]
        dC[j, j] = (d_root * s[j] + root * d_s[j]) / s[j - 1] - C[j, j] * d_s[j - 1] / s[j - 1]
        if j < k - 1:
            C[j + 1 :, j] = rho * root / (s[j] * s[j - 1])
            dC[j + 1 :, j] = (d_rho * root + rho * d_root) / (s[j] * s[j - 1]) - C[j + 1, j] * (
                d_s[j] / s[j] + d_s[j - 1] / s[j - 1]
            )
    return C, dC
