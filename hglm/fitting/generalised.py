"""Find the optimum of a generalised linear mixed model, and prove it.

The approximate deviance is minimised over ψ = (γ, θ) jointly, by quasi-Newton steps
in a trust region from exact gradients. The first Hessian, and that of the next
two steps, is an information matrix: for γ the curvature of the penalised log
density with the random effects profiled out, for θ the expected information of
the working linear model. Points with a singular covariance are stationary by
symmetry, so they are probed outwards at the end; the final point is evaluated
afresh from u = 0, so that nothing depends on the path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hglm.criteria.generalised_problem import GeneralisedProblem
from hglm.criteria.information import working_information
from hglm.criteria.laplace import MarginalEvaluation, evaluate_laplace
from hglm.criteria.mode import least_information
from hglm.criteria.mode_slopes import mode_slopes
from hglm.errors import FitError
from hglm.fitting.boundary import null_spaces, openings, with_slot
from hglm.fitting.certificate import Certificate
from hglm.fitting.unbounded import Flat, curved, flat_directions, without_flats
from hglm.numerics.quasi_newton import QuasiNewtonResult, minimise_sr1
from hglm.numerics.trust_region import TrustRegion, curvature_scale
from hglm.typing import Matrix, Vector

__all__ = ["Criterion", "GeneralisedOptimum", "fit_generalised"]

SNAP = 2e-2
"""Directions of T below it are tried at zero."""
PROBE = 0.1
"""Standard deviation at which a null direction is tested."""
LOOSE, TIGHT = 1e-6, 1e-11
"""Tolerances of the mode's decrement while searching, and at the end."""
GAIN = 1e-7
"""A deviance lower by this is lower."""
NEGATIVE = -1e-3
"""Eigenvalue of the scaled Hessian that may be more than an error of differences: then it is
seen whether the deviance falls along its direction, at these distances."""
STRIDES = (1.0, -1.0, 0.2, -0.2, 0.04, -0.04, 0.01, -0.01)
PROVEN, SMALLER = 1e-3, 1e-6
"""Gain still possible at an optimum where the search has ended by itself, and where not."""
OPENINGS, ESCAPES = 4, 3
"""How often the search is taken up again off a boundary, and off a saddle."""
BREAKDOWN = 0.1
"""Information on a level's random effects, prior included, below which Laplace's approximation
fails: the prior alone has 1."""
CONVERGED = "Converged: the gradient vanishes at the optimum."
IMPOSSIBLE = (
    "The search cannot start: at the start values the model gives the data no probability. The "
    "link may not reach all means, as log and identity do not; choose another link, or pass a "
    "`start` with smaller variances."
)
Result = QuasiNewtonResult[MarginalEvaluation]


@dataclass(frozen=True, slots=True)
class GeneralisedOptimum:
    """The optimum in standardised coordinates."""

    psi: Vector
    """(n_fixed + m,)"""
    evaluation: MarginalEvaluation
    hessian: Matrix
    """(n_fixed + m,) squared: of the deviance, by differences of its exact gradient."""
    certificate: Certificate
    path: tuple[tuple[Vector, float], ...]
    flats: tuple[Flat, ...] = ()
    """Coefficients that run away, predictor by predictor."""


class Criterion(Protocol):
    """An approximate deviance with its gradient: `evaluate_laplace` and the like."""

    def __call__(
        self,
        problem: GeneralisedProblem,
        psi: Vector,
        start: Sequence[Matrix] | None,
        tolerance: float,
    ) -> MarginalEvaluation:
        """Evaluate at ψ, searching for the mode from `start` to `tolerance`."""
        ...


