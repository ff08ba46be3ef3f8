"""Laplace's approximation for many responses of one generalised model at once.

With one grouping factor the B responses, each with its own ψ, are one model of B
times as many rows and levels, whose covariance factor T differs from response to
response. Modes and gradients are those of `hglm.criteria.mode`, `laplace` and
`adjoint`, with every sum over rows or levels taken response by response, so that
what is found for one does not depend on the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hglm.criteria.generalised_problem import FixedBlock, GeneralisedProblem
from hglm.criteria.lockstep_linear import stacked_factors
from hglm.families.base import Likelihood, Sizes, bind
from hglm.families.jets import Jet
from hglm.numerics.batched import cholesky, inverse_logdet, matmul
from hglm.numerics.columns import Strip
from hglm.numerics.gramian import batched_apply
from hglm.numerics.grouping import grouping
from hglm.numerics.lockstep import Points
from hglm.numerics.rows import RowPattern, row_pattern
from hglm.typing import BoolArray, Matrix, Vector

__all__ = ["Stack", "laplace_many", "stack_responses"]

MAX_STEP = 6.0
"""Largest change of a linear predictor in one step, as in `hglm.criteria.mode`."""
MAX_ITERATIONS = 50
MAX_HALVINGS = 30
TOLERANCE = 1e-9
"""Of the decrement of each response's mode."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Responses of one model under each other."""

    problem: GeneralisedProblem
    likelihood: Likelihood
    """Of all a n rows."""
    pattern: RowPattern
    """Of all a n rows and a q levels."""
    basis: Matrix
    """∂T/∂θ, (m, k, k)."""
    a: int
    """Number of responses."""

    @property
    def q(self) -> int:
        """Levels of one response."""
        return self.pattern.groupings[0].n_levels // self.a

    def by_response(self, x: Vector) -> Vector:
        """Sum rows (a n,) or levels (a q,) response by response. (a,)"""
        out: Vector = x.reshape(self.a, -1).sum(axis=1)
        return out


@dataclass(frozen=True, slots=True)
class _Curvature:
    """Z'WZ by levels and what follows from it at T."""

    A: Matrix
    """(k, k, a q)"""
    inverse: Matrix
    """K^-1, K = T'AT + I."""
    logdet: Vector
    """(a,)"""
    definite: BoolArray
    """(a,) whether W itself was used, and every K is positive definite."""


@dataclass(frozen=True, slots=True)
class _Modes:
    """Where Newton's method stopped, one step `d` short of the modes; (1, k, a q) each."""

    u: Matrix
    d_u: Matrix
    d_b: Matrix
    scores: Matrix
    decrement: Vector
    """(a,)"""
    penalised: Vector
    """(a,)"""
    curvature: _Curvature
    jet: Jet


def stack_responses(problem: GeneralisedProblem, Y: Matrix, basis: Matrix) -> Stack:
    """Put responses Y (a, n), rows in the problem's order, under each other.

    Parameters
    ----------
    problem
        Model with one grouping factor, without frequencies.
    Y : (a, n)
    basis : (m, k, k)
        From `hglm.criteria.lockstep_linear.factor_basis`.
    """
    a, pattern = len(Y), problem.pattern
    assert isinstance(pattern, RowPattern)  # levels are independent
    sizes = problem.likelihood.sizes
    tiled = Sizes(
        None if sizes.trials is None else np.tile(sizes.trials, a),
        None if sizes.weights is None else np.tile(sizes.weights, a),
    )
    (group,), (strips,) = pattern.groupings, pattern.columns
    codes = (group.codes + group.n_levels * np.arange(a)[:, None]).ravel()
    repeated = [
        Strip(
            np.tile(s.values, a), s.start, None if s.codes is None else np.tile(s.codes, a), s.width
        )
        for s in strips
    ]
    stacked = row_pattern([grouping(codes, group.n_levels * a)], [repeated], pattern.predictors)
    likelihood = bind(problem.likelihood.family, Y.ravel(), tiled)
    return Stack(problem, likelihood, stacked, basis, a)


