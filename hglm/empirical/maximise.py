"""Maximum likelihood for hyperparameters, boundaries included.

Newton's method in a trust region on the coordinates of `transforms`, from
several starts; then the best point is polished with every parameter that
reached its bound held there exactly. The answer carries what is needed to
judge it: the gradient that is left, the curvature, and the derivative at each
bound, which must point out of the feasible set (Karush-Kuhn-Tucker).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hglm.empirical.certificate import Certificate
from hglm.empirical.transforms import Transform
from hglm.errors import FitError
from hglm.numerics.trust_region import TrustRegion, minimise
from hglm.typing import BoolArray, Matrix, Vector

__all__ = ["Evaluation", "Maximum", "certify", "maximise"]

_SNAP = 1e-7
_FLAT = 1e-10
_GAIN_TOLERANCE = 1e-8
_SETTINGS = TrustRegion(tolerance=1e-13)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A function with its first two derivatives at one point."""

    value: float
    gradient: Vector
    """(m,)"""
    hessian: Matrix
    """(m, m)"""


@dataclass(frozen=True, slots=True)
class Maximum:
    """Where the log-likelihood is largest, and how sure that is."""

    x: Vector
    """(m,) parameters on their natural scale."""
    point: Evaluation
    """Log-likelihood and its derivatives in x."""
    at_bound: BoolArray
    """(m,) parameters on the boundary of their range."""
    gain: float
    """Log-likelihood that the local quadratic model still promises."""
    evaluations: int
    converged: bool

    def vcov(self) -> Matrix:
        """Inverse observed information; not a number for bounded parameters. (m, m)"""
        out = np.full((self.x.size, self.x.size), np.nan)
        free = np.flatnonzero(~self.at_bound)
        information = -self.point.hessian[np.ix_(free, free)]
        size = np.sqrt(np.abs(np.diagonal(information)))
        if (size == 0).any():
            return out
        bend, directions = np.linalg.eigh(information / np.outer(size, size))
        if free.size and bend[0] > _FLAT:  # else some parameter is not identified
            out[np.ix_(free, free)] = (directions / bend) @ directions.T / np.outer(size, size)
        return out


def maximise(
    evaluate: Callable[[Vector], Evaluation],
    starts: Sequence[Vector],
    transforms: Sequence[Transform],
) -> Maximum:
    """Maximise a log-likelihood over parameters with smooth ranges.

    Parameters
    ----------
    evaluate
        Log-likelihood and exact derivatives at natural parameters (m,),
        bounds included.
    starts
        Points (m,) to start from. A parameter that starts on its bound stays
        there unless the derivative asks it to leave.
    transforms
        (m,) range of each parameter.
    """
    maxima = [_search(evaluate, np.asarray(x, dtype=float), transforms) for x in starts]
    best = max(maxima, key=lambda found: (found.point.value, found.converged))
    if not np.isfinite(best.point.value):
        raise FitError(
            "The marginal likelihood is not finite at any start: rescale the response or the "
            "covariates so that they are of moderate size."
        )
    return best


def certify(found: Maximum) -> Certificate:
    """Say how far from stationary the maximum is."""
    return Certificate(
        kind="newton decrement",
        gap=found.gain,
        tolerance=_GAIN_TOLERANCE,
        evaluations=found.evaluations,
        converged=bool(found.gain <= _GAIN_TOLERANCE),
    )


def _search(
    evaluate: Callable[[Vector], Evaluation], x: Vector, transforms: Sequence[Transform]
) -> Maximum:
    """Climb from x; snap to bounds and polish; leave bounds that are no maximum."""
    fixed = _at_bound(x, transforms, 0.0)
    released = np.zeros_like(fixed)
    spent = 0
    for _ in range(2 * len(transforms) + 2):
        x, used, converged = _climb(evaluate, x, transforms, fixed)
        spent += used
        outward = _points_outward(evaluate(x).gradient, x, transforms)
        reached = _at_bound(x, transforms, _SNAP) & ~fixed & ~released & outward
        if reached.any():
            x, fixed = _snap(x, transforms, reached), fixed | reached
            continue
        inward = fixed & ~outward
        if not inward.any():
            break
        x, fixed, released = _leave(x, transforms, inward), fixed & ~inward, released | inward
    point = evaluate(x)
    return Maximum(x, point, fixed, _gain(point, fixed), spent, converged)