def fit_generalised(
    problem: GeneralisedProblem,
    start: Vector,
    criterion: Criterion = evaluate_laplace,
    settings: TrustRegion | None = None,
) -> GeneralisedOptimum:
    """Minimise an approximate deviance.

    Parameters
    ----------
    problem
        The model.
    start : (n_fixed + m,)
        ψ to start from.
    criterion
        How the marginal likelihood is approximated.
    settings
        Of the trust region.
    """
    settings = TrustRegion() if settings is None else settings
    optimum, way = _search(problem, start, criterion, settings)
    for _ in range(ESCAPES):
        if way is None:
            break
        other, way = _search(problem, way, criterion, settings, optimum.path)
        if other.evaluation.value > optimum.evaluation.value - GAIN:
            break
        optimum = other
    return optimum


def _search(
    problem: GeneralisedProblem,
    start: Vector,
    criterion: Criterion,
    settings: TrustRegion,
    path: Sequence[tuple[Vector, float]] = (),
) -> tuple[GeneralisedOptimum, Vector | None]:
    """Go downhill from one start, off boundaries where that is lower, and look at the end.

    Returns
    -------
    optimum
    way
        Off it, where it is a saddle; else None.
    """

    def objective(psi: Vector, warm: MarginalEvaluation | None) -> MarginalEvaluation:
        point = criterion(problem, psi, _mode_of(warm), LOOSE)
        if warm is None and point.mode is None:
            raise FitError(IMPOSSIBLE)
        return point

    def metric(psi: Vector, point: MarginalEvaluation) -> Matrix:
        return working_information(problem, psi, point)

    best = minimise_sr1(objective, start, metric, settings)
    path = [*path, *best.path]
    outward = _outward(problem, criterion, best, path)
    for _ in range(OPENINGS):
        if outward is None:
            break
        better = minimise_sr1(objective, outward, metric, settings)
        path += better.path
        best = better if better.point.value < best.point.value else best
        outward = _outward(problem, criterion, best, path)
    psi, evaluation = _finish(problem, criterion, best)
    flats = flat_directions(problem, psi, evaluation)
    rough = _hessian(problem, criterion, psi, evaluation)
    hessian = curved(rough, flats)
    way = _off_saddle(problem, criterion, psi, evaluation, hessian)
    ended = best.converged or bool(flats)  # there is no end to a search for infinity
    allowed = (PROVEN if ended else SMALLER) if outward is None and way is None else 0.0
    slope = without_flats(evaluation.gradient, rough, flats)
    certificate = _certify(problem, psi, evaluation, hessian, slope, allowed, len(path))
    return GeneralisedOptimum(psi, evaluation, hessian, certificate, tuple(path), flats), way


def _off_saddle(
    problem: GeneralisedProblem,
    criterion: Criterion,
    psi: Vector,
    at: MarginalEvaluation,
    hessian: Matrix,
) -> Vector | None:
    """Point of lower deviance along the direction of most negative curvature, if any."""
    if not np.all(np.isfinite(hessian)) or not hessian.size:
        return None
    scale = np.sqrt(np.maximum(np.abs(np.diagonal(hessian)), 1e-8))
    values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
    if values[0] > NEGATIVE:
        return None
    ways = [psi + t * vectors[:, 0] / scale for t in STRIDES]
    ends = [criterion(problem, way, _mode_of(at), LOOSE).value for way in ways]
    lowest = int(np.argmin(ends))
    return ways[lowest] if ends[lowest] < at.value - GAIN else None


def _mode_of(at: MarginalEvaluation | None) -> Sequence[Matrix] | None:
    return None if at is None or at.mode is None else at.mode.u


def _outward(
    problem: GeneralisedProblem,
    criterion: Criterion,
    best: Result,
    path: list[tuple[Vector, float]],
) -> Vector | None:
    """Point of lower deviance off the boundary, if there is one nearby."""
    theta = problem.theta(best.x)
    for i, N in null_spaces(problem.layout, theta, SNAP):
        slot = problem.layout.slots[i]
        for own in openings(slot, theta[slot.parameters], N, PROBE):
            opened = with_slot(theta, slot, own)
            probe = np.concatenate([best.x[: problem.n_fixed], opened])
            point = criterion(problem, probe, _mode_of(best.point), LOOSE)
            path.append((probe, point.value))
            if point.value < best.point.value - GAIN:
                return probe
    return None


