"""Satterthwaite's degrees of freedom for tests of fixed effects.

With C(θ, σ) = σ²(X'V^-1X)^-1 the covariance of β̂, A the asymptotic covariance of
(θ̂, σ̂) and g_k = l'(∂C/∂(θ, σ)_k)l, the estimate l'Ĉl of Var(l'β̂) is matched to a
multiple of chi-square by its first two moments (Giesbrecht & Burns 1985,
Biometrics 41, 477-486; Kuznetsova, Brockhoff & Christensen 2017, JSS 82(13), sec. 2):

    ν = 2 (l'Cl)² / g'Ag,     A = 2H^+,

H the Hessian in (θ, σ) of the criterion *before* σ is profiled out; its exact form
is (Lindstrom & Bates 1988, JASA 83, 1014-1022, by P = V^-1 - V^-1X(X'V^-1X)^-1X'V^-1)

    H_ij = -tr(PV_iPV_j) + 2 f_i'Pf_j/σ² + 2 tr(∂T_i'F ∂T_j) + 2 tr(F'∂²T_ij T'),
    H_iσ = 2 y'PV_iPy/σ³,  H_σσ = 4ν/σ²,      f_i = V_iPy, F = ∂d/∂Σ.

(ML: V^-1 for P in the traces.) Where groups are crossed the traces would cost one
solve a level, and H_ij comes from central differences of the exact gradient.

A variance of zero has a gradient of zero, and drops out by the pseudo-inverse.

For r > 1 rows (Fai & Cornelius 1996, J. Stat. Comput. Simul. 54, 363-378), with
LCL' = UDU', the rows of U'L give ν_m and

    ν = 2E/(E - r),  E = Σ ν_m/(ν_m - 2);   ν = 2 if any ν_m ≤ 2.

It depends on the rows L, not only on the hypothesis: on which basis to use see
`hglm.inference.contrasts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hglm.criteria.profiled import differenced_hessian
from hglm.fitting.record import Estimates
from hglm.inference.directions import theta_directions
from hglm.inference.level_traces import is_cheap, level_traces
from hglm.inference.scores import (
    Direction,
    Scores,
    first_products,
    linear_state,
    scores,
    second_products,
)
from hglm.numerics.batched import outer_sum, symmetrise
from hglm.numerics.positive import positive_inverse
from hglm.typing import Matrix, Vector

__all__ = ["Satterthwaite", "satterthwaite"]

SAME = 1e-8
"""Relative difference of degrees of freedom that are one number."""
RANK = 1.5e-8
"""Eigenvalues of LCL' this much smaller than the largest show rows that repeat others."""


@dataclass(frozen=True, slots=True)
class Satterthwaite:
    """Covariance of the fixed effects, and how uncertain it is."""

    vcov: Matrix
    """(p, p) C."""
    jacobian: Matrix
    """(m + 1, p, p) ∂C/∂(θ, σ), θ in the problem's standardised coordinates."""
    parameter_vcov: Matrix
    """(m + 1, m + 1) A, asymptotic covariance of (θ̂, σ̂)."""

    def each(self, contrast: Matrix) -> Vector:
        """Degrees of freedom of each row l'β by itself.

        Parameters
        ----------
        contrast : (r, p)

        Returns
        -------
        (r,)
        """
        variance = np.einsum("ri,ij,rj->r", contrast, self.vcov, contrast)
        slope = np.einsum("ri,kij,rj->rk", contrast, self.jacobian, contrast)
        uncertainty = np.einsum("rk,kl,rl->r", slope, self.parameter_vcov, slope)
        with np.errstate(divide="ignore", invalid="ignore"):
            out: Vector = 2.0 * variance**2 / uncertainty
        return out

    def df(self, contrast: Matrix) -> tuple[float, float]:
        """Denominator degrees of freedom of the F test of all rows together.

        Parameters
        ----------
        contrast : (r, p)

        Returns
        -------
        df, scaling
            The factor of the F statistic is 1.
        """
        variance = contrast @ self.vcov @ contrast.T
        values, vectors = np.linalg.eigh(variance)
        if _has_full_rank(variance):  # rows in very different units may be independent all the same
            return _joint(self.each(vectors.T @ contrast)), 1.0
        kept = values > RANK * values.max(initial=0.0)
        return _joint(self.each(vectors[:, kept].T @ contrast)), 1.0


