"""Penalised likelihood of a smooth prior: deconvolution by g-modelling.

g(α) = exp(Qα)/Σ exp(Qα) on a grid, f_j = Σ_k L_jk g_k, and α maximises
ℓ(α) − c‖α‖ with ℓ = Σ_j w_j log f_j (Efron 2016, Biometrika 103, 1-20). With
W_jk = g_k (L_jk/f_j − 1),

    ∇ℓ = Q' Σ_j w_j W_j,      −∇²ℓ = Q' [Σ_j w_j (W_j W_j' + W_j g' + g W_j' − diag W_j)] Q.

Standard errors and bias of ĝ follow from the delta method with the information
𝓘 = Q' Σ_j w_j W_j W_j' Q and the penalty's derivatives ṡ, s̈ (Efron 2016,
theorem 2): Cov(α̂) = (𝓘 + s̈)⁻¹ 𝓘 (𝓘 + s̈)⁻¹, bias(α̂) = −(𝓘 + s̈)⁻¹ ṡ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hglm.empirical.maximise import Evaluation
from hglm.numerics.trust_region import TrustRegion, minimise
from hglm.typing import Matrix, Vector

__all__ = ["PriorAccuracy", "SmoothPrior", "accuracy", "fit_smooth_prior", "penalised_loglik"]


@dataclass(frozen=True, slots=True)
class SmoothPrior:
    """Where the penalised likelihood is largest. m grid points, p basis columns."""

    alpha: Vector
    """(p,)"""
    mass: Vector
    """(m,) the prior g."""
    decrement: float
    """What the quadratic model of the penalised log-likelihood still promises."""
    evaluations: int


@dataclass(frozen=True, slots=True)
class PriorAccuracy:
    """Delta-method accuracy of the estimated prior."""

    std_error: Vector
    """(m,) of the mass."""
    bias: Vector
    """(m,) of the mass, from the penalty."""
    cumulative_std_error: Vector
    """(m,) of the distribution function."""
    penalty_share: float
    """Efron's S: curvature of the penalty, p c/‖α‖, over the trace of the information."""


def penalised_loglik(
    alpha: Vector, Q: Matrix, L: Matrix, weights: Vector, penalty: float
) -> Evaluation:
    """ℓ(α) − c‖α‖ with gradient and Hessian.

    Parameters
    ----------
    alpha : (p,)
    Q : (m, p)
    L : (n, m)
        Likelihoods, rows scaled at will.
    weights : (n,)
    penalty
        c ≥ 0.
    """
    g, f, W = _densities(alpha, Q, L)
    total = weights @ W
    gradient = Q.T @ total
    WQ = W @ Q
    gQ = g @ Q
    cross = np.outer(gradient, gQ)
    information = WQ.T @ (weights[:, None] * WQ)
    hessian = -(information + cross + cross.T - Q.T @ (total[:, None] * Q))
    value = float(weights @ np.log(f))
    size = float(np.linalg.norm(alpha))
    if penalty > 0 and size > 0:
        unit = alpha / size
        value -= penalty * size
        gradient = gradient - penalty * unit
        hessian -= penalty / size * (np.eye(alpha.size) - np.outer(unit, unit))
    return Evaluation(value, gradient, hessian)


def fit_smooth_prior(Q: Matrix, L: Matrix, weights: Vector, penalty: float) -> SmoothPrior:
    """Maximise the penalised likelihood; α = 0, the uniform prior, competes.

    Parameters
    ----------
    Q : (m, p)
    L : (n, m)
    weights : (n,)
    penalty
        c ≥ 0. The norm has a kink at zero, so zero is optimal wherever ‖∇ℓ(0)‖ ≤ c.
    """

    def objective(alpha: Vector) -> Evaluation:
        at = penalised_loglik(alpha, Q, L, weights, penalty)
        return Evaluation(-at.value, -at.gradient, -at.hessian)

    zero = np.zeros(Q.shape[1])
    at_zero = penalised_loglik(zero, Q, L, weights, 0.0)
    ascent = at_zero.gradient / max(float(np.linalg.norm(at_zero.gradient)), 1e-300)
    starts = [np.ones(Q.shape[1]), ascent]
    found = [minimise(objective, start, TrustRegion(tolerance=1e-11)) for start in starts]
    best = min(found, key=lambda result: result.point.value)
    spent = sum(result.evaluations for result in found)
    if -best.point.value <= at_zero.value or np.linalg.norm(best.x) < 1e-8:
        stationary = float(np.linalg.norm(at_zero.gradient)) <= penalty
        g, _, _ = _densities(zero, Q, L)
        return SmoothPrior(zero, g, 0.0 if stationary else np.inf, spent)
    g, _, _ = _densities(best.x, Q, L)
    return SmoothPrior(best.x, g, best.predicted_decrease, spent)


def accuracy(
    prior: SmoothPrior, Q: Matrix, L: Matrix, weights: Vector, penalty: float
) -> PriorAccuracy:
    """Find standard errors and bias of the estimated prior.

    Parameters
    ----------
    L : (n, m)
        Likelihoods.
    weights : (n,)
        Counts, observed or expected, at which the information is taken.
    """
    g, _, W = _densities(prior.alpha, Q, L)
    WQ = W @ Q
    information = WQ.T @ (weights[:, None] * WQ)
    size = float(np.linalg.norm(prior.alpha))
    if size == 0:
        missing = np.full(g.size, np.nan)
        return PriorAccuracy(missing, missing, missing, np.inf)
    unit = prior.alpha / size
    bend = penalty / size * (np.eye(unit.size) - np.outer(unit, unit))
    inverse = np.linalg.inv(information + bend)
    spread = inverse @ information @ inverse
    slope = g[:, None] * Q - np.outer(g, g @ Q)  # ∂g/∂α
    summed = np.cumsum(slope, axis=0)
    return PriorAccuracy(
        std_error=np.sqrt(np.einsum("ij,jk,ik->i", slope, spread, slope)),
        bias=slope @ (-inverse @ (penalty * unit)),
        cumulative_std_error=np.sqrt(np.einsum("ij,jk,ik->i", summed, spread, summed)),
        penalty_share=unit.size * penalty / size / float(np.trace(information)),
    )


def _densities(alpha: Vector, Q: Matrix, L: Matrix) -> tuple[Vector, Vector, Matrix]:
    """g (m,), f (n,) and W (n, m)."""
    exponent = Q @ alpha
    g = np.exp(exponent - exponent.max())
    g /= g.sum()
    f = L @ g
    return g, f, g * (L / f[:, None] - 1.0)
