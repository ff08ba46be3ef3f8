"""How uncertain the estimates of many refits are, by differences in lock-step.

What `hglm.inference.satterthwaite` and the standard errors of generalised models take from
one fit at a time is here taken from all at once: central differences of the exact
gradients give the Hessians, and of the covariance of β̂ its derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hglm.criteria.generalised_problem import GeneralisedProblem
from hglm.criteria.lockstep_linear import ManyResponses, Profiled, profile_many
from hglm.numerics.lockstep import Objective
from hglm.numerics.positive import covariance_of, positive_inverse
from hglm.numerics.trust_region import curvature_scale
from hglm.typing import AnyArray, Codes, Matrix, Vector

__all__ = ["Uncertainty", "laplace_uncertainty", "linear_uncertainty"]

STEP = 1e-4
"""Step of a θ, relative to it or to a tenth."""


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Covariances of estimates from B responses; NaN where lock-step does not tell."""

    vcov: Matrix
    """(B, p, p) of β̂."""
    jacobian: Matrix
    """(B, r, p, p) its derivatives in the r variance parameters; r = 0 where not needed."""
    parameter_vcov: Matrix
    """(B, r, r) of the variance parameters."""

    def without(self, rows: Codes) -> Uncertainty:
        """Forget some responses."""
        vcov = self.vcov.copy()
        vcov[rows] = np.nan
        return Uncertainty(vcov, self.jacobian, self.parameter_vcov)


def linear_uncertainty(many: ManyResponses, theta: Matrix, to_beta: Matrix) -> Uncertainty:
    """Covariance of β̂, and what Satterthwaite's method makes of it.

    Equations: `hglm.inference.satterthwaite`, in (θ, σ).

    Parameters
    ----------
    many
        Cross-products.
    theta : (B, m)
        Optima.
    to_beta : (p, p)
        R^-1.
    """
    n, m = theta.shape
    p = len(to_beta)
    at = profile_many(many, np.arange(n), theta)
    H = np.empty((n, m + 1, m + 1))
    quad = np.empty((n, m))
    jacobian = np.empty((n, m + 1, p, p))
    sigma2 = at.sigma2[:, None]
    for j in range(m):
        step = STEP * np.maximum(0.1, np.abs(theta[:, j]))
        ahead, behind = _either_side(many, theta, j, step)
        width = 2.0 * step[:, None]
        H[:, :m, j] = (ahead.gradient - behind.gradient) / width
        quad[:, j] = -many.nu * (ahead.sigma2 - behind.sigma2) / width[:, 0]  # y'PV_jPy
        jacobian[:, j] = (ahead.covariance - behind.covariance) / width[:, :, None]
    H[:, :m, :m] = 0.5 * (H[:, :m, :m] + H[:, :m, :m].swapaxes(1, 2))
    H[:, :m, :m] += quad[:, :, None] * quad[:, None, :] / (many.nu * sigma2[:, :, None] ** 2)
    H[:, :m, m] = H[:, m, :m] = 2.0 * quad / sigma2**1.5
    H[:, m, m] = 4.0 * many.nu / at.sigma2
    jacobian[:, :m] *= sigma2[:, :, None, None]
    jacobian[:, m] = 2.0 * np.sqrt(sigma2)[:, :, None] * at.covariance
    return Uncertainty(
        vcov=to_beta @ (sigma2[:, :, None] * at.covariance) @ to_beta.T,
        jacobian=to_beta @ jacobian @ to_beta.T,
        parameter_vcov=2.0 * positive_inverse(H),
    )


def laplace_uncertainty(
    problem: GeneralisedProblem,
    objective: Objective,
    warm: AnyArray | None,
    psi: Matrix,
    hessian: Matrix,
) -> Uncertainty:
    """Covariance of the mean's β̂ from the Hessians of the deviances.

    Parameters
    ----------
    problem, objective
        Model and deviances.
    warm : (B, ...)
        Modes to start from.
    psi : (B, d)
        Optima, variances at zero put there.
    hessian : (d, d)
        Gives the size of the steps.
    """
    n, d = psi.shape
    mean, rows = problem.fixed[0], np.arange(n)
    H = np.empty((n, d, d))
    for j, width in enumerate(3e-3 / curvature_scale(hessian)):
        step = width * np.eye(d)[j]
        ahead = objective(rows, psi + step, warm).gradient
        behind = objective(rows, psi - step, warm).gradient
        H[:, :, j] = (ahead - behind) / (2.0 * width)
    covariance = covariance_of(0.5 * (H + H.swapaxes(1, 2)), problem.n_fixed)
    return Uncertainty(
        vcov=mean.to_beta @ covariance[:, mean.parameters, mean.parameters] @ mean.to_beta.T,
        jacobian=np.empty((n, 0, mean.p, mean.p)),
        parameter_vcov=np.empty((n, 0, 0)),
    )


def _either_side(
    many: ManyResponses, theta: Matrix, j: int, step: Vector
) -> tuple[Profiled, Profiled]:
    rows, unit = np.arange(len(theta)), np.eye(theta.shape[1])[j]
    moved = step[:, None] * unit
    return profile_many(many, rows, theta + moved), profile_many(many, rows, theta - moved)