def laplace_many(stack: Stack, psi: Matrix, start: Matrix | None) -> Points:
    """Approximate deviances and their gradients.

    Parameters
    ----------
    stack
        From `stack_responses`.
    psi : (a, n_fixed + m)
    start : (a, k, q) or None
        u to start the searches for the modes from; zeros by default.

    Returns
    -------
    Points
        `warm` is u at the modes.
    """
    problem, a, q = stack.problem, stack.a, stack.q
    T = stacked_factors(stack.basis, psi[:, problem.n_fixed :], q)
    fixed = [_predictor(block, psi, problem.n) for block in problem.fixed]
    k = len(T)
    u = np.zeros((a, k, q)) if start is None else start
    modes = _find_modes(stack, T, fixed, u.transpose(1, 0, 2).reshape(1, k, a * q))
    value, gradient = _value_and_gradient(stack, T, modes)
    found = modes.u + modes.d_u
    ok = modes.curvature.definite & np.isfinite(value) & (modes.decrement < 1e3 * TOLERANCE)
    warm = np.where(ok[:, None, None], found.reshape(k, a, q).transpose(1, 0, 2), 0.0)
    return Points(np.where(ok, value, np.inf), gradient, warm)


def _predictor(block: FixedBlock, psi: Matrix, n: int) -> Vector:
    """Xγ + offset of all responses. (a n,)"""
    gamma = psi[:, block.parameters]
    if block.X is None:
        return np.repeat(gamma[:, 0], n)
    eta = gamma @ block.X.T
    return np.asarray(eta if block.offset is None else eta + block.offset).ravel()


def _find_modes(stack: Stack, T: Matrix, fixed: Sequence[Vector], u: Matrix) -> _Modes:
    """Newton's method for all responses; those that fail are not `definite` or not close."""
    T_t = T.swapaxes(0, 1)
    b = batched_apply(T, u)
    jet, h = _penalised(stack, fixed, u, b)
    for _ in range(MAX_ITERATIONS):
        curvature = _curvature(stack, T, jet)
        scores = stack.pattern.sums({d: jet[d] for d in stack.problem.wanted.inner})[0]
        rhs = scores + batched_apply(curvature.A, b)
        u_new = batched_apply(matmul(curvature.inverse, T_t), rhs)
        d_u = u_new - u
        d_b = batched_apply(T, d_u)
        slope = batched_apply(T_t, scores) - u
        decrement = stack.by_response((slope * d_u).sum(axis=(0, 1)))
        if np.all(((decrement < TOLERANCE) & curvature.definite) | ~np.isfinite(h)):
            break
        u, b, jet, h = _line_search(stack, fixed, (u, b, h), (d_u, d_b), decrement)
    return _Modes(u, d_u, d_b, scores, decrement, h, curvature, jet)


def _line_search(
    stack: Stack,
    fixed: Sequence[Vector],
    at: tuple[Matrix, Matrix, Vector],
    direction: tuple[Matrix, Matrix],
    decrement: Vector,
) -> tuple[Matrix, Matrix, Jet, Vector]:
    """Halve the steps of those responses whose h would rise."""
    (u, b, h), (d_u, d_b) = at, direction
    moves = stack.pattern.apply([d_b], {})
    longest = np.max([np.abs(x).reshape(stack.a, -1).max(axis=1) for x in moves.values()], axis=0)
    size = np.minimum(1.0, MAX_STEP / np.maximum(longest, 1e-300))
    size = np.where(np.isfinite(decrement), size, 0.0)
    for _ in range(MAX_HALVINGS):
        by_level = np.repeat(size, stack.q)
        u_try, b_try = u + by_level * d_u, b + by_level * d_b
        jet, h_try = _penalised(stack, fixed, u_try, b_try)
        worse = ~(h_try <= h + 1e-9 * (1.0 + np.abs(h))) & (size > 0.0)
        if not worse.any():
            break
        size = np.where(worse, 0.5 * size, size)
    return u_try, b_try, jet, h_try


def _penalised(stack: Stack, fixed: Sequence[Vector], u: Matrix, b: Matrix) -> tuple[Jet, Vector]:
    """Log density with derivatives, and h(u) of each response."""
    eta = stack.pattern.apply([b], dict(enumerate(fixed)))
    wanted = stack.problem.wanted
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        jet = stack.likelihood.derivatives([eta[d] for d in range(len(fixed))], wanted)
    penalty = stack.by_response((u**2).sum(axis=(0, 1)))
    h = 0.5 * penalty - stack.by_response(np.broadcast_to(jet.value, eta[0].shape))
    return jet, np.where(np.isfinite(h), h, np.inf)


