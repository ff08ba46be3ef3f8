"""A correlation for each lag: Toeplitz matrices.

The parameters are the partial autocorrelations π_l = sin φ_l of lags 1 ... k-1,
which may be any numbers in [-1, 1] (Barndorff-Nielsen & Schou 1973, J. Multivariate
Analysis 3, 408-419). The Durbin-Levinson recursion makes of them the regression
a of each coefficient on all before it and the standard deviation p of what is
left, hence row t of the factor (Brockwell & Davis 1991, Time Series: Theory and
Methods, 2nd ed., prop. 5.2.1):

    a_j <- a_j - π_t a_{t-j},  a_t = π_t,     p <- p cos φ_t
    C_t. = Σ_j a_j C_{t-j}. + p e_t
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hglm.covariance.factors import complex_step_curvature
from hglm.typing import Matrix, Vector

__all__ = ["Toeplitz"]


@dataclass(frozen=True, slots=True)
class Toeplitz:
    """R_ij = ρ_|i-j|; see the module."""

    def n_parameters(self, k: int) -> int:
        return k - 1

    def factor(self, phi: Vector, k: int) -> Matrix:
        return _recursion(phi, derivatives=False)[0]

    def derivatives(self, phi: Vector, k: int) -> Matrix:
        return _recursion(phi, derivatives=True)[1]

    def curvature(self, phi: Vector, k: int, weights: Matrix) -> Matrix:
        return complex_step_curvature(lambda x: self.derivatives(x, k), phi, weights)

    def from_correlations(self, R: Matrix) -> Vector:
        k = len(R)
        a, left = np.zeros(0), 1.0
        rho = np.zeros(k - 1)
        phi = np.zeros(k - 1)
        for t in range(1, k):
            known = np.diagonal(R, -t)
            known = known[np.isfinite(known)]
            forecast = float(a @ rho[: t - 1][::-1])
            rho[t - 1] = float(known.mean()) if known.size else forecast
            excess = rho[t - 1] - forecast
            # Once one is at its limit, those that follow have no effect.
            partial = float(np.clip(excess / left, -1.0, 1.0)) if left > 1e-14 else 0.0
            phi[t - 1] = np.arcsin(partial)
            a = np.append(a - partial * a[::-1], partial)
            left *= 1.0 - partial**2
        return phi

    def canonical(self, phi: Vector, k: int, bound: float = 0.0) -> Vector:
        out: Vector = np.arcsin(np.clip(np.sin(phi), -1.0, 1.0))
        p = 1.0
        for t in range(len(out)):
            p *= float(np.cos(out[t]))
            if p < max(bound, 1e-15):  # all that follow have no effect
                out[t] = np.copysign(0.5 * np.pi, out[t])
                out[t + 1 :] = 0.0
                break
        return out

    def openings(self, k: int) -> Matrix:
        out = np.zeros((3, k - 1))
        out[:, 0] = np.arcsin([-0.4, 0.2, 0.7])
        return out

    def parameters(self, phi: Vector, k: int) -> dict[str, float]:
        C = self.factor(phi, k)
        return {f"rho{t}": float(C[t, 0]) for t in range(1, k)}


def _recursion(phi: Vector, derivatives: bool) -> tuple[Matrix, Matrix]:
    """C (k, k) and, if wanted, its derivatives (m, k, k)."""
    m = len(phi)
    sine, cosine = np.sin(phi), np.cos(phi)
    C = np.eye(m + 1, dtype=sine.dtype)
    dC = np.zeros((m if derivatives else 0, m + 1, m + 1), dtype=sine.dtype)
    a, da = np.zeros(0, dtype=sine.dtype), np.zeros((len(dC), 0), dtype=sine.dtype)
    p, dp = 1.0 + 0.0 * sine.sum(), np.zeros(len(dC), dtype=sine.dtype)
    for t in range(1, m + 1):
        before = a[::-1]
        a = np.append(a - sine[t - 1] * before, sine[t - 1])
        C[t, :t] = a @ C[t - 1 :: -1, :t]
        if derivatives:
            da = np.column_stack([da - sine[t - 1] * da[:, ::-1], np.zeros(m)])
            da[t - 1] += cosine[t - 1] * np.append(-before, 1.0)
            dp = dp * cosine[t - 1]
            dp[t - 1] -= p * sine[t - 1]
            dC[:, t, :t] = da @ C[t - 1 :: -1, :t] + a @ dC[:, t - 1 :: -1, :t]
            dC[:, t, t] = dp
        p = p * cosine[t - 1]
        C[t, t] = p
    return C, dC
