"""The mode of the random effects given everything else.

For b = Λu minimise h(u) = -Σ l_i(η_i) + u'u/2 by Newton's method with the
observed information, which is penalised iteratively reweighted least squares
where the link is canonical (Bates et al. 2015; Kristensen et al. 2016, JSS
70(5), section 2). With A = Z'WZ, s = Z'l', the step solves

    (Λ'AΛ + I) u_new = Λ'(s + A b),    b_new = Λ(Λ'AΛ + I)^-1Λ'(s + A b)

in terms of b alone, so that a singular Λ is no special case; u follows from
u = Λ'(s + A b - A b_new). From the second step on, u = Λ'v is known, and the same step
is found from what is small near the mode, whatever the size of A,

    b_new - b = Λ(Λ'AΛ + I)^-1Λ'(s - v),     v_new = s - A(b_new - b).

To second order in the step d that is left at the end, the minimum of h is

    -Σ l_i - s'd_b + d_b'A d_b/2 + |u_new|²/2 = h(u) - g'd_u/2,     g = Λ's - u,

of which the left side is precise where A is huge (a residual variance near zero). There
b is precise but s, and with it u, is not, so that u_new is then corrected by

    (Λ'AΛ + I)^-1Λ'A(b_new - Λu_new).

Where a weight is negative and the step's matrix is not positive definite
(families whose log density is not concave), the absolute weights are used for
that step; at the mode itself the observed information must be positive
definite, or the point is infeasible.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hglm.criteria.generalised_problem import GeneralisedProblem
from hglm.errors import FitError
from hglm.families.jets import Jet
from hglm.numerics.batched import cholesky, congruence
from hglm.numerics.factor import Factor, factorise
from hglm.numerics.gramian import batched_apply
from hglm.typing import Matrix, Vector

__all__ = ["Mode", "counted", "find_mode", "is_quadratic", "least_information", "weights"]

MAX_STEP = 6.0
"""Largest change of a linear predictor in one step: exp(6) is a factor of 400."""
MAX_ITERATIONS = 100
MAX_HALVINGS = 30
ROUNDING = 1e-12
"""Decrements below it may be all rounding error: then they stop falling."""
PARTED = 1e-3
"""Share of the decrement by which the steps of u and b may disagree."""
AGREEMENT = 1e-6
"""Largest |A(b - Λu)| that is left as it is; it matters by its square."""


@dataclass(frozen=True, slots=True)
class Mode:
    """Where Newton's method stopped, one step `d` short of the mode."""

    u: list[Matrix]
    """Per group (1, k, q)."""
    b: list[Matrix]
    """Λu."""
    d_u: list[Matrix]
    """The Newton step that is left."""
    d_b: list[Matrix]
    """Λ d_u."""
    decrement: float
    """g'd, twice the fall of h that the step promises."""
    minimum: float
    """h at the mode, to second order in d."""
    factor: Factor
    """Of Λ'Z'WZΛ + I at u."""
    jet: Jet
    """Log density at u with its derivatives, to the third order."""
    scores: list[Matrix]
    """Z's per group (1, k, q)."""
    iterations: int


def find_mode(
    problem: GeneralisedProblem,
    T: Sequence[Matrix],
    fixed: Sequence[Vector | float],
    start: Sequence[Matrix] | None,
    tolerance: float,
) -> Mode | None:
    """Find the mode of u; None where there is no feasible one.

    Parameters
    ----------
    problem
        The model.
    T
        Per group (k, k) covariance factor.
    fixed
        Per predictor Xγ + offset, (n,) or a number.
    start
        u to start from, (1, k, q) per group; zeros by default.
    tolerance
        Of the decrement.
    """
    sizes = [g.n_levels for g in problem.pattern.groupings]
    u = [np.zeros((1, len(t), q)) for t, q in zip(T, sizes, strict=True)]
    if start is not None:
        u = list(start)
    b = _effects(T, u)
    jet, h = _penalised(problem, fixed, u, b)
    if not np.isfinite(h) and start is not None:
        return find_mode(problem, T, fixed, None, tolerance)
    if not np.isfinite(h):
        return None
    v = None if start is not None else [np.zeros_like(x) for x in u]
    previous = np.inf
    parted = False
    for iteration in range(1, MAX_ITERATIONS + 1):
        observed = _factor(problem, T, jet, absolute=False)
        factor = observed or _factor(problem, T, jet, absolute=True)
        if factor is None:
            return None
        scores = problem.pattern.sums(_scores(problem, jet))
        d_b, moved = _newton(factor, scores, b, v)
        v_new = [s - a for s, a in zip(scores, moved, strict=True)]
        d_u = _difference(_half(T, v_new), u)
        rough = _inner(_difference(_half(T, scores), u), d_u)
        decrement = _decrement(scores, moved, v, d_u, d_b)
        parted = parted or abs(rough - decrement) > PARTED * (decrement + tolerance)
        if parted:
            d_u = _corrected(factor, T, u, d_u, b, d_b)
            decrement = _decrement(scores, moved, v, d_u, d_b)
        stalled = decrement < ROUNDING and decrement > 0.1 * previous
        previous = decrement
        if observed is not None and (decrement < tolerance or stalled):
            d_u = _corrected(factor, T, u, d_u, b, d_b)
            curved = _inner(d_b, moved) + _inner(d_u, d_u)
            minimum = h + 0.5 * curved + _inner(d_u, u) - _inner(scores, d_b)
            return Mode(u, b, d_u, d_b, decrement, minimum, factor, jet, scores, iteration)
        size = 1.0 if is_quadratic(problem, jet) else _step_size(problem, d_b)
        found = _lower(problem, fixed, (u, d_u), (b, d_b), h, size)
        if found is None:
            return None
        u, b, jet, h, size = found
        v, parted = (None if parted else _moved(v, v_new, size)), parted and v is not None
    return None


