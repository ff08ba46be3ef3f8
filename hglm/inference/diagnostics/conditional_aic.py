"""Conditional AIC, for questions about these very groups.

    cAIC = -2 log p(y | β̂, b̂, σ̂) + 2(ρ + 1),     1 for σ, where there is one

Poisson and binomial models have the ρ of `conditional_aic_refits`; of linear ones:

Vaida & Blanchard (2005, Biometrika 92, 351-370) take ρ = tr H, the effective number of
parameters, as if θ were known, which favours every variance that is not estimated at zero.
Greven & Kneib (2010, Biometrika 97, 773-789) count the estimation of θ: ρ = Σ ∂ŷ_i/∂y_i.
With V and P relative to σ², f_j = V_jPy, V_j = ∂V/∂θ_j, and the criterion d(θ), σ²
profiled out, ν = n or n - p,

    ŷ = y - Py,     ∂P/∂θ_j = -PV_jP,     ∂θ̂/∂y = -(∂²d/∂θ²)^-1 ∂²d/∂θ∂y,
    ∂²d/∂θ_j∂y = -(2/σ²){Pf_j - (y'f̃_j/νσ²) Py},     f̃_j = Pf_j,

    ρ = tr H + (2/σ²) Σ_jk [(∂²d/∂θ²)^-1]_jk {f̃_j'f̃_k - (y'f̃_k/νσ²) f̃_j'Py}.

A variance estimated at zero drops out. The inverse Hessian is half the covariance of θ̂
that Satterthwaite's method uses. tr H of a generalised model is that of the penalised
least squares at the mode (Lu, Hodges & Carlin 2007, Can. J. Stat. 35, 69-87),

    tr H = Σ_i w_i [ZQZ' + X̃(X'WX̃)^-1X̃']_ii,     X̃ = X - ZQZ'WX,  Q = (Z'WZ + Σ^-1)^-1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from hglm.criteria.mode import weights
from hglm.design import Design
from hglm.families import Response
from hglm.fitting.record import Estimates, GeneralisedState
from hglm.inference.diagnostics.conditional_aic_refits import neighbour_correction
from hglm.inference.diagnostics.weighted_rows import WeightedRows, times_modes, weighted_rows
from hglm.inference.directions import theta_directions
from hglm.inference.family_point import family_point, fitted_predictors
from hglm.inference.residuals import leverage
from hglm.inference.satterthwaite import satterthwaite
from hglm.inference.scores import Direction, Scores, first_products, linear_state, scores
from hglm.typing import Matrix

__all__ = ["ConditionalAIC", "conditional_aic"]


@dataclass(frozen=True, slots=True, repr=False)
class ConditionalAIC:
    """The criterion and its parts."""

    caic: float
    log_likelihood: float
    """log p(y | β̂, b̂, σ̂), by the σ̂ of the fit."""
    rho: float
    """Σ ∂ŷ_i/∂y_i, or its counterpart for counts: the effective number of parameters."""
    effective: float
    """tr H, θ taken as known."""

    def __repr__(self) -> str:
        return (
            f"Conditional AIC {self.caic:.2f}: log likelihood {self.log_likelihood:.2f}, "
            f"{self.rho:.2f} effective parameters ({self.effective:.2f} with θ known)"
        )


def conditional_aic(estimates: Estimates, design: Design) -> ConditionalAIC:
    """Compute the conditional AIC with a correction for the estimation of θ.

    Parameters
    ----------
    estimates, design
        Of a linear, Poisson or binomial mixed model. The latter take a fit for each
        response above zero, or two for each proportion, of rows that differ.
    """
    state = estimates.state
    if isinstance(state, GeneralisedState):
        rho = neighbour_correction(estimates, state, design)
        log_likelihood = _log_density(estimates, state, design)
        effective = _penalised_trace(state)
        return ConditionalAIC(2.0 * (rho - log_likelihood), log_likelihood, rho, effective)
    return _linear(estimates, design)


def _linear(estimates: Estimates, design: Design) -> ConditionalAIC:
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


def _log_density(estimates: Estimates, state: GeneralisedState, design: Design) -> float:
    """log p(y | β̂, b̂)."""
    point = family_point(state, design, fitted_predictors(estimates))
    data = Response(design.y, point.sizes)
    return float(state.problem.likelihood.family.kernel(data)(point).value.sum())


def _penalised_trace(state: GeneralisedState) -> float:
    """Compute tr H at the mode."""
    problem, mode = state.problem, state.evaluation.mode
    assert mode is not None  # the fit has converged
    (w,) = weights(problem, mode.jet).values()  # one predictor
    X = problem.fixed[0].X
    assert X is not None
    inner, parts, pattern = X.copy(), np.zeros(problem.n), problem.pattern
    if pattern.groupings:
        _, diagonal, cells = mode.factor.inverse_on_pattern()
        (parts,) = pattern.variances(diagonal, cells).values()
        for j, x in enumerate(X.T):
            inner[:, j] -= pattern.apply(mode.factor.modes(pattern.sums({0: w * x})), {})[0]
    information = X.T @ (w[:, None] * inner)
    lines = np.einsum("ni,ni->n", inner @ np.linalg.pinv(information), inner)
    return float(w @ (parts + lines))


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