def _climb(
    evaluate: Callable[[Vector], Evaluation],
    x: Vector,
    transforms: Sequence[Transform],
    fixed: BoolArray,
) -> tuple[Vector, int, bool]:
    free = np.flatnonzero(~fixed)
    moving = [transforms[int(i)] for i in free]

    def natural(t: Vector) -> Vector:
        out = x.copy()
        out[free] = [move.forward(float(value)) for move, value in zip(moving, t, strict=True)]
        return out

    def objective(t: Vector) -> Evaluation:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            point = evaluate(natural(t))  # far-off trials may overflow and are refused below
        first = np.array([move.first(float(value)) for move, value in zip(moving, t, strict=True)])
        second = np.array([move.second(float(v)) for move, v in zip(moving, t, strict=True)])
        gradient = point.gradient[free]
        hessian = point.hessian[np.ix_(free, free)] * np.outer(first, first)
        hessian[np.diag_indices(free.size)] += gradient * second
        if not (np.isfinite(point.value) and np.isfinite(hessian).all()):
            return Evaluation(np.inf, np.zeros(free.size), np.eye(free.size))
        return Evaluation(-point.value, -gradient * first, -hessian)

    start = np.array([move.inverse(float(x[i])) for move, i in zip(moving, free, strict=True)])
    found = minimise(objective, start, _SETTINGS)
    return natural(found.x), found.evaluations, found.converged


def _at_bound(x: Vector, transforms: Sequence[Transform], margin: float) -> BoolArray:
    return np.array(
        [
            value - move.lower <= margin or move.upper - value <= margin
            for value, move in zip(x, transforms, strict=True)
        ],
        dtype=bool,
    )


def _points_outward(gradient: Vector, x: Vector, transforms: Sequence[Transform]) -> BoolArray:
    return np.array(
        [
            slope <= 0 if value - move.lower <= move.upper - value else slope >= 0
            for slope, value, move in zip(gradient, x, transforms, strict=True)
        ],
        dtype=bool,
    )


def _snap(x: Vector, transforms: Sequence[Transform], reached: BoolArray) -> Vector:
    out = x.copy()
    for i, move in enumerate(transforms):
        if reached[i]:
            out[i] = move.lower if x[i] - move.lower <= move.upper - x[i] else move.upper
    return out


def _leave(x: Vector, transforms: Sequence[Transform], inward: BoolArray) -> Vector:
    out = x.copy()
    for i, move in enumerate(transforms):
        if inward[i]:
            out[i] = x[i] + 1e-2 if x[i] == move.lower else x[i] - 1e-2
    return out


def _gain(point: Evaluation, fixed: BoolArray) -> float:
    """½ g'(−H)⁻¹ g over the free parameters.

    A direction in which the likelihood is flat promises nothing: a parameter
    that is not identified, such as the weight of two components that coincide.
    Infinite where the likelihood bends upwards or slopes without bending.
    """
    free = np.flatnonzero(~fixed)
    if free.size == 0:
        return 0.0
    bend, directions = np.linalg.eigh(-point.hessian[np.ix_(free, free)])
    slope = directions.T @ point.gradient[free]
    flat = np.abs(bend) <= _FLAT * max(float(np.abs(bend).max()), 1.0)
    if (bend[~flat] < 0).any() or (np.abs(slope[flat]) > _FLAT).any():
        return np.inf
    return 0.5 * float((slope[~flat] ** 2 / bend[~flat]).sum())