def _decrement(
    scores: Sequence[Matrix],
    moved: Sequence[Matrix],
    v: Sequence[Matrix] | None,
    d_u: Sequence[Matrix],
    d_b: Sequence[Matrix],
) -> float:
    """g'd_u = d_u'H d_u, in one of the forms that are not negative whatever the rounding."""
    if v is None:
        return _inner(d_b, moved) + _inner(d_u, d_u)
    return _inner(_difference(scores, v), d_b)


def _lower(
    problem: GeneralisedProblem,
    fixed: Sequence[Vector | float],
    of_u: tuple[list[Matrix], list[Matrix]],
    of_b: tuple[list[Matrix], list[Matrix]],
    h: float,
    size: float,
) -> tuple[list[Matrix], list[Matrix], Jet, float, float] | None:
    """Halve the step from (u, b) until h does not rise: u, b, what is there, h, the size."""
    for _ in range(MAX_HALVINGS):
        u, b = ([x + size * d for x, d in zip(*pair, strict=True)] for pair in (of_u, of_b))
        jet, h_try = _penalised(problem, fixed, u, b)
        if h_try <= h + 1e-9 * (1.0 + abs(h)):
            return u, b, jet, h_try, size
        size *= 0.5
    return None


def _effects(T: Sequence[Matrix], u: Sequence[Matrix]) -> list[Matrix]:
    """Λu."""
    return [batched_apply(t[:, :, None], x) for t, x in zip(T, u, strict=True)]


def _moved(v: list[Matrix] | None, v_new: list[Matrix], size: float) -> list[Matrix] | None:
    """Find v after a step of this size; None where it cannot be known."""
    if v is None:
        return v_new if size == 1.0 else None
    return [x + size * (y - x) for x, y in zip(v, v_new, strict=True)]


def is_quadratic(problem: GeneralisedProblem, jet: Jet) -> bool:
    """Whether the log density is quadratic in the random effects: Newton's step is exact."""
    inner = problem.wanted.inner
    thirds = [(d, e, f) for d in inner for e in inner for f in inner]
    return not any(np.any(jet[index]) for index in thirds)


def weights(
    problem: GeneralisedProblem, jet: Jet, absolute: bool = False
) -> Mapping[tuple[int, int], Vector]:
    """Observed information -∂²l/∂η_d∂η_e of the inner predictors, d ≤ e. (n,) each"""
    inner = problem.wanted.inner
    out = {}
    for i, d in enumerate(inner):
        for e in inner[i:]:
            w = -counted(problem, jet[d, e])
            if absolute:
                w = np.maximum(np.abs(w), 1e-8) if d == e else np.zeros_like(w)
            out[d, e] = w
    return out


def _penalised(
    problem: GeneralisedProblem,
    fixed: Sequence[Vector | float],
    u: Sequence[Matrix],
    b: Sequence[Matrix],
) -> tuple[Jet, float]:
    """Log density with derivatives, and h(u)."""
    effects = problem.pattern.apply(b, {})
    eta = [effects[d] + f if d in effects else f for d, f in enumerate(fixed)]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        jet = problem.likelihood.derivatives(eta, problem.wanted)
        value = counted(problem, np.broadcast_to(jet.value, (problem.n,))).sum()
    h = float(-value + 0.5 * _inner(u, u))
    return jet, h if np.isfinite(h) else np.inf


