"""Profile likelihood: how the deviance rises when one parameter is held away.

For a parameter ψ = h(φ) let d(c) be the least deviance with h(φ) = c, and

    ζ(c) = sign(c - ψ^) √(d(c) - d(ψ^))                (Bates et al. 2015, section 5.1)

the signed root, near-normal where the likelihood is near-quadratic. The ends of
the profile interval, where ζ = ±z, are the extremes of h over the region
d(φ) ≤ d^ + z² (Venzon & Moolgavkar 1988, Applied Statistics 37, 87-94): one
constrained optimisation each, with exact gradients of both functions, in place of
a search along the profile. A parameter that reaches the border of its range inside
the region, such as a standard deviation that may be zero, ends there.

Models fitted by REML are profiled by ML: the restricted likelihood says nothing
of fixed effects (lme4's convention).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import ndtri

from hglm.criteria.full_deviance import full_deviance
from hglm.criteria.laplace import evaluate_laplace
from hglm.criteria.profiled import solve
from hglm.criteria.quadrature import evaluate_quadrature
from hglm.errors import FitError
from hglm.fitting.linear import fit_linear
from hglm.fitting.record import Estimates, GeneralisedState, LinearState
from hglm.inference.targets import Target, choose_targets, targets
from hglm.typing import Matrix, Vector

__all__ = ["Profiler", "make_profiler", "profile_frame", "profile_intervals"]

Which = Sequence[str] | str | None
"""Names of parameters, or one name; None for all."""
Criterion = Callable[[Vector], tuple[float, Vector]]
Highest = Callable[[float], Vector]
FAR = 1e10
"""Deviance where it cannot be computed."""


@dataclass(frozen=True, slots=True)
class Profiler:
    """The deviance in all parameters, at its minimum."""

    criterion: Criterion
    """φ to the deviance and its gradient."""
    phi: Vector
    """(m,) the maximum-likelihood estimate."""
    minimum: float
    scale: Vector
    """(m,) curvature scale of each parameter."""
    covariance: Matrix
    """(m, m) inverse of half the Hessian, in scaled coordinates."""
    highest: Highest
    """Deviance to the greatest φ (m,) that can have it, infinite where none is known."""

    def interval(self, target: Target, level: float) -> tuple[float, float]:
        """Find the ends of the profile interval, on the parameter's own scale."""
        z = float(ndtri(0.5 + 0.5 * level))
        low, _ = self.extreme(target, -z)
        high, _ = self.extreme(target, z)
        return target.report(low), target.report(high)

    def curve(self, target: Target, zetas: Sequence[float]) -> list[tuple[float, float]]:
        """(ζ, parameter) along the profile, each point from the one before."""
        out = []
        for side in (-1.0, 1.0):
            start: Vector | None = None
            for z in sorted(abs(z) for z in zetas if z * side > 0):
                value, start = self.extreme(target, side * z, start)
                out.append((side * z, target.report(value)))
        centre = (0.0, target.report(target.function(self.phi)[0]))
        return sorted([*out, *([centre] if 0.0 in zetas else [])])

    def extreme(
        self, target: Target, zeta: float, start: Vector | None = None
    ) -> tuple[float, Vector]:
        """Find the extreme of the target over d(φ) ≤ d^ + ζ², and where it is.

        Parameters
        ----------
        target
            Parameter of interest.
        zeta
            Negative for the least value, positive for the greatest.
        start : (m,) or None
            φ to start from.
        """
        bound = zeta**2
        value, slope = target.function(self.phi)
        direction = self.covariance @ (slope / self.scale)
        length = float(np.sqrt(max(float((slope / self.scale) @ direction), 0.0)))
        step = np.zeros(len(self.phi)) if start is None else start - self.phi
        if start is None and length > 1e-6:
            step = 0.8 * zeta * direction / length / self.scale
        if start is None:  # a parameter at zero is stationary by symmetry: start off it
            step = step + np.where(self.phi == 0.0, 0.3, 0.0)
        # near a zero of its slope a target changes far more than its length says
        moved = abs(float(target.function(self.phi + step)[0] - value)) / abs(zeta)
        unit = max(length if length > 1e-6 else 1.0, moved)
        for scale in (self.scale, self._scale_beyond(step)):
            phi = self._search(target, zeta, step, scale, unit)
            if self.criterion(phi)[0] - self.minimum <= (1.0 + 1e-4) * bound:
                return target.function(phi)[0], phi
        raise FitError(
            f"The profile of {target.name} could not be followed to ζ = {zeta:.3g}; "
            'use Wald intervals (method="wald") or a bootstrap for it.'
        )

    def _search(
        self, target: Target, zeta: float, step: Vector, scale: Vector, unit: float
    ) -> Vector:
        """Where the search ends, φ (m,), in coordinates (φ - φ^) × scale, from a step (m,)."""
        side, bound = float(np.sign(zeta)), zeta**2
        value = target.function(self.phi)[0]

        def objective(x: Vector) -> tuple[float, Vector]:
            h, gradient = target.function(self.phi + x / scale)
            return float(-side * (h - value) / unit), -side * gradient / scale / unit

        def room(x: Vector) -> float:
            return bound - (self.criterion(self.phi + x / scale)[0] - self.minimum)

        def room_slope(x: Vector) -> Vector:
            return -self.criterion(self.phi + x / scale)[1] / scale

        greatest = (self.highest(self.minimum + bound) - self.phi) * scale
        result = minimize(
            objective,
            np.minimum(step * scale, greatest),
            jac=True,
            method="SLSQP",
            bounds=[(-np.inf, x) for x in greatest],
            constraints={"type": "ineq", "fun": room, "jac": room_slope},
            options={"maxiter": 300, "ftol": 1e-10},
        )
        return np.asarray(self.phi + result.x / scale)

    def _scale_beyond(self, step: Vector) -> Vector:
        """Scale (m,) with the curvature a step away where a parameter is zero.

        There the deviance is flat by symmetry, and says little of how it rises farther off.
        """
        slope = self.criterion(self.phi + step)[1]
        zero = (self.phi == 0.0) & (step != 0.0)
        secant = np.divide(slope, step, out=np.zeros(len(step)), where=zero)
        return np.asarray(np.maximum(self.scale, np.sqrt(np.maximum(secant, 0.0))))


