"""Estimators of the variance τ² between parameters, y_i ~ N(x_i'β, v_i + τ²).

Method-of-moments estimators equate a quadratic form y'Ay to its expectation
tr(AV) + τ² tr(A): Hedges (1983), DerSimonian & Laird (1986), Hunter & Schmidt
(1990), Sidik & Jonkman (2005). Paule & Mandel (1982), which is Morris's (1983)
empirical Bayes estimator, solves y'P(τ²)y = k − p. ML and REML maximise a
likelihood (Harville 1977). Standard errors are √(2 tr(AΣAΣ)) over the slope of
the expectation, and from the expected information for ML and REML. Estimates
below zero are set to zero. Viechtbauer (2005, JEBS 30, 261-293) compares them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hglm.empirical.certificate import Certificate
from hglm.empirical.normal.likelihood import maximise_tau2, score
from hglm.empirical.normal.projection import Projection, project
from hglm.errors import OptionError
from hglm.typing import Matrix, Vector

__all__ = ["TAU2_METHODS", "Tau2", "estimate_tau2", "solve_quadratic_form"]

CLOSED_FORM = Certificate("closed form", 0.0, 0.0, 1, True)


@dataclass(frozen=True, slots=True)
class Tau2:
    """An estimate of τ²."""

    value: float
    std_error: float
    """Missing where τ² is fixed."""
    certificate: Certificate


def estimate_tau2(method: str, y: Vector, X: Matrix, v: Vector) -> Tau2:
    """Estimate τ².

    Parameters
    ----------
    method
        "ml", "reml", "dl", "pm", "eb", "he", "hs", "sj", or "fe" (τ² = 0).
    y : (k,)
        Estimates.
    X : (k, p)
        Covariates.
    v : (k,)
        Known sampling variances.
    """
    if method not in _ESTIMATORS:
        raise OptionError(
            f"There is no estimator of the between-group variance called {method!r}; choose one of "
            f"{', '.join(repr(name) for name in _ESTIMATORS)}."
        )
    return _ESTIMATORS[method](y, X, v)


def solve_quadratic_form(y: Vector, X: Matrix, v: Vector, target: float) -> tuple[float, int]:
    """Solve y'P(τ²)y = target for τ² ≥ 0; 0 where it is below the target already.

    The form is convex and decreasing in τ² (a minimum over β of jointly convex
    functions), so Newton's method from the left converges monotonically.
    """
    tau2, count = 0.0, 0
    while count < 200:
        count += 1
        at = project(y, X, 1.0 / (v + tau2))
        excess = at.quadratic - target
        slope = -float(at.apply(y) @ at.apply(y))
        if excess <= 1e-14 * max(target, 1.0) or slope == 0:
            break
        step = -excess / slope
        tau2 += step
        if step <= 1e-15 * tau2:
            break
    return tau2, count


def _moments(
    y: Vector, X: Matrix, v: Vector, weights: Vector, excess: Callable[[Projection], float]
) -> Tau2:
    """τ² = excess(P) / tr(P) for fixed weights."""
    at = project(y, X, weights)
    divisor = at.trace()
    tau2 = max(0.0, excess(at) / divisor)
    return Tau2(tau2, np.sqrt(2 * at.trace_square(v + tau2)) / divisor, CLOSED_FORM)


def _dersimonian_laird(y: Vector, X: Matrix, v: Vector) -> Tau2:
    return _moments(y, X, v, 1 / v, lambda at: at.quadratic - (y.size - X.shape[1]))


def _hedges(y: Vector, X: Matrix, v: Vector) -> Tau2:
    return _moments(y, X, v, np.ones_like(v), lambda at: at.quadratic - at.trace(v))


def _hunter_schmidt(y: Vector, X: Matrix, v: Vector) -> Tau2:
    at = project(y, X, 1 / v)
    total = float((1 / v).sum())
    tau2 = max(0.0, (at.quadratic - y.size) / total)
    return Tau2(tau2, np.sqrt(2 * at.trace_square(v + tau2)) / total, CLOSED_FORM)


def _sidik_jonkman(y: Vector, X: Matrix, v: Vector) -> Tau2:
    crude = float(np.mean((y - y.mean()) ** 2))
    at = project(y, X, 1 / (v + crude))
    df = y.size - X.shape[1]
    tau2 = crude * at.quadratic / df
    return Tau2(tau2, crude / df * np.sqrt(2 * at.trace_square(v + tau2)), CLOSED_FORM)


def _paule_mandel(y: Vector, X: Matrix, v: Vector) -> Tau2:
    df = y.size - X.shape[1]
    tau2, count = solve_quadratic_form(y, X, v, df)
    at = project(y, X, 1 / (v + tau2))
    gap = max(0.0, at.quadratic - df) / df
    certificate = Certificate("estimating equation", gap, 1e-8, count, gap <= 1e-8)
    trace = df / y.size * float(at.weights.sum())  # Morris's approximation of tr(P)
    return Tau2(tau2, np.sqrt(2 * df) / trace, certificate)


def _likelihood(y: Vector, X: Matrix, v: Vector, reml: bool) -> Tau2:
    tau2, count = maximise_tau2(y, X, v, reml)
    at = project(y, X, 1 / (v + tau2))
    slope, information = score(y, at, reml)
    remaining = max(slope, 0.0) if tau2 == 0 else abs(slope)
    gap = 0.5 * remaining**2 / information
    error = 1 / np.sqrt(information)
    return Tau2(tau2, error, Certificate("newton decrement", gap, 1e-8, count, gap <= 1e-8))


_ESTIMATORS: dict[str, Callable[[Vector, Matrix, Vector], Tau2]] = {
    "reml": lambda y, X, v: _likelihood(y, X, v, True),
    "ml": lambda y, X, v: _likelihood(y, X, v, False),
    "dl": _dersimonian_laird,
    "pm": _paule_mandel,
    "eb": _paule_mandel,
    "he": _hedges,
    "hs": _hunter_schmidt,
    "sj": _sidik_jonkman,
    "fe": lambda *_: Tau2(0.0, np.nan, CLOSED_FORM),
}

TAU2_METHODS = tuple(_ESTIMATORS)
