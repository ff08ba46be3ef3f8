"""Find the optimum of a linear mixed model, and prove it.

Newton's method in a trust region, from a moment start, over unbounded θ. Every
point where a term's T is singular is a stationary point by symmetry, so after
convergence the criterion is tested there: with N spanning the null space of
Σ = TT', the optimum needs N'FN ⪰ 0, F = ∂d/∂Σ. A negative eigenvalue gives a
direction in which a new variance pays, and the search goes on from there.
Singular surfaces can have several such optima: one more search from a full
covariance is made, and the better result kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from hglm.covariance import lower_factor
from hglm.criteria.linear_problem import LinearProblem
from hglm.criteria.moments import moment_start
from hglm.criteria.profiled import Evaluation, Solution, evaluate, solve
from hglm.errors import FitError
from hglm.fitting.certificate import Certificate
from hglm.numerics.trust_region import TrustRegion, TrustRegionResult, minimise
from hglm.typing import Matrix, Vector

__all__ = ["LinearOptimum", "fit_linear"]

SINGULAR = 1e-4
"""A direction of T this small, in units of the residual, is a variance of zero
(lme4's `isSingular` uses the same figure)."""
PROBE = 3e-3
"""Relative standard deviation at which a null direction is tested."""
Result = TrustRegionResult[Evaluation]


@dataclass(frozen=True, slots=True)
class LinearOptimum:
    """The optimum in standardised coordinates."""

    theta: Vector
    """(m,) canonical."""
    solution: Solution
    certificate: Certificate
    path: tuple[tuple[Vector, float], ...]
    """Every θ tried, with the criterion there."""


def fit_linear(
    problem: LinearProblem,
    reml: bool,
    start: Vector | None = None,
    settings: TrustRegion | None = None,
) -> LinearOptimum:
    """Minimise the profiled deviance or REML criterion.

    Parameters
    ----------
    problem
        Cross-products.
    reml
        REML criterion rather than deviance.
    start : (m,) or None
        In standardised coordinates; moments by default.
    settings
        Of the trust region.
    """
    settings = TrustRegion() if settings is None else settings

    def objective(theta: Vector) -> Evaluation:
        try:
            return evaluate(problem, theta, reml)
        except (FitError, linalg.LinAlgError):  # beyond the reach of the arithmetic
            m = len(theta)
            return Evaluation(np.inf, np.zeros(m), np.eye(m), ())

    first = moment_start(problem) if start is None else start
    best = minimise(objective, first, settings)
    path = list(best.path)
    if _null_spaces(problem, best.x):
        full = problem.layout.from_factors([0.7 * np.eye(s.k) for s in problem.layout.slots])
        other = minimise(objective, full, settings)
        path += other.path
        best = other if other.point.value < best.point.value - settings.tolerance else best
    for _ in range(4):
        outward = _outward(problem, best, reml, path)
        if outward is None:
            break
        better = minimise(objective, outward, settings)
        path += better.path
        best = better if better.point.value < best.point.value else best
    theta, solution = _finish(problem, best, reml)
    return LinearOptimum(
        theta, solution, _certify(problem, best, theta, outward is None, path), tuple(path)
    )


def _null_spaces(problem: LinearProblem, theta: Vector) -> list[tuple[int, Matrix]]:
    """Slots with a singular T, each with an orthonormal basis of the null space of Σ."""
    out = []
    for i, T in enumerate(problem.layout.term_factors(theta)):
        u, d, _ = np.linalg.svd(T)
        if d[-1] < SINGULAR:
            out.append((i, u[:, d < SINGULAR]))
    return out


def _outward(
    problem: LinearProblem, result: Result, reml: bool, path: list[tuple[Vector, float]]
) -> Vector | None:
    """Point of lower criterion off the boundary, if the boundary is not optimal there."""
    singular = _null_spaces(problem, result.x)
    if not singular:
        return None
    factors = problem.layout.term_factors(result.x)
    opened = list(factors)
    for i, N in singular:
        opened[i] = np.hstack([factors[i], PROBE * N])
    probe = problem.layout.from_factors(opened)
    point = evaluate(problem, probe, reml)
    path.append((probe, point.value))
    best: tuple[float, int, Vector] | None = None
    for i, N in singular:
        slot = problem.layout.slots[i]
        F = point.F[slot.group][slot.columns, slot.columns]
        basis = N
        if slot.structure.mixing != "linear":  # only variances of single columns can open
            basis = np.eye(slot.k)[:, (N**2).sum(axis=1) > 0.5]
        if not basis.shape[1]:
            continue
        values, vectors = np.linalg.eigh(basis.T @ F @ basis)
        noise = 1e-6 * np.sqrt(problem.nobs)
        if values[0] < -noise and (best is None or values[0] < best[0]):
            best = values[0], i, basis @ vectors[:, 0]
    if best is None:
        return None
    _, i, direction = best
    for size in (1.0, 0.3, 0.1, 0.03, PROBE):
        moved = list(factors)
        moved[i] = np.hstack([factors[i], size * direction[:, None]])
        candidate = problem.layout.from_factors(moved)
        value = solve(problem, candidate, reml).value
        path.append((candidate, value))
        if value < result.point.value - 1e-9:
            return candidate
    return None


def _finish(problem: LinearProblem, result: Result, reml: bool) -> tuple[Vector, Solution]:
    """Take the last step, make θ canonical, put tiny variances to zero, solve afresh."""
    theta = problem.layout.canonical(result.x + result.step)
    solution = solve(problem, theta, reml)
    if solution.value > result.point.value + 1e-9 * max(1.0, abs(result.point.value)):
        theta = problem.layout.canonical(result.x)
        solution = solve(problem, theta, reml)
    if _null_spaces(problem, theta):
        snapped = problem.layout.from_factors(
            [_snap(T) for T in problem.layout.term_factors(theta)]
        )
        exact = solve(problem, snapped, reml)
        if exact.value <= solution.value + 1e-7:
            return snapped, exact
    return theta, solution


def _snap(T: Matrix) -> Matrix:
    u, d, _ = np.linalg.svd(T)
    if d[-1] >= SINGULAR:
        return T
    return lower_factor(u * np.where(d < SINGULAR, 0.0, d))


def _certify(
    problem: LinearProblem,
    result: Result,
    theta: Vector,
    boundary_optimal: bool,
    path: list[tuple[Vector, float]],
) -> Certificate:
    null = _null_spaces(problem, theta)
    gradient, hessian = result.point.gradient, result.point.hessian
    scale = np.sqrt(np.maximum(np.abs(np.diagonal(hessian)), 1e-8))
    curvature = (
        float(np.linalg.eigvalsh(hessian / np.outer(scale, scale))[0]) if len(gradient) else 1.0
    )
    gain = result.predicted_decrease
    converged = result.converged and boundary_optimal and gain < 1e-4
    message = (
        "Converged: the gradient vanishes at the optimum."
        if converged
        else f"Not converged: the criterion may still fall by {gain:.2g}; "
        "check the scale of the data, simplify the random effects, or pass other start values."
    )
    return Certificate(
        converged=converged,
        gain=gain,
        gradient=float(np.max(np.abs(gradient) / scale, initial=0.0)),
        curvature=0.0 if null else curvature,
        evaluations=len(path),
        singular=bool(null),
        boundary=tuple(i for i, _ in null),
        message=message,
    )
