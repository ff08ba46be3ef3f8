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

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from hglm.covariance import Slot
from hglm.criteria.linear_problem import LinearProblem
from hglm.criteria.moments import moment_start
from hglm.criteria.profiled import Evaluation, Solution, differenced_hessian, evaluate, solve
from hglm.errors import FitError
from hglm.fitting.boundary import null_spaces, openings, starts_by_moments, with_slot
from hglm.fitting.certificate import Certificate
from hglm.numerics.schur import SINGLE_PRECISION_ORDER
from hglm.numerics.trust_region import (
    TrustRegion,
    TrustRegionResult,
    curvature_scale,
    minimise,
    trust_region_step,
)
from hglm.typing import Matrix, Vector

__all__ = ["LinearOptimum", "fit_linear"]

SINGULAR = 1e-4
"""A direction of T this small, in units of the residual, is a variance of zero
(lme4's `isSingular` uses the same figure)."""
PROBE = 3e-3
"""Relative standard deviation at which a null direction is tested."""
COSTLY_ORDER = 1000
"""Columns of a dense Schur complement from which an evaluation is costly."""
COSTLY_TOLERANCE = 1e-5
"""Predicted decrease at which a costly search takes its last step unchecked by a gradient."""
NEGLIGIBLE, NEGLIGIBLE_HUGE = 1e-13, 1e-6
"""Predicted decreases for which no last step is taken at all; the latter where the
gradient is good to single precision only."""
PATIENCE = 50
"""Evaluations after which the exact Hessian has to help: ordinary models need 5 to 30."""
BEYOND = (FitError, linalg.LinAlgError)
"""Raised where θ is beyond the reach of the arithmetic."""
FLAT = 1e-6
"""Scaled curvatures of this size are zero."""
OVERWHELMING = 1e3
"""Standard deviations in units of the residual's beyond which that is hardly there."""
SIZES = (0.3, 1.0, 3.0)
"""Relative standard deviations with which structured terms are tried first."""
Result = TrustRegionResult[Evaluation]
Way = tuple[float, Slot, Callable[[float], Vector]]


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
    if _schur_order(problem) >= COSTLY_ORDER:
        settings = replace(settings, tolerance=max(settings.tolerance, COSTLY_TOLERANCE))

    def objective(theta: Vector) -> Evaluation:
        try:
            return evaluate(problem, theta, reml)
        except BEYOND:
            m = len(theta)
            return Evaluation(np.inf, np.zeros(m), np.eye(m), ())

    first = _start(problem, reml) if start is None else start
    patient = settings
    settings = replace(settings, max_evaluations=min(PATIENCE, settings.max_evaluations))
    best = minimise(objective, first, settings)
    path = list(best.path)
    singular = bool(null_spaces(problem.layout, best.x, SINGULAR))
    if singular:
        other = minimise(objective, _full(problem), settings)
        path += other.path
        best = other if other.point.value < best.point.value - settings.tolerance else best
    outward: Vector | None = None
    for _ in range(4 if singular else 0):
        outward = _outward(problem, best, reml, path)
        if outward is None:
            break
        better = minimise(objective, outward, settings)
        path += better.path
        best = better if better.point.value < best.point.value else best
    if _is_saddle(problem, best):
        exact = minimise(_with_differenced_hessian(problem, objective, reml), best.x, patient)
        path += exact.path
        best = exact
    theta, solution = _finish(problem, best, reml)
    return LinearOptimum(
        theta, solution, _certify(problem, best, theta, outward is None, path), tuple(path)
    )


def _is_saddle(problem: LinearProblem, result: Result) -> bool:
    """Whether the average information, an approximation, denies that this is an optimum."""
    denied = not result.converged or _curvature(result.point) < -FLAT
    return denied and len(result.x) > 0 and not null_spaces(problem.layout, result.x, SINGULAR)


def _with_differenced_hessian(
    problem: LinearProblem, objective: Callable[[Vector], Evaluation], reml: bool
) -> Callable[[Vector], Evaluation]:
    def exact(theta: Vector) -> Evaluation:
        found = objective(theta)
        if not np.isfinite(found.value):
            return found
        try:
            return replace(found, hessian=differenced_hessian(problem, theta, reml))
        except BEYOND:
            return found

    return exact


def _start(problem: LinearProblem, reml: bool) -> Vector:
    """Start from moments, and for structured terms from the best of a few members. (m,)"""
    theta = moment_start(problem, [s for s in problem.layout.slots if starts_by_moments(s)])
    for slot in problem.layout.slots:
        if not starts_by_moments(slot):
            everything = np.eye(slot.k)
            members = [
                with_slot(theta, slot, own)
                for size in SIZES
                for own in openings(slot, theta[slot.parameters], everything, size)
            ]
            theta = min(members, key=lambda x: solve(problem, x, reml).value)
    return theta


