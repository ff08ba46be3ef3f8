"""Fit the structural errors-in-variables model of `likelihood`.

Newton's method in a trust region; the Hessian is differenced from the exact
gradient. The search works on a scaled and centred copy of the data and the
result is mapped back exactly, so units do not matter. A search that ends at a
singular Λ is repeated from a larger one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hglm.errors import DataError
from hglm.fitting.certificate import Certificate
from hglm.measurement.likelihood import (
    ErrorsInVariables,
    Latent,
    Parameters,
    conditional,
    errors_in_variables_loglik,
)
from hglm.numerics.orthogonal import constant_column, standardise_columns
from hglm.numerics.trust_region import (
    TrustRegion,
    TrustRegionResult,
    curvature_scale,
    minimise,
)
from hglm.typing import Matrix, Vector

__all__ = ["ErrorsInVariablesFit", "fit_errors_in_variables"]

_STEP = 1e-5
_TOLERANCE = 1e-10
_SINGULAR = 1e-4
"""Random effects this small beside the residual have a variance of zero (lme4's figure)."""
_NO_RESIDUAL = 1e-3
"""A residual this small beside that of the start is on its way to zero."""


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """Negative log-likelihood with its derivatives."""

    value: float
    gradient: Vector
    """(m,)"""
    hessian: Matrix
    """(m, m)"""


_Result = TrustRegionResult[_Evaluation]


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
    latent: Latent
    """True covariate and random effects, given the data."""
    certificate: Certificate

    @property
    def n_parameters(self) -> int:
        """Parameters of the joint model of response and measurement."""
        return len(self.vcov)

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


def fit_errors_in_variables(
    data: ErrorsInVariables, watch: Callable[[int, float], None] | None = None
) -> ErrorsInVariablesFit:
    """Maximise the likelihood of (y, w).

    Parameters
    ----------
    data
        Arrays of the model. With k = 0 it is a regression.
    watch
        Called after every evaluation with its number in the search and the deviance.

    Raises
    ------
    DataError
        If the errors of measurement leave no variation to the true covariate, or
        none to the residual.
    """
    _check(data)
    scaled, scaling = _scale(data)
    jacobian = scaling.log_jacobian
    seen = None if watch is None else lambda k, value: watch(k, 2.0 * (value + jacobian))
    found = _search(scaled, TrustRegion(tolerance=_TOLERANCE, watch=seen))
    psi = scaling.matrix @ (found.x + found.step) + scaling.shift  # one more Newton step
    parameters = Parameters.unpack(psi, data.sizes)
    s2x = np.exp(2 * parameters.log_sigma_x)
    information = np.linalg.inv(found.point.hessian)
    return ErrorsInVariablesFit(
        parameters=parameters,
        vcov=scaling.matrix @ information @ scaling.matrix.T,
        llf=errors_in_variables_loglik(psi, data)[0],
        reliability=s2x / (s2x + data.se**2),
        latent=conditional(psi, data),
        certificate=_certify(found, _is_singular(found.x, scaled)),
    )


def _search(data: ErrorsInVariables, settings: TrustRegion) -> _Result:
    """Best of the searches from the regression start and, if that is singular, a larger Λ."""

    def objective(psi: Vector) -> _Evaluation:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            value, gradient = errors_in_variables_loglik(psi, data)
            if not np.isfinite(value):  # a trial far off, which is refused
                return _Evaluation(np.inf, np.zeros_like(psi), np.eye(psi.size))
            return _Evaluation(-value, -gradient, -_hessian(psi, data))

    start = _start(data)
    found = minimise(objective, start, settings)
    if data.R.shape[1] and _is_singular(found.x, data):
        lower = start.size - np.count_nonzero(np.tri(data.R.shape[1]))
        larger = np.append(start[:lower], 3.0 * start[lower:])
        again = minimise(objective, larger, settings)
        found = again if again.point.value < found.point.value else found
    q, p, _ = data.sizes
    if found.x[q + p + 2] - start[q + p + 2] < np.log(_NO_RESIDUAL):
        raise DataError(
            f"The errors of measurement of {data.name} account for more than the whole residual "
            "variation of the response, which leaves no residual variance to estimate; check the "
            "standard errors."
        )
    return found


def _is_singular(psi: Vector, data: ErrorsInVariables) -> bool:
    """Tell whether some combination of random effects does not vary; R is scaled."""
    at = Parameters.unpack(psi, data.sizes)
    values = np.linalg.svd(at.Lambda, compute_uv=False)
    return bool(values.min(initial=np.inf) < _SINGULAR * np.exp(at.log_sigma))


def _certify(found: _Result, singular: bool) -> Certificate:
    """Judge the optimum in terms of the deviance, twice the negative log-likelihood."""
    size = curvature_scale(found.point.hessian)
    curvature = float(np.linalg.eigvalsh(found.point.hessian / np.outer(size, size)).min())
    gain = 2.0 * found.predicted_decrease
    converged = bool(gain <= 1e-6 and curvature > 0)
    message = (
        "Converged: the gradient vanishes at the optimum."
        if converged
        else f"Not converged: the deviance may still fall by {gain:.2g}; check the standard errors "
        "of measurement, or simplify the random effects."
    )
    return Certificate(
        converged=converged,
        gain=gain,
        gradient=float(np.abs(2.0 * found.point.gradient / size).max()),
        curvature=curvature,
        evaluations=found.evaluations,
        singular=singular,
        boundary=(0,) if singular else (),
        message=message,
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
    size_R = np.sqrt(np.mean(data.R**2, axis=0))
    size_R[size_R == 0] = 1.0
    scaled = ErrorsInVariables(
        data.y / s_y,
        (data.w - centre) / s_w,
        data.se / s_w,
        S,
        Z,
        data.codes,
        data.n_groups,
        data.R / size_R,
        data.name,
    )
    m = q + p + 3 + k * (k + 1) // 2
    matrix, shift = np.eye(m), np.zeros(m)
    matrix[:q, :q] = s_w * T_S
    shift[q] = np.log(s_w)
    matrix[q + 1 : q + 1 + p, q + 1 : q + 1 + p] = s_y * T_Z
    matrix[q + p + 1, q + p + 1] = s_y / s_w
    shift[q + p + 2] = np.log(s_y)
    matrix[q + p + 3 :, q + p + 3 :] *= s_y / size_R[np.tril_indices(k)[0]]
    if in_S is not None and in_Z is not None:
        shift[in_S] = centre / data.S[0, in_S]
        matrix[q + 1 + in_Z, q + p + 1] = -centre * s_y / s_w / data.Z[0, in_Z]
    return scaled, _Scaling(matrix, shift, data.y.size * float(np.log(s_y) + np.log(s_w)))


def _check(data: ErrorsInVariables) -> None:
    if (data.se < 0).any():
        raise DataError(
            f"Standard errors of measurement of {data.name} are negative; give standard "
            "deviations, 0 where a measurement is exact."
        )
    if np.std(data.w) == 0 or np.std(data.y) == 0:
        raise DataError(
            f"The response or {data.name} is without variation, so there is no slope; remove the "
            "covariate or choose another response."
        )
    if (data.se > 0).all() and _all_error(data):
        raise DataError(
            f"The measurements of {data.name} vary no more than their standard errors explain, so "
            "the true covariate shows no variation and its slope is not identified; check the "
            "standard errors."
        )


def _all_error(data: ErrorsInVariables) -> bool:
    """Whether the likelihood of w falls from σ_x² = 0 on: the score test of variation."""
    root = 1.0 / data.se
    alpha = np.linalg.lstsq(data.S * root[:, None], data.w * root, rcond=None)[0]
    z = (data.w - data.S @ alpha) * root
    return bool(((z**2 - 1.0) * root**2).sum() <= 0.0)