def profile_intervals(
    estimates: Estimates, names: Sequence[str], level: float = 0.95, which: Which = None
) -> pd.DataFrame:
    """Profile intervals.

    Parameters
    ----------
    estimates
        Of any model.
    names : (p,)
        Of the fixed effects.
    level
        Coverage.
    which
        Names of parameters; all by default.

    Returns
    -------
    DataFrame
        A row a parameter, columns `conf_low, conf_high`.
    """
    profiler = make_profiler(estimates)
    chosen = choose_targets(targets(estimates, names), which)
    limits = [profiler.interval(target, level) for target in chosen]
    index = pd.Index([target.name for target in chosen])
    return pd.DataFrame(limits, index, ["conf_low", "conf_high"])


def profile_frame(
    estimates: Estimates,
    names: Sequence[str],
    which: Which = None,
    zetas: Sequence[float] = tuple(np.linspace(-3.0, 3.0, 13)),
) -> pd.DataFrame:
    """Profiles as points: for each ζ the value of the parameter.

    Returns
    -------
    DataFrame
        Columns `parameter, zeta, value`.
    """
    profiler = make_profiler(estimates)
    chosen = choose_targets(targets(estimates, names), which)
    rows = [
        (target.name, zeta, value)
        for target in chosen
        for zeta, value in profiler.curve(target, zetas)
    ]
    return pd.DataFrame(rows, columns=["parameter", "zeta", "value"])


def make_profiler(estimates: Estimates) -> Profiler:
    """Prepare the profiles of a fit; see the module.

    Parameters
    ----------
    estimates
        Of any model.
    """
    state = estimates.state
    criterion, phi, highest = (
        _linear(state) if isinstance(state, LinearState) else _generalised(state, estimates.nodes)
    )
    minimum = criterion(phi)[0]
    hessian = _hessian(criterion, phi)
    scale = np.sqrt(np.maximum(np.abs(np.diagonal(hessian)), 0.1))
    values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
    floor = 1e-6 * float(np.abs(values).max())
    covariance = 2.0 * (vectors / np.maximum(np.abs(values), floor)) @ vectors.T
    return Profiler(_remember(criterion), phi, minimum, scale, covariance, highest)


def _linear(state: LinearState) -> tuple[Criterion, Vector, Highest]:
    """Criterion, estimate and bounds in (γ, θ, log σ)."""
    problem = state.problem
    theta = state.theta
    if state.reml:
        theta = fit_linear(problem, reml=False, start=None).theta
    s = solve(problem, theta, reml=False)
    phi = np.concatenate([s.gamma, theta, [0.5 * np.log(s.sigma2)]])

    def criterion(x: Vector) -> tuple[float, Vector]:
        try:
            return full_deviance(problem, x)
        except (np.linalg.LinAlgError, ZeroDivisionError):  # a step so long that V is singular
            return FAR, np.zeros(len(x))

    def highest(deviance: float) -> Vector:
        """σ has a bound: log |V| and the residual sum of squares are never negative."""
        out = np.full(len(phi), np.inf)
        n = problem.nobs
        out[-1] = 0.5 * ((deviance + problem.sum_log_weights) / n - np.log(2.0 * np.pi))
        return out

    return criterion, phi, highest


def _generalised(state: GeneralisedState, nodes: int) -> tuple[Criterion, Vector, Highest]:
    """Criterion, estimate and bounds in ψ."""
    mode = state.evaluation.mode
    start = None if mode is None else mode.u

    def criterion(psi: Vector) -> tuple[float, Vector]:
        if nodes > 1:
            e = evaluate_quadrature(state.problem, psi, start, nodes=nodes)
        else:
            e = evaluate_laplace(state.problem, psi, start, 1e-10)
        return e.value, e.gradient

    return criterion, state.psi, lambda _: np.full(len(state.psi), np.inf)


def _hessian(criterion: Criterion, phi: Vector) -> Matrix:
    """Central differences of the gradient, with steps that suit the curvature."""
    base = criterion(phi)[1]
    rows = []
    for i in range(len(phi)):
        step = np.zeros(len(phi))
        step[i] = 1e-4
        curvature = abs(float((criterion(phi + step)[1] - base)[i])) / 1e-4
        step[i] = 1e-3 / np.sqrt(max(curvature, 1e-6))
        rows.append((criterion(phi + step)[1] - criterion(phi - step)[1]) / (2.0 * step[i]))
    H = np.array(rows).reshape(len(phi), len(phi))
    return np.asarray(0.5 * (H + H.T))


def _remember(criterion: Criterion) -> Criterion:
    """Keep the last evaluation: value and gradient are asked for one after the other."""
    last: list[tuple[Vector, tuple[float, Vector]]] = []

    def remembered(phi: Vector) -> tuple[float, Vector]:
        if not last or not np.array_equal(last[0][0], phi):
            last[:] = [(phi.copy(), criterion(phi))]
        return last[0][1]

    return remembered
