"""Laplace approximation of the marginal likelihood, with its exact gradient.

With u^ the mode of h(u) = -Σ l_i(η_i) + u'u/2 and H = Λ'Z'WZΛ + I, W the
observed information,

    -log L(ψ) = h(u^) + log|H(u^)| / 2

(Kristensen et al. 2016, JSS 70(5), eq. 3; the powers of 2π cancel). The
gradient is that of `hglm.criteria.adjoint` with, Q = ΛH^-1Λ',

    v_de = diag(Z_d Q Z_e'),     c_f = -Σ_de v_de l_def,     t = Z'c,     V = H^-1

If Newton's method stops one step d short of the mode, with gradient g,

    -log L = h(u) - g'd/2 + log|H(u)|/2 + (Z'c)'Λd/2,   u^ = u + d

is in error by O(|d|²) only, and saves one pass over the data. The value is
returned as a deviance, -2 log L.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hglm.criteria.adjoint import adjoint_gradient, information_slopes
from hglm.criteria.generalised_problem import GeneralisedProblem
from hglm.criteria.mode import Mode, find_mode
from hglm.numerics.gramian import batched_apply
from hglm.typing import Matrix, Vector

__all__ = ["MarginalEvaluation", "evaluate_laplace"]


@dataclass(frozen=True, slots=True)
class MarginalEvaluation:
    """Deviance and gradient at ψ."""

    value: float
    """-2 log L; inf where the point is infeasible."""
    gradient: Vector
    """(n_fixed + m,)"""
    mode: Mode | None
    """Where the random effects are."""
    M: tuple[Matrix, ...] = ()
    """Σ over levels of [Z'V^-1Z]_jj per group, V^-1 the precision of the working
    response: for a first guess of the information. (k, k)"""


def evaluate_laplace(
    problem: GeneralisedProblem,
    psi: Vector,
    start: Sequence[Matrix] | None = None,
    tolerance: float = 1e-6,
) -> MarginalEvaluation:
    """Deviance and gradient at ψ = (γ, θ); see the module.

    Parameters
    ----------
    problem
        The model.
    psi : (n_fixed + m,)
        In the problem's coordinates.
    start
        u to start the search for the mode from, as in `Mode.u`.
    tolerance
        Of the mode's decrement; the value is right to about its size.
    """
    T = problem.layout.factors(problem.theta(psi))
    mode = find_mode(problem, T, problem.fixed_predictors(psi), start, tolerance)
    if mode is None:
        return MarginalEvaluation(np.inf, np.full(len(psi), np.nan), None)
    value = mode.minimum + 0.5 * mode.factor.logdet
    if not T:
        gradient = adjoint_gradient(problem, psi, mode, {}, [], [])
        return MarginalEvaluation(2.0 * value, 2.0 * gradient, mode)
    traces, diagonal, cells = mode.factor.inverse_on_pattern()
    v = problem.pattern.variances(diagonal, cells)
    t = problem.pattern.sums(information_slopes(problem, mode, v))
    value += 0.5 * sum(float(np.sum(x * d)) for x, d in zip(t, mode.d_b, strict=True))
    gradient = adjoint_gradient(problem, psi, mode, v, traces.MT, _adjoint(mode, T, t))
    M = tuple(
        m if m is not None else mt @ np.linalg.pinv(x, rcond=1e-6)
        for m, mt, x in zip(traces.M, traces.MT, T, strict=True)
    )
    return MarginalEvaluation(2.0 * value, 2.0 * gradient, mode, M)


def _adjoint(mode: Mode, T: Sequence[Matrix], t: Sequence[Matrix]) -> list[Matrix]:
    """H^-1Λ't, as Λ'(t - Z'WZ a) from a = ΛH^-1Λ't. Per group (1, k, q)"""
    left = mode.factor.gramian.multiply(mode.factor.modes(t))
    return [batched_apply(x.T[:, :, None], y - z) for x, y, z in zip(T, t, left, strict=True)]
