"""Kenward and Roger's adjusted covariance and degrees of freedom.

Kenward & Roger (1997), Biometrics 53, 983-997; notation of Halekoh & Højsgaard
(2014), JSS 59(9). With the covariance of y linear in its parameters, Ω = Σγ_hG_h,
and Φ = (X'Ω^-1X)^-1,

    P_h = -X'Ω^-1G_hΩ^-1X,   Q_hi = X'Ω^-1G_hΩ^-1G_iΩ^-1X,
    I_hi = ½ [tr(Ω^-1G_hΩ^-1G_i) - 2 tr(ΦQ_hi) + tr(ΦP_hΦP_i)],   W = I^-1,
    Φ_A = Φ + 2Φ {Σ_hi W_hi (Q_hi - P_hΦP_i)} Φ.

The method does not change under a linear change of the γ. So the n × n matrices
disappear: in place of the residual variance, G_0 = Ω itself is taken as the last
parameter, for which tr(Ω^-1G_0Ω^-1G_h) = tr(Ω^-1G_h) and P_0 = -Φ^-1; the others
are G_h = σ²Z(I ⊗ D_h)Z' for a basis D_h of the covariances of one level. In the
whitened coordinates of `hglm.inference.scores`, Φ = σ²I, P_h = -R_h/σ²,
Q_hi = N_hi/σ², and the rows and columns of G_0 in the sum above vanish.

The expected information is that of the restricted likelihood, so the model must
have been fitted by REML.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from hglm.errors import OptionError
from hglm.fitting.record import Estimates
from hglm.inference.directions import covariance_directions
from hglm.inference.level_traces import level_traces
from hglm.inference.scores import (
    Direction,
    Scores,
    first_products,
    linear_state,
    scores,
    second_products,
)
from hglm.numerics.batched import symmetrise
from hglm.typing import Matrix, Vector

__all__ = ["KenwardRoger", "kenward_roger"]

TOLERANCE = 1e-10
"""Eigenvalues of the scaled information that count as zero."""


@dataclass(frozen=True, slots=True)
class KenwardRoger:
    """Adjusted covariance of the fixed effects and what tests need beside it."""

    vcov: Matrix
    """(p, p) Φ_A."""
    unadjusted: Matrix
    """(p, p) Φ."""
    W: Matrix
    """(m + 1, m + 1) asymptotic covariance of the covariance parameters."""
    R: Matrix
    """(m + 1, p, p) whitened -P_h."""
    root: Matrix
    """(p, p) B with Φ = σ²BB'."""

    def each(self, contrast: Matrix) -> Vector:
        """Degrees of freedom of each row l'β by itself.

        Parameters
        ----------
        contrast : (r, p)

        Returns
        -------
        (r,)
        """
        return np.array([self.df(row[None])[0] for row in contrast])

    def df(self, contrast: Matrix) -> tuple[float, float]:
        """Denominator degrees of freedom of the F test of all rows together.

        Parameters
        ----------
        contrast : (r, p)
            Rows may repeat one another.

        Returns
        -------
        df, scaling
            The F statistic is multiplied by the scaling.
        """
        basis = linalg.orth((contrast @ self.root).T)  # (p, r): its span is all that matters
        q = basis.shape[1]
        if q == 0:
            return float("nan"), 1.0
        projected = basis.T @ self.R @ basis  # (m + 1, q, q)
        traces = np.einsum("haa->h", projected)
        A1 = float(traces @ self.W @ traces)
        A2 = float(np.einsum("hi,hab,iba->", self.W, projected, projected))
        return _denominator(q, A1, A2)


def kenward_roger(estimates: Estimates) -> KenwardRoger:
    """Prepare Kenward and Roger's method for a linear mixed model fitted by REML.

    Raises
    ------
    OptionError
        If the model was fitted by maximum likelihood.
    """
    state = linear_state(estimates, "Kenward and Roger's method")
    if not state.reml:
        raise OptionError(
            "Kenward and Roger's method needs a fit by REML, and this one is by maximum "
            'likelihood; fit the model with method="reml", or use ddf="satterthwaite".'
        )
    s = scores(state.problem, state.theta, state.reml)
    p, sigma2, B = s.p, s.solution.sigma2, s.whitened_to_beta
    directions = covariance_directions(state.problem.layout, state.theta)
    R = np.concatenate([first_products(s, directions)[:, :p, :p], np.eye(p)[None]])
    N = second_products(s, directions)[:, :, :p, :p]
    W = 2.0 * _inverse(_doubled_information(s, directions, R, N))
    m = len(directions)
    excess = np.einsum("hi,hiab->ab", W[:m, :m], N)  # Σ W_hi (N_hi - R_h R_i)
    excess -= np.einsum("hi,hac,icb->ab", W[:m, :m], R[:m], R[:m], optimize=True)
    return KenwardRoger(
        vcov=symmetrise(sigma2 * B @ (np.eye(p) + 2.0 * excess) @ B.T),
        unadjusted=sigma2 * B @ B.T,
        W=W,
        R=R,
        root=B,
    )


def _doubled_information(
    s: Scores, directions: Sequence[Direction], R: Matrix, N: Matrix
) -> Matrix:
    """2 I_hi, the parameter of Ω itself last. (m + 1, m + 1)"""
    m = len(directions)
    out = np.empty((m + 1, m + 1))
    out[m, m] = s.problem.nobs - s.p
    if m:
        traces = level_traces(s.solution.factor)
        out[:m, :m] = traces.expected(directions) - 2.0 * np.einsum("hiaa->hi", N)
        out[:m, :m] += np.einsum("hab,iba->hi", R[:m], R[:m])
        out[:m, m] = out[m, :m] = traces.linear(directions) - np.einsum("haa->h", R[:m])
    return symmetrise(out)


def _inverse(I2: Matrix) -> Matrix:
    """Inverse, without directions about which there is no information."""
    scale = np.sqrt(np.maximum(np.diagonal(I2), np.finfo(float).tiny))
    values, vectors = linalg.eigh(I2 / np.outer(scale, scale))
    kept = values > TOLERANCE * values[-1]
    half = vectors[:, kept] / np.sqrt(values[kept]) / scale[:, None]
    out: Matrix = half @ half.T
    return out


def _denominator(q: int, A1: float, A2: float) -> tuple[float, float]:
    """Match the first two moments of F (Kenward & Roger 1997, sec. 4)."""
    B = (A1 + 6.0 * A2) / (2.0 * q)
    g = ((q + 1.0) * A1 - (q + 4.0) * A2) / ((q + 2.0) * A2) if A2 > 0.0 else 0.0
    width = 3.0 * q + 2.0 * (1.0 - g)
    c1, c2, c3 = g / width, (q - g) / width, (q + 2.0 - g) / width
    ratio = _ratio(1.0 - A2 / q, 1.0 - c2 * B)
    rho = ratio**2 * (1.0 + c1 * B) / (1.0 - c3 * B) / q  # Var F / (2 (E F)²)
    df = 4.0 + (q + 2.0) / (q * rho - 1.0)
    scaling = 1.0 if abs(df - 2.0) < 1e-2 else df * (1.0 - A2 / q) / (df - 2.0)
    return df, scaling


def _ratio(x: float, y: float) -> float:
    """x/y, whose limit is 1 where both vanish."""
    return 1.0 if abs(x) < 1e-14 and abs(y) < 1e-14 else x / y
