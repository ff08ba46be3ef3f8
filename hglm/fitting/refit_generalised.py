"""Fit a generalised model again to many responses of one design, in lock-step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from hglm.criteria.generalised_problem import GeneralisedProblem
from hglm.criteria.information import working_information
from hglm.criteria.laplace import evaluate_laplace
from hglm.criteria.lockstep_laplace import Stack, laplace_many, stack_responses
from hglm.criteria.lockstep_linear import factor_basis, is_linear_in_theta
from hglm.families.base import Response
from hglm.fitting.generalised_start import generalised_start
from hglm.fitting.record import Estimates, GeneralisedState
from hglm.fitting.refit_record import (
    Refits,
    attempt_complete,
    batch_size,
    off_boundary,
    smallest_sd,
    snap,
)
from hglm.fitting.refit_uncertainty import Uncertainty, laplace_uncertainty
from hglm.numerics.lockstep import Lockstep, Objective, Points, minimise_lockstep
from hglm.numerics.rows import RowPattern
from hglm.numerics.trust_region import TrustRegion
from hglm.typing import AnyArray, BoolArray, Codes, Matrix, Vector

__all__ = ["LaplaceRefitter", "is_stackable", "make_laplace_refitter"]

NEAR = 2e-2
"""Directions of T below it are tried at zero."""
PROBE = 0.1
"""Standard deviation at which they are tested."""
SETTINGS = TrustRegion(tolerance=1e-9, max_evaluations=60)
START = 0.1
"""Least standard deviation of a direction of T at the start."""
FLAT = 0.1
"""Curvature of the deviance below which a predictor could be anything: its standard
error is above √(2/0.1) on the scale of the link."""
ARRAYS = 40
"""About as many arrays of the size of the rows are alive at a time."""


@dataclass(frozen=True, slots=True)
class LaplaceRefitter:
    """What fits of a generalised model to other responses share."""

    estimates: Estimates
    problem: GeneralisedProblem
    start: Vector
    """(n_fixed + m,) ψ."""
    hessian: Matrix
    """Of the deviance at the start, or a guess of it."""
    complete: Callable[[Vector], Estimates]
    """Fit of one response (n,), in the rows of the design, with all checks."""

    @property
    def batch(self) -> int:
        """How many responses are best fitted together."""
        return batch_size(ARRAYS * self.problem.n)

    def many(self, Y: Matrix) -> Refits:
        """Fit responses Y (n, B), one a column, in the rows of the design."""
        found, _, _, careful = self._together(Y, self._objective(Y))
        return found.with_rows(careful, [self._one(Y[:, i]) for i in careful])

    def uncertain(self, Y: Matrix) -> tuple[Refits, Uncertainty] | None:
        """Fit in lock-step only, and tell how uncertain β̂ is; None where that is not prepared."""
        objective = self._objective(Y)
        found, psi, search, careful = self._together(Y, objective)
        uncertainty = laplace_uncertainty(self.problem, objective, search.warm, psi, self.hessian)
        return found, uncertainty.without(careful)

    def _together(self, Y: Matrix, objective: Objective) -> tuple[Refits, Matrix, Lockstep, Codes]:
        """Fit in lock-step; also ψ and which responses want to be fitted by themselves."""
        problem = self.problem
        basis = factor_basis(problem.layout)
        starts = np.repeat(self.start[None], Y.shape[1], axis=0)
        search = minimise_lockstep(objective, starts, self.hessian, SETTINGS)
        low = smallest_sd(basis, search.x[:, problem.n_fixed :]) <= NEAR
        psi, proven = _on_boundary(problem, objective, search, low & search.converged)
        T = np.tensordot(psi[:, problem.n_fixed :], basis, (1, 0))  # (B, k, k)
        found = replace(_refits(problem, psi, T, search.value), singular=proven)
        return found, psi, search, np.flatnonzero(~search.converged | (low & ~proven))

    def _objective(self, Y: Matrix) -> Objective:
        responses = self.problem.terms.take(np.asfortranarray(Y)).T  # (B, n)
        return _objective(self.problem, responses, factor_basis(self.problem.layout))

    def _one(self, y: Vector) -> Refits:
        return attempt_complete(self.complete, y, self.estimates)


def is_stackable(estimates: Estimates, state: GeneralisedState) -> bool:
    """Whether responses of the model can be fitted in lock-step.

    They can with one grouping factor, Laplace's approximation, a T that is linear in
    θ, and further parameters that may differ from row to row.
    """
    problem, family = state.problem, state.problem.likelihood.family
    return (
        estimates.nodes == 1
        and isinstance(problem.pattern, RowPattern)
        and len(problem.pattern.groupings) == 1
        and is_linear_in_theta(problem.layout)
        and (problem.frequencies is None or bool(np.all(problem.frequencies == 1.0)))
        and family.support != "category"
        and not any(parameter.scalar for parameter in family.parameters)
    )


def make_laplace_refitter(
    estimates: Estimates,
    state: GeneralisedState,
    y: Vector,
    complete: Callable[[Vector], Estimates],
) -> LaplaceRefitter:
    """Prepare to fit a model that `is_stackable` to other responses.

    Parameters
    ----------
    estimates, state
        Of the model.
    y : (n,)
        Response of the fit, in the rows of the design.
    complete
        Fits one response with all checks.
    """
    problem, psi, hessian = state.problem, state.psi, state.hessian
    n = problem.n_fixed
    flat = not np.all(np.diagonal(hessian)[:n] > FLAT)
    if flat:  # no way leads back from a dispersion, or an effect, that is infinite
        psi = generalised_start(problem, Response(problem.terms.take(y), problem.likelihood.sizes))
    if flat or estimates.certificate.singular or not np.isfinite(hessian).all():
        psi = np.concatenate([psi[:n], off_boundary(problem.layout, problem.theta(psi), START)])
        hessian = working_information(problem, psi, evaluate_laplace(problem, psi))
    return LaplaceRefitter(estimates, problem, psi, hessian, complete)


def _on_boundary(
    problem: GeneralisedProblem, objective: Objective, search: Lockstep, low: BoolArray
) -> tuple[Matrix, BoolArray]:
    """Put small variances to zero where that costs nothing and none of them wants to grow.

    As `hglm.fitting.generalised` does for one response.

    Returns
    -------
    psi : (B, n_fixed + m)
    proven : (B,)
    """
    rows, n, layout = np.flatnonzero(low), problem.n_fixed, problem.layout
    psi, proven = search.x.copy(), np.zeros(len(low), dtype=bool)
    if not rows.size:
        return psi, proven
    at_zero, opened = psi[rows], psi[rows]
    at_zero[:, n:] = [snap(layout, x[n:], NEAR) for x in psi[rows]]
    opened[:, n:] = [off_boundary(layout, x[n:], PROBE) for x in at_zero]
    warm = search.warm[rows]
    costless = objective(rows, at_zero, warm).value <= search.value[rows] + 1e-6
    best = objective(rows, opened, warm).value >= search.value[rows] - 1e-7
    proven[rows] = costless & best
    psi[proven] = at_zero[costless & best]
    return psi, proven


def _objective(problem: GeneralisedProblem, responses: Matrix, basis: Matrix) -> Objective:
    """Deviances of some of the responses; the stack of the last ones asked for is kept."""
    last: list[tuple[Codes, Stack]] = []

    def objective(rows: Codes, psi: Matrix, warm: AnyArray | None) -> Points:
        if not last or not np.array_equal(last[0][0], rows):
            last[:] = [(rows, stack_responses(problem, responses[rows], basis))]
        return laplace_many(last[0][1], psi, warm)

    return objective


def _refits(problem: GeneralisedProblem, psi: Matrix, T: Matrix, value: Vector) -> Refits:
    """From ψ (B, n_fixed + m) and the factor (B, k, k) of the only group."""
    betas = {b.name: psi[:, b.parameters] @ b.to_beta.T for b in problem.fixed}
    slots = problem.layout.slots
    factors = [
        S @ T[:, s.columns, s.columns] for s, S in zip(slots, problem.terms.maps, strict=True)
    ]
    return Refits(
        beta=betas.pop("mean"),
        others=betas,
        covariances=tuple(F @ F.swapaxes(1, 2) for F in factors),
        sigma=_sigma(problem, psi),
        llf=-0.5 * value,
        singular=np.zeros(len(psi), dtype=bool),
    )


def _sigma(problem: GeneralisedProblem, psi: Matrix) -> Vector:
    """Give what the family reports as `sigma`, where it is one number. (B,)"""
    for block, parameter in zip(problem.fixed, problem.likelihood.family.parameters, strict=True):
        if parameter.sigma_power is not None and block.X is None:
            value = parameter.sigma(psi[:, block.first])
            if value is not None:
                return value
    return np.full(len(psi), np.nan)
