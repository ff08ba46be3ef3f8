"""Fit the structural errors-in-variables model of `measurement_error`.

Newton's method in a trust region; the Hessian is differenced from the exact
gradient. The search works on a scaled and centred copy of the data and the
result is mapped back exactly, so units do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hglm.empirical.certificate import Certificate
from hglm.empirical.maximise import Evaluation
from hglm.empirical.measurement_error import (
    ErrorsInVariables,
    Parameters,
    errors_in_variables_loglik,
    latent_means,
)
from hglm.errors import DataError
from hglm.numerics.orthogonal import constant_column, standardise_columns
from hglm.numerics.trust_region import TrustRegion, minimise
from hglm.typing import Matrix, Vector

__all__ = ["ErrorsInVariablesFit", "fit_errors_in_variables"]

_STEP = 1e-5


@dataclass(frozen=True, slots=True)
class ErrorsInVariablesFit:
    """Maximum-likelihood estimates. q, p and k as in `ErrorsInVariables`."""

    parameters: Parameters
    vcov: Matrix
    """Inverse observed information of the packed parameters."""
    llf: float
    """Log-likelihood of (y, w)."""
    reliability: Vector
    """(n,) estimated reliability of each measurement."""
    latent: Vector
    """(n,) E[x | w, y]."""
    certificate: Certificate

    @property
    def slope(self) -> float:
        """Coefficient of the true covariate."""
        return self.parameters.beta

    @property
    def slope_se(self) -> float:
        """Its standard error."""
        at = self.parameters.alpha.size + self.parameters.gamma.size + 1
        return float(np.sqrt(self.vcov[at, at]))


@dataclass(frozen=True, slots=True)
class _Scaling:
    """Affine map from the parameters of the scaled data: ψ = matrix ψ' + shift."""

    matrix: Matrix
    shift: Vector
    log_jacobian: float
    """What the log-likelihood of the scaled data exceeds that of the data by."""


def fit_errors_in_variables(data: ErrorsInVariables) -> ErrorsInVariablesFit:
    """Maximise the likelihood of (y, w).

    Parameters
    ----------
    data
        Arrays of the model. With k = 0 it is a regression.
    """
    _check(data)
    scaled, scaling = _scale(data)

    def objective(psi: Vector) -> Evaluation:
        value, gradient = errors_in_variables_loglik(psi, scaled)
        if not np.isfinite(value):
            return Evaluation(np.inf, np.zeros_like(psi), np.eye(psi.size))
        return Evaluation(-value, -gradient, -_hessian(psi, scaled))

    found = minimise(objective, _start(scaled), TrustRegion(tolerance=1e-10))
    psi = scaling.matrix @ found.x + scaling.shift
    information = np.linalg.inv(found.point.hessian)
    parameters = Parameters.unpack(psi, data.sizes)
    s2x = np.exp(2 * parameters.log_sigma_x)
    gap = found.predicted_decrease
    return ErrorsInVariablesFit(
        parameters=parameters,
        vcov=scaling.matrix @ information @ scaling.matrix.T,
        llf=-found.point.value - scaling.log_jacobian,
        reliability=s2x / (s2x + data.se**2),
        latent=latent_means(psi, data),
        certificate=Certificate("newton decrement", gap, 1e-8, found.evaluations, gap <= 1e-8),
    )


def _hessian(psi: Vector, data: ErrorsInVariables) -> Matrix:
    """Central differences of the exact gradient, symmetrised."""
    rows = []
    for i in range(psi.size):
        step = np.zeros_like(psi)
        step[i] = _STEP
        ahead = errors_in_variables_loglik(psi + step, data)[1]
        rows.append((ahead - errors_in_variables_loglik(psi - step, data)[1]) / (2 * _STEP))
    out = np.array(rows)
    return 0.5 * (out + out.T)


def _start(data: ErrorsInVariables) -> Vector:
    """Regression calibration: replace w by its reliability-shrunk value."""
    alpha = np.asarray(np.linalg.lstsq(data.S, data.w, rcond=None)[0], dtype=float)
    deviation = data.w - data.S @ alpha
    total = float(np.mean(deviation**2))
    s2x = max(total - float(np.mean(data.se**2)), 0.1 * total)
    xhat = data.w - data.se**2 / (s2x + data.se**2) * deviation
    design = np.column_stack([data.Z, xhat])
    coefficients = np.asarray(np.linalg.lstsq(design, data.y, rcond=None)[0], dtype=float)
    s2 = float(np.mean((data.y - design @ coefficients) ** 2))
    k = data.R.shape[1]
    Lambda = np.diag(0.5 * np.sqrt(s2 / np.maximum(np.mean(data.R**2, axis=0), 1e-300)))
    return Parameters(
        alpha,
        0.5 * float(np.log(s2x)),
        coefficients[:-1],
        float(coefficients[-1]),
        0.5 * float(np.log(s2 / (1 + k))),
        Lambda,
    ).pack()


def _scale(data: ErrorsInVariables) -> tuple[ErrorsInVariables, _Scaling]:
    """Scale to unit size; centre w where both of its regressions have a constant."""
    q, p, k = data.sizes
    s_y, s_w = float(np.std(data.y)), float(np.std(data.w))
    S, T_S = standardise_columns(data.S, None)
    Z, T_Z = standardise_columns(data.Z, None)
    in_S, in_Z = constant_column(data.S), constant_column(data.Z)
    centre = float(data.w.mean()) if in_S is not None and in_Z is not None else 0.0
    scaled = ErrorsInVariables(
        data.y / s_y,
        (data.w - centre) / s_w,
        data.se / s_w,
        S,
        Z,
        data.codes,
        data.n_groups,
        data.R,
    )
    m = q + p + 3 + k * (k + 1) // 2
    matrix, shift = np.eye(m), np.zeros(m)
    matrix[:q, :q] = s_w * T_S
    shift[q] = np.log(s_w)
    matrix[q + 1 : q + 1 + p, q + 1 : q + 1 + p] = s_y * T_Z
    matrix[q + p + 1, q + p + 1] = s_y / s_w
    shift[q + p + 2] = np.log(s_y)
    matrix[q + p + 3 :, q + p + 3 :] *= s_y
    if in_S is not None and in_Z is not None:
        shift[in_S] = centre / data.S[0, in_S]
        matrix[q + 1 + in_Z, q + p + 1] = -centre * s_y / s_w / data.Z[0, in_Z]
    return scaled, _Scaling(matrix, shift, data.y.size * float(np.log(s_y) + np.log(s_w)))


def _check(data: ErrorsInVariables) -> None:
    if (data.se < 0).any():
        raise DataError("Standard errors of measurement cannot be negative; mend them.")
    if np.std(data.w) == 0 or np.std(data.y) == 0:
        raise DataError("A covariate or response without variation carries no slope; remove it.")
    deviation = data.w - data.S @ np.linalg.lstsq(data.S, data.w, rcond=None)[0]
    if float(np.mean(deviation**2)) <= float(np.mean(data.se**2)):
        raise DataError(
            "The measurements vary no more than their standard errors explain, so the true "
            "covariate shows no variation and its slope is not identified; check the standard "
            "errors."
        )
