"""Maximum-likelihood mixture weights, with a proof of optimality.

    maximise  F(x) = Σ_j w_j log (Lx)_j   over x ≥ 0, Σ_k x_k = 1,   Σ_j w_j = 1.

The problem is convex. With D_k = Σ_j w_j L_jk/(Lx)_j, the Lagrange dual point
w_j/(Lx)_j / max D is feasible and leaves the duality gap

    F* − F(x) ≤ log max_k D_k,

which is zero exactly at the optimum (Lindsay 1983, Annals of Statistics 11,
86-94; Koenker & Mizera 2014, JASA 109, 674-685). It is the certificate.

Method: constrained Newton on a small active set (Wang 2007, JRSS B 69, 185-198).
The simplex is dropped by maximising F(x) − Σx (Kim, Carbonetto, Stephens &
Anitescu 2020, JCGS 29, 261-273); each step adds the local maxima of D to the
support, solves the quadratic model there as a non-negative programme, and
searches along the line. A few EM steps from the uniform start give a mixture
that already explains every observation; it takes part as one more component
until the support does without it. One pass over L costs O(nm), and a dozen do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hglm.empirical.mixture.nonnegative import nonnegative_quadratic
from hglm.typing import BoolArray, Matrix, Vector

__all__ = ["MixtureWeights", "SimplexSolver", "duality_gap", "mixture_weights"]


@dataclass(frozen=True, slots=True)
class SimplexSolver:
    """Settings.

    Parameters
    ----------
    tolerance
        Stop when the duality gap is below it.
    max_iterations
        Give up after so many Newton steps.
    em_steps
        Expectation-maximisation steps before the first.
    """

    tolerance: float = 1e-10
    max_iterations: int = 300
    em_steps: int = 5


@dataclass(frozen=True, slots=True)
class MixtureWeights:
    """Where the search ended."""

    x: Vector
    """(m,) weights, summing to one."""
    gap: float
    """Duality gap: F* − F(x) is no larger."""
    iterations: int
    converged: bool


@dataclass(frozen=True, slots=True)
class _State:
    """Weights on components and on the starting mixture."""

    x: Vector
    """(m,)"""
    rest: float
    """Weight of the starting mixture."""
    f: Vector
    """(n,) mixture density."""


def duality_gap(L: Matrix, x: Vector, weights: Vector) -> float:
    """Bound F* − F(x) for weights x on the simplex.

    Parameters
    ----------
    L : (n, m)
        Likelihood of each observation under each component, rows scaled at will.
    x : (m,)
    weights : (n,)
        Summing to one.
    """
    return float(np.log(((weights / (L @ x)) @ L).max()))


def mixture_weights(
    L: Matrix, weights: Vector, settings: SimplexSolver | None = None
) -> MixtureWeights:
    """Maximise Σ w log(Lx) over the simplex.

    Parameters
    ----------
    L : (n, m)
        Non-negative, with a positive entry in every row. Rows may be scaled.
    weights : (n,)
        Positive; scaled to sum to one.
    settings
        Tolerances.
    """
    settings = settings or SimplexSolver()
    w = weights / weights.sum()
    first = np.full(L.shape[1], 1.0 / L.shape[1])
    for _ in range(settings.em_steps):
        first = first * ((w / (L @ first)) @ L)
    first /= first.sum()
    base = L @ first
    state = _State(np.zeros(L.shape[1]), 1.0, base)
    gap = np.inf
    for iteration in range(settings.max_iterations + 1):
        D = (w / state.f) @ L
        gap = float(np.log(D.max()))
        if gap <= settings.tolerance or iteration == settings.max_iterations:
            break
        state = _step(L, w, D, state, base)
    x = state.x + state.rest * first
    x /= x.sum()
    return MixtureWeights(x, gap, iteration, gap <= settings.tolerance)


def _step(L: Matrix, w: Vector, D: Vector, state: _State, base: Vector) -> _State:
    """One Newton step on the support, its candidates and the starting mixture."""
    support = np.flatnonzero((state.x > 0) | _promising(D))
    columns = L[:, support]
    z = state.x[support]
    slope = D[support]
    if state.rest > 0:
        columns = np.column_stack([columns, base])
        z = np.append(z, state.rest)
        slope = np.append(slope, float((w / state.f) @ base))
    scaled = columns * (np.sqrt(w) / state.f)[:, None]
    H = scaled.T @ scaled
    H[np.diag_indices_from(H)] *= 1.0 + 1e-11  # neighbouring columns may nearly coincide
    direction = nonnegative_quadratic(H, 1.0 - 2.0 * slope, z) - z
    z = z + _line_search(w, state.f, columns @ direction, direction, slope) * direction
    z = z / z.sum()
    rest = float(z[-1]) if state.rest > 0 else 0.0
    x = np.zeros_like(state.x)
    x[support] = z[: support.size]
    return _State(x, rest, columns @ z)


def _promising(D: Vector) -> BoolArray:
    """Local maxima of D above one, where mass wants to go. (m,)"""
    rises = np.append(True, D[1:] >= D[:-1])
    falls = np.append(D[:-1] > D[1:], True)
    out: BoolArray = rises & falls & (D > 1.0)
    return out


def _line_search(w: Vector, f: Vector, change: Vector, direction: Vector, slope: Vector) -> float:
    """Largest of 1, ½, ¼, ... that gains enough of F(x) − Σx (Armijo's rule)."""
    promised = float((slope - 1.0) @ direction)
    relative = change / f
    noise = 1e-15 * float(np.abs(w @ np.log(f)))
    t = 1.0
    while t > 1e-12:
        if float(relative.min()) * t > -1.0:
            gained = float(w @ np.log1p(t * relative)) - t * float(direction.sum())
            if gained >= 0.01 * t * promised - noise:
                return t
        t *= 0.5
    return 0.0
