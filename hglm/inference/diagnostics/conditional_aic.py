"""Conditional AIC of linear mixed models, for questions about these very groups.

    cAIC = -2 log p(y | β̂, b̂, σ̂) + 2(ρ + 1)

Vaida & Blanchard (2005, Biometrika 92, 351-370) take ρ = tr H, the effective number of
parameters, as if θ were known, which favours every variance that is not estimated at zero.
Greven & Kneib (2010, Biometrika 97, 773-789) count the estimation of θ: ρ = Σ ∂ŷ_i/∂y_i.
With V and P relative to σ², f_j = V_jPy, V_j = ∂V/∂θ_j, and the criterion d(θ), σ²
profiled out, ν = n or n - p,

    ŷ = y - Py,     ∂P/∂θ_j = -PV_jP,     ∂θ̂/∂y = -(∂²d/∂θ²)^-1 ∂²d/∂θ∂y,
    ∂²d/∂θ_j∂y = -(2/σ²){Pf_j - (y'f̃_j/νσ²) Py},     f̃_j = Pf_j,

    ρ = tr H + (2/σ²) Σ_jk [(∂²d/∂θ²)^-1]_jk {f̃_j'f̃_k - (y'f̃_k/νσ²) f̃_j'Py}.

A variance estimated at zero drops out. The inverse Hessian is half the covariance of θ̂
that Satterthwaite's method uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from hglm.design import Design
from hglm.fitting.record import Estimates
from hglm.inference.diagnostics.weighted_rows import WeightedRows, times_modes, weighted_rows
from hglm.inference.directions import theta_directions
from hglm.inference.residuals import leverage
from hglm.inference.satterthwaite import satterthwaite
from hglm.inference.scores import Direction, Scores, first_products, linear_state, scores
from hglm.typing import Matrix

__all__ = ["ConditionalAIC", "conditional_aic"]


@dataclass(frozen=True, slots=True)
class ConditionalAIC:
    """The criterion and its parts."""

    caic: float
    log_likelihood: float
    """log p(y | β̂, b̂, σ̂), by the σ̂ of the fit."""
    rho: float
    """Σ ∂ŷ_i/∂y_i."""
    effective: float
    """tr H, θ taken as known."""


def conditional_aic(estimates: Estimates, design: Design) -> ConditionalAIC:
    """Compute the conditional AIC with the correction of Greven and Kneib.

    Parameters
    ----------
    estimates, design
        Of a linear mixed model.
    """
    rows = weighted_rows(estimates, design, "Conditional AICs")
    h = leverage(estimates, design)
    effective = float(h.sum() if design.frequencies is None else h @ design.frequencies)
    rho = effective + _correction(rows, estimates, design)
    problem, sigma2 = rows.problem, rows.solution.sigma2
    log_likelihood = -0.5 * (
        problem.nobs * np.log(2.0 * np.pi * sigma2)
        - problem.sum_log_weights
        + float(rows.Ve @ rows.Ve) / sigma2
    )
    return ConditionalAIC(
        caic=float(-2.0 * log_likelihood + 2.0 * (rho + 1.0)),
        log_likelihood=float(log_likelihood),
        rho=rho,
        effective=effective,
    )


def _correction(rows: WeightedRows, estimates: Estimates, design: Design) -> float:
    """Add up what the estimation of θ adds to tr H."""
    state = linear_state(estimates, "The conditional AIC")
    m, problem, sigma2 = len(state.theta), state.problem, rows.solution.sigma2
    if not m:
        return 0.0
    s = scores(problem, state.theta, state.reml)
    directions = theta_directions(problem.layout, state.theta)
    F = _projected(rows, s, design, directions)
    q = first_products(s, directions)[:, -1, -1]  # y'f̃_j
    nu = problem.nobs - (problem.p if state.reml else 0)
    inner = F.T @ F - np.outer(F.T @ rows.Ve, q) / (nu * sigma2)
    doubled_inverse = satterthwaite(estimates).parameter_vcov[:m, :m]
    return float(np.sum(doubled_inverse * inner)) / sigma2


def _projected(
    rows: WeightedRows, s: Scores, design: Design, directions: Sequence[Direction]
) -> Matrix:
    """f̃_j = PV_jPy on weighted rows. (n, m)"""
    U = [np.zeros((len(directions), *S.shape[1:])) for S in s.stack]
    for j, (t, D) in enumerate(directions):
        U[t][j] = D @ s.stack[t][-1]
    b = s.solution.factor.modes(s.problem.gramian.multiply(U))
    left = [u - x for u, x in zip(U, b, strict=True)]  # V^-1 f = Z(U - b)
    F = times_modes(rows.problem, design, rows.root, left)
    half = linalg.solve_triangular(rows.solution.L_X, rows.VQ.T, lower=True)  # (p, n)
    across = linalg.solve_triangular(rows.solution.L_X, rows.Q.T @ F, lower=True)
    out: Matrix = F - half.T @ across
    return out