def _finish(
    problem: GeneralisedProblem, criterion: Criterion, best: Result
) -> tuple[Vector, MarginalEvaluation]:
    """Canonical θ, tiny variances at zero, and the mode from scratch."""
    fixed, theta = best.x[: problem.n_fixed], problem.layout.canonical(problem.theta(best.x))
    psi = np.concatenate([fixed, theta])
    final = criterion(problem, psi, None, TIGHT)
    if not np.isfinite(final.value):
        psi = best.x
        final = criterion(problem, psi, _mode_of(best.point), TIGHT)
    if final.mode is None:
        return psi, best.point
    snapped = problem.layout.canonical(theta, SNAP)
    if not np.array_equal(snapped, theta):
        at_zero = np.concatenate([fixed, snapped])
        other = criterion(problem, at_zero, None, TIGHT)
        if other.value <= final.value + 1e-6:
            return at_zero, other
    return psi, final


def _hessian(
    problem: GeneralisedProblem, criterion: Criterion, psi: Vector, at: MarginalEvaluation
) -> Matrix:
    """Differences of the exact gradient; the mode is foretold to first order. Symmetric"""
    scale = curvature_scale(working_information(problem, psi, at))
    assert at.mode is not None
    slopes = mode_slopes(problem, psi, at.mode)
    u = [x + d for x, d in zip(at.mode.u, at.mode.d_u, strict=True)]

    def gradient(i: int, width: float) -> Vector:
        step = np.zeros(len(psi))
        step[i] = width
        start = [x + width * s[i] for x, s in zip(u, slopes, strict=True)]
        return criterion(problem, psi + step, start, TIGHT).gradient

    widths = 3e-3 / scale
    rows = [(gradient(i, w) - gradient(i, -w)) / (2.0 * w) for i, w in enumerate(widths)]
    H = np.array(rows).reshape(len(psi), len(psi))
    out: Matrix = 0.5 * (H + H.T)
    return out


def _certify(
    problem: GeneralisedProblem,
    psi: Vector,
    final: MarginalEvaluation,
    hessian: Matrix,
    slope: tuple[Vector, float],
    allowed: float,
    evaluations: int,
) -> Certificate:
    null = null_spaces(problem.layout, problem.theta(psi), 1e-4)
    across, left = slope
    least = 1e-5 if left else 1e-8  # a variance is level, too, where rows no longer pull
    scale = np.sqrt(np.maximum(np.abs(np.diagonal(hessian)), least))
    finite = bool(np.all(np.isfinite(hessian)))
    eigenvalues = np.linalg.eigvalsh(hessian / np.outer(scale, scale)) if finite else [np.nan]
    gradient = across / scale
    gain = (float(0.5 * gradient @ gradient) if len(gradient) else 0.0) + left
    converged = bool(finite and gain < allowed)
    message = CONVERGED if converged else _explain(final, gain)
    return Certificate(
        converged=converged,
        gain=gain,
        gradient=float(np.max(np.abs(gradient), initial=0.0)),
        curvature=0.0 if null else float(eigenvalues[0]),
        evaluations=evaluations,
        singular=bool(null),
        boundary=tuple(i for i, _ in null),
        message=message,
    )


def _explain(final: MarginalEvaluation, gain: float) -> str:
    """Say why a search has not converged, and what to do."""
    if final.mode is None or least_information(final.mode) < BREAKDOWN or not np.isfinite(gain):
        return (
            "Not converged: near the point reached the random effects of some level have no "
            "clear mode, so that the approximation of the likelihood breaks down; simplify the "
            "random part, search from more starts, or use method=hglm.Quadrature()."
        )
    return (
        f"Not converged: the deviance may still fall by about {gain:.2g}; simplify the model, "
        "rescale predictors, or search from more starts."
    )