def satterthwaite(estimates: Estimates) -> Satterthwaite:
    """Prepare Satterthwaite's method for a linear mixed model.

    The criterion is the one that the model was fitted by.
    """
    state = linear_state(estimates, "Satterthwaite's method")
    s = scores(state.problem, state.theta, state.reml)
    directions = theta_directions(state.problem.layout, state.theta)
    first = first_products(s, directions)
    B, sigma = s.whitened_to_beta, float(np.sqrt(s.solution.sigma2))
    vcov = sigma**2 * B @ B.T
    slopes = sigma**2 * B @ first[:, : s.p, : s.p] @ B.T  # ∂C/∂θ_i = σ²C X'V^-1V_iV^-1X C
    hessian = _hessian(s, state.theta, state.reml, directions, first)
    return Satterthwaite(
        vcov=vcov,
        jacobian=np.concatenate([slopes, 2.0 / sigma * vcov[None]]),
        parameter_vcov=2.0 * positive_inverse(hessian),
    )


def _has_full_rank(variance: Matrix) -> bool:
    size = np.sqrt(np.diagonal(variance))
    if not size.size or not size.all():
        return False
    return bool(np.linalg.eigvalsh(variance / np.outer(size, size))[0] > RANK)


def _joint(nu: Vector) -> float:
    """Degrees of freedom of an F statistic that is the mean of r squared t's."""
    if not len(nu):
        return float("nan")
    if np.ptp(nu) < SAME * nu.max():
        return float(nu.mean())
    if np.any(nu <= 2.0):
        return 2.0
    excess = float(np.sum(2.0 / (nu - 2.0)))  # E - r
    return 2.0 * (excess + len(nu)) / excess


def _hessian(
    s: Scores, theta: Vector, reml: bool, directions: Sequence[Direction], first: Matrix
) -> Matrix:
    """H in (θ, σ). (m + 1, m + 1)"""
    m, sigma2 = len(theta), s.solution.sigma2
    nu = s.problem.nobs - (s.p if reml else 0)
    quad = first[:, -1, -1]  # y'PV_iPy
    H = np.empty((m + 1, m + 1))
    H[m, m] = 4.0 * nu / sigma2
    H[:m, m] = H[m, :m] = 2.0 * quad / sigma2**1.5
    if is_cheap(s.solution.factor):
        H[:m, :m] = _exact(s, theta, reml, directions, first)
    else:
        H[:m, :m] = differenced_hessian(s.problem, theta, reml) + np.outer(quad, quad) / (
            nu * sigma2**2
        )
    return H


def _exact(
    s: Scores, theta: Vector, reml: bool, directions: Sequence[Direction], first: Matrix
) -> Matrix:
    """H_ij; see the module. (m, m)"""
    p, sigma2, layout = s.p, s.solution.sigma2, s.problem.layout
    traces = level_traces(s.solution.factor)
    second = second_products(s, directions)
    fixed, across = first[:, :p, :p], first[:, p, :p]
    information = traces.expected(directions)
    F = [M - outer_sum(S[p], S[p]) / sigma2 for M, S in zip(traces.first, s.stack, strict=True)]
    if reml:
        information -= 2.0 * np.einsum("hiaa->hi", second[:, :, :p, :p])
        information += np.einsum("hab,iba->hi", fixed, fixed)
        F = [f - outer_sum(S[:p], S[:p]) for f, S in zip(F, s.stack, strict=True)]
    data = second[:, :, p, p] - across @ across.T  # f_h'Pf_i
    H = 2.0 * data / sigma2 - information
    H += 2.0 * layout.curvature(theta, [f @ T for f, T in zip(F, s.solution.T, strict=True)])
    derivatives = layout.derivatives(theta)
    for i, (t, di) in enumerate(derivatives):
        for j, (u, dj) in enumerate(derivatives):
            if t == u:
                H[i, j] += 2.0 * np.sum(di * (F[t] @ dj))
    return symmetrise(H)