def _full(problem: LinearProblem) -> Vector:
    """Covariances far from singular. (m,)"""
    theta = np.zeros(problem.layout.n_theta)
    for slot in problem.layout.slots:
        own = openings(slot, theta[slot.parameters], np.eye(slot.k), 0.7)
        theta = with_slot(theta, slot, own[len(own) // 2])
    return theta


def _outward(
    problem: LinearProblem, result: Result, reml: bool, path: list[tuple[Vector, float]]
) -> Vector | None:
    """Point of lower criterion off the boundary, if the boundary is not optimal there."""
    singular = null_spaces(problem.layout, result.x, SINGULAR)
    if not singular:
        return None
    slots = problem.layout.slots
    probe = result.x
    for i, N in singular:
        own = openings(slots[i], probe[slots[i].parameters], N, PROBE)
        probe = with_slot(probe, slots[i], own[len(own) // 2])
    point = evaluate(problem, probe, reml)
    path.append((probe, point.value))
    ways = [
        _steepest(slots[i], result.x, N, slots[i].own(point.F[slots[i].group])) for i, N in singular
    ]
    slope, slot, way = min(ways, key=lambda way: way[0])
    if slope > -1e-6 * np.sqrt(problem.nobs):
        return None
    for size in (1.0, 0.3, 0.1, 0.03, PROBE):
        candidate = with_slot(result.x, slot, way(size))
        value = solve(problem, candidate, reml).value
        path.append((candidate, value))
        if value < result.point.value - 1e-9:
            return candidate
    return None


def _steepest(slot: Slot, theta: Vector, N: Matrix, F: Matrix) -> Way:
    """Find the covariance that opens best, with the slope of the criterion along it."""
    shapes = slot.structure.openings(slot.k)
    if len(shapes) and N.shape[1] == slot.k:
        factors = [slot.structure.factor(own, slot.k) for own in shapes]
        slopes = [float(np.sum(F * (T @ T.T))) for T in factors]
        best = int(np.argmin(slopes))
        return slopes[best], slot, lambda size: slot.structure.openings(slot.k, size)[best]
    if slot.structure.mixing != "linear":  # only variances of single columns can open
        N = np.eye(slot.k)[:, (N**2).sum(axis=1) > 0.5]
    if not N.shape[1]:
        return 0.0, slot, lambda _: theta[slot.parameters]
    values, vectors = np.linalg.eigh(N.T @ F @ N)
    direction = N @ vectors[:, :1]
    return (
        float(values[0]),
        slot,
        lambda size: openings(slot, theta[slot.parameters], direction, size)[0],
    )


def _finish(problem: LinearProblem, result: Result, reml: bool) -> tuple[Vector, Solution]:
    """Take the last step, make θ canonical, put tiny variances to zero, solve afresh.

    A step that promises nothing is not taken: the solution is there already.
    """
    here = result.point.solution
    x = problem.layout.canonical(result.x)
    huge = _schur_order(problem) >= SINGLE_PRECISION_ORDER
    enough = NEGLIGIBLE_HUGE if huge else NEGLIGIBLE
    if here is not None and result.predicted_decrease < enough and np.array_equal(x, result.x):
        theta, solution = x, here
    else:
        theta = problem.layout.canonical(result.x + result.step)
        solution = solve(problem, theta, reml)
    if solution.value > result.point.value + 1e-9 * max(1.0, abs(result.point.value)):
        theta = problem.layout.canonical(result.x)
        solution = solve(problem, theta, reml)
    snapped = problem.layout.canonical(theta, SINGULAR)
    if not np.array_equal(snapped, theta):
        exact = solve(problem, snapped, reml)
        if exact.value <= solution.value + 1e-7:
            return snapped, exact
    return theta, solution


def _schur_order(problem: LinearProblem) -> int:
    """Columns of the dense Schur complement that dominates an evaluation, if any."""
    crossed = problem.plan.crossed
    if crossed is None or not crossed.dense:
        return 0
    left = range(len(problem.plan.chain), len(problem.gramian.sizes))
    columns = sorted(problem.gramian.sizes[t] * problem.gramian.orders[t] for t in left)
    return sum(columns[:-1])


def _certify(
    problem: LinearProblem,
    result: Result,
    theta: Vector,
    boundary_optimal: bool,
    path: list[tuple[Vector, float]],
) -> Certificate:
    null = null_spaces(problem.layout, theta, SINGULAR)
    gradient, hessian = result.point.gradient, result.point.hessian
    scale = curvature_scale(hessian)
    curvature = _curvature(result.point)
    settled = result.converged if null else curvature > -FLAT
    gain = result.predicted_decrease
    if not null and curvature > FLAT:  # of the whole step, where rounding kept it short
        gain = trust_region_step(gradient, hessian, scale, np.inf)[1]
    converged = settled and boundary_optimal and gain < 1e-4
    message = (
        "Converged: the gradient vanishes at the optimum."
        if converged
        else _what_to_do(problem, theta, gain)
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


def _what_to_do(problem: LinearProblem, theta: Vector, gain: float) -> str:
    if any(np.abs(T).max(initial=0.0) > OVERWHELMING for T in problem.layout.factors(theta)):
        return (
            "Not converged: the residual variance tends to zero beside the random effects; "
            'leave it out with dispersion="~ 0", or simplify the random effects.'
        )
    return (
        f"Not converged: the criterion may still fall by {gain:.2g}; "
        "check the scale of the data, simplify the random effects, or pass other start values."
    )


def _curvature(point: Evaluation) -> float:
    """Smallest eigenvalue of the scaled Hessian."""
    if not len(point.gradient):
        return 1.0
    scale = curvature_scale(point.hessian)
    return float(np.linalg.eigvalsh(point.hessian / np.outer(scale, scale))[0])