def counted(problem: GeneralisedProblem, x: Vector) -> Vector:
    """Multiply by the frequencies. (n,)"""
    return x if problem.frequencies is None else x * problem.frequencies


def _scores(problem: GeneralisedProblem, jet: Jet) -> dict[int, Vector]:
    return {d: counted(problem, jet[d]) for d in problem.wanted.inner}


def _factor(
    problem: GeneralisedProblem, T: Sequence[Matrix], jet: Jet, absolute: bool
) -> Factor | None:
    """Factor of Λ'Z'WZΛ + I; None where it is not positive definite."""
    W = weights(problem, jet, absolute)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        try:
            factor = factorise(problem.pattern.gramian(W), problem.plan, T)
        except FitError:
            return None
        if not np.isfinite(factor.logdet):
            return None
        concave = absolute or (len(W) == 1 and min(float(w.min()) for w in W.values()) >= 0.0)
        return factor if concave or _is_definite(factor) else None


def _is_definite(factor: Factor) -> bool:
    """Whether every level's block is positive definite: its determinant does not tell."""
    blocks = (K for K in _own_blocks(factor) if len(K) > 1)
    return not any(np.isnan(cholesky(K)).any() for K in blocks)


def least_information(mode: Mode) -> float:
    """Smallest eigenvalue of Λ'Z'WZΛ + I among single levels, the prior's being one."""
    smallest = [np.linalg.eigvalsh(K.transpose(2, 0, 1)).min() for K in _own_blocks(mode.factor)]
    return float(min(smallest, default=1.0))


def _own_blocks(factor: Factor) -> Iterator[Matrix]:
    """Λ'Z'WZΛ + I of each eliminated group's levels. (k, k, q)"""
    eliminated = [(step.A, t) for step, t in zip(factor.steps, factor.T, strict=False)]
    if factor.crossed is not None:
        main = len(factor.steps) + factor.crossed.plan.main
        eliminated.append((factor.crossed.A, factor.T[main]))
    for A, t in eliminated:
        K = congruence(t.T, A)
        K[np.arange(len(t)), np.arange(len(t))] += 1.0
        yield K


def _newton(
    factor: Factor, scores: Sequence[Matrix], b: Sequence[Matrix], v: Sequence[Matrix] | None
) -> tuple[list[Matrix], list[Matrix]]:
    """Find the step of b, and A times it."""
    if not b:
        return [], []
    multiply = factor.gramian.multiply
    if v is None:
        b_new = factor.modes([s + ab for s, ab in zip(scores, multiply(b), strict=True)])
        step = _difference(b_new, b)
    else:
        step = factor.modes(_difference(scores, v))
    return step, multiply(step)


def _corrected(
    factor: Factor,
    T: Sequence[Matrix],
    u: Sequence[Matrix],
    d_u: list[Matrix],
    b: Sequence[Matrix],
    d_b: Sequence[Matrix],
) -> list[Matrix]:
    """Make the step of u agree with that of b, where rounding has parted them."""
    if not T:
        return d_u
    parted = [
        x + d - batched_apply(t[:, :, None], y + e)
        for x, d, t, y, e in zip(b, d_b, T, u, d_u, strict=True)
    ]
    force = factor.gramian.multiply(parted)
    if max(float(np.abs(x).max()) for x in force) < AGREEMENT:
        return d_u
    left = _difference(force, factor.gramian.multiply(factor.modes(force)))
    return [x + y for x, y in zip(d_u, _half(T, left), strict=True)]


def _half(T: Sequence[Matrix], x: Sequence[Matrix]) -> list[Matrix]:
    """Λ'x."""
    return [batched_apply(t.T[:, :, None], y) for t, y in zip(T, x, strict=True)]


def _difference(x: Sequence[Matrix], y: Sequence[Matrix]) -> list[Matrix]:
    return [a - b for a, b in zip(x, y, strict=True)]


def _inner(x: Sequence[Matrix], y: Sequence[Matrix]) -> float:
    return sum(float(np.vdot(a, b)) for a, b in zip(x, y, strict=True))


def _step_size(problem: GeneralisedProblem, d_b: Sequence[Matrix]) -> float:
    """At most one, so that no linear predictor moves by more than `MAX_STEP`."""
    if problem.pattern.bound(d_b) <= MAX_STEP:
        return 1.0
    effects = problem.pattern.apply(d_b, {})
    largest = max(float(np.abs(x).max()) for x in effects.values())
    return min(1.0, MAX_STEP / largest)