def _curvature(stack: Stack, T: Matrix, jet: Jet) -> _Curvature:
    """Observed information by levels; of absolute weights where it is not definite."""
    weights = _weights(stack, jet)
    A = stack.pattern.gramian(weights).diagonal[0]
    K = _scaled(T, A)
    definite = np.ones(stack.a, dtype=bool)
    if len(weights) > 1 or not all(w.min() >= 0.0 for w in weights.values()):
        with np.errstate(invalid="ignore", divide="ignore"):
            finite = np.isfinite(cholesky(K)).all(axis=(0, 1))
        definite = np.all(finite.reshape(stack.a, -1), axis=1)
        if not definite.all():
            absolute = {
                (d, e): np.maximum(np.abs(w), 1e-8) if d == e else np.zeros_like(w)
                for (d, e), w in weights.items()
            }
            bad = np.repeat(~definite, stack.q)
            A = np.where(bad, stack.pattern.gramian(absolute).diagonal[0], A)
            K = np.where(bad, _scaled(T, A), K)
    inverse, logdet = inverse_logdet(K)
    return _Curvature(A, inverse, stack.by_response(logdet), definite)


def _scaled(T: Matrix, A: Matrix) -> Matrix:
    """T'AT + I by levels. (k, k, a q)"""
    K = matmul(T.swapaxes(0, 1), matmul(A, T))
    K[np.arange(len(K)), np.arange(len(K))] += 1.0
    return K


def _weights(stack: Stack, jet: Jet) -> Mapping[tuple[int, int], Vector]:
    inner = stack.problem.wanted.inner
    return {(d, e): -jet[d, e] for i, d in enumerate(inner) for e in inner[i:]}


def _value_and_gradient(stack: Stack, T: Matrix, modes: _Modes) -> tuple[Vector, Matrix]:
    """See `hglm.criteria.laplace` and `hglm.criteria.adjoint`. (a,), (a, n_fixed + m)"""
    problem, pattern, jet, curvature = stack.problem, stack.pattern, modes.jet, modes.curvature
    inverse, T_t = curvature.inverse, T.swapaxes(0, 1)
    v = pattern.variances([matmul(T, matmul(inverse, T_t))], {})
    t = pattern.sums({f: -_contract(jet, v, f) for f in problem.wanted.inner})[0]
    a_u = batched_apply(inverse, batched_apply(T_t, t))
    m = pattern.apply([0.5 * batched_apply(T, a_u) - modes.d_b], {})
    residuals = {}
    for f in range(len(problem.fixed)):
        indirect = 0.5 * _contract(jet, v, f)
        for d, x in m.items():
            indirect = indirect - jet[d, f] * x
        residuals[f] = jet[f] + indirect
    left = pattern.sums(residuals)[0]
    moved = modes.scores - batched_apply(curvature.A, modes.d_b)
    by_level = matmul(matmul(curvature.A, T), inverse)
    by_level -= left[0][:, None] * (modes.u + modes.d_u)
    by_level += 0.5 * moved[0][:, None] * a_u
    k = len(T)
    slopes = by_level.reshape(k, k, stack.a, -1).sum(axis=3)  # (k, k, a)
    correction = stack.by_response((t * modes.d_b).sum(axis=(0, 1)))
    value = modes.penalised + 0.5 * (curvature.logdet - modes.decrement + correction)
    gradient = [_product(stack, block, residuals[f]) for f, block in enumerate(problem.fixed)]
    gradient.append(np.tensordot(slopes, stack.basis, ((0, 1), (1, 2))))
    return 2.0 * value, 2.0 * np.concatenate(gradient, axis=1)


def _product(stack: Stack, block: FixedBlock, r: Vector) -> Matrix:
    """-X'r of each response. (a, p)"""
    rows = r.reshape(stack.a, -1)
    return -(rows.sum(axis=1)[:, None] if block.X is None else rows @ block.X)


def _contract(jet: Jet, v: Mapping[tuple[int, int], Vector], f: int) -> Vector:
    """Σ_de v_de l_def, each unordered pair with its multiplicity. (a n,)"""
    total: Vector = np.sum(
        [(1.0 if d == e else 2.0) * x * jet[d, e, f] for (d, e), x in v.items()], axis=0
    )
    return total
