"""Coefficients without a finite estimate: separation, and parameters at their limit.

Under separation (Albert & Anderson 1984, Biometrika 71, 1-10) the likelihood rises for ever
as some coefficients grow, because all rows that depend on them gain: successes only, zeros
only, or the categories in perfect order. With random effects it is the same, since
at any u the rows gain all the same. Other parameters have their limit at infinity too: the
log odds of extra zeros where there are none, the size of a negative binomial where counts vary
like Poisson's.

Looking for it costs a pass over the scores that the optimum has anyway. Only where rows no
longer pull at a predictor, and the rows that still do leave some direction d free, is it asked
which rows gain along d, and the linear programme solved (`hglm.numerics.separation`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hglm.criteria.generalised_problem import FixedBlock, GeneralisedProblem
from hglm.criteria.laplace import MarginalEvaluation
from hglm.criteria.mode import counted
from hglm.design.arrays import PredictorDesign
from hglm.families.jets import Wanted
from hglm.fitting.certificate import Certificate, Unbounded
from hglm.numerics.separation import null_space, recession
from hglm.typing import BoolArray, Codes, Matrix, Vector

__all__ = [
    "Flat",
    "curved",
    "flat_covariance",
    "flat_directions",
    "wanted_by_rows",
    "with_names",
    "without_flats",
]

NO_PULL = 1e-4
"""A row's score in η below which it does not hold the predictor."""
GRID = np.linspace(-40.0, 40.0, 21)
"""Linear predictors at which it is looked whether a row gains; they reach probabilities of
1e-17 and counts of 1e17."""
FURTHER = 2.0
"""How far to go on in η to see that the likelihood does not fall."""
LEVEL = 1e-3
"""Change of the log likelihood there that is none."""


SEPARABLE = ("zero_inflation",)
"""Predictors beside the mean that are means themselves, of zero or not."""
NEGLIGIBLE = 1e-6
"""Share of a direction that is rounding."""
RAN = 0.02
"""Size of a coefficient's effect, beside the largest, from which it has run somewhere."""


@dataclass(frozen=True, slots=True)
class Flat:
    """Directions without end among the coefficients of one predictor."""

    predictor: int
    """Its position."""
    signs: Codes
    """(p,) to which side each of the user's coefficients runs away; 0 for neither."""
    touched: BoolArray
    """(p,) coefficients that the data do not determine."""
    basis: Matrix
    """(n_psi, j) orthonormal, of the undetermined directions in ψ."""
    rows: int
    """Rows that are separated; 0 if the parameter is at a limit of another kind."""
    complete: bool
    """Whether all rows are."""


@dataclass(frozen=True, slots=True)
class _Demands:
    """What rows want of a predictor: see `hglm.numerics.separation.recession`."""

    block: FixedBlock
    A: Matrix
    """(m, p), and further columns for thresholds."""
    wanted: Vector
    """(m,)"""
    rows: Codes
    """(m,) which row of the data it is."""
    to_psi: Matrix
    """(n_psi, p) directions in ψ."""


def flat_directions(
    problem: GeneralisedProblem, psi: Vector, at: MarginalEvaluation
) -> tuple[Flat, ...]:
    """Find the coefficients that have no finite estimate.

    Parameters
    ----------
    problem, psi, at
        The model, its optimum as found, and the evaluation there.
    """
    if at.mode is None:
        return ()
    ordinal = problem.likelihood.family.support == "category"
    found = []
    for f, block in enumerate(problem.fixed[:1] if ordinal else problem.fixed):
        idle = np.abs(np.broadcast_to(at.mode.jet[f], (problem.n,))) < NO_PULL
        if not idle.any():
            continue
        if not ordinal and not null_space(_remaining(block, problem.n, idle), problem.n).size:
            continue
        eta = _predictors(problem, psi, at)
        demands = _ordered_demands(problem, psi) if ordinal else _demands(problem, f, eta)
        flat = _separation(f, psi, demands) if block.name in SEPARABLE or f == 0 else None
        if flat is None and not ordinal:
            flat = _limit(problem, f, psi, eta, idle)
        if flat is not None and flat.complete and f == 0:
            return (flat,)  # nothing is left that could determine the other predictors
        found += [] if flat is None else [flat]
    return tuple(found)


def curved(hessian: Matrix, flats: Sequence[Flat]) -> Matrix:
    """Hessian with the flat directions cut out and a curvature that is as good as none.

    What is computed there is rounding error; the covariance of the other parameters is that
    of the limiting model (Geyer 2009, section 3.4).
    """
    if not flats or not np.all(np.isfinite(hessian)):
        return hessian
    N = _joined(flats)
    P = np.eye(len(N)) - N @ N.T
    kept = P @ hessian @ P
    least = 1e-8 * max(float(np.diagonal(kept).max()), 1.0)
    out: Matrix = 0.5 * (kept + kept.T) + least * N @ N.T
    return out


def flat_covariance(psi: Vector, flats: Sequence[Flat]) -> Matrix:
    """Covariance that says that coefficients may be anything. (n_psi, n_psi)

    Standard deviations are a hundred times what the search went, so that no test mistakes
    where it stopped for an estimate.
    """
    out = np.zeros((len(psi), len(psi)))
    for flat in flats:
        far = 100.0 * float(np.linalg.norm(flat.basis.T @ psi))
        out += far**2 * flat.basis @ flat.basis.T
    return out


def without_flats(gradient: Vector, hessian: Matrix, flats: Sequence[Flat]) -> tuple[Vector, float]:
    """Gradient across the flat directions, and what is still to be gained along them.

    The deviance falls to its limit along them like c exp(-rt): with slope g and curvature h
    it can fall by g²/h, and r is one where t is the change of η.
    """
    if not flats:
        return gradient, 0.0
    N = _joined(flats)
    along = N @ (N.T @ gradient)
    slope = float(np.linalg.norm(along))
    if slope == 0.0:
        return gradient, 0.0
    direction = along / slope
    rate = float(direction @ hessian @ direction) / slope  # h/g
    return gradient - along, slope / rate if rate > 1.0 else slope


def wanted_by_rows(
    problem: GeneralisedProblem, f: int, psi: Vector, at: MarginalEvaluation
) -> Vector:
    """Ask which way each row wants predictor f to go for ever: 1, -1, or 0 for neither. (n,)"""
    return _demands(problem, f, _predictors(problem, psi, at)).wanted


def with_names(
    certificate: Certificate,
    flats: Sequence[Flat],
    predictors: Mapping[str, PredictorDesign | None],
    variances: Sequence[Unbounded] = (),
) -> Certificate:
    """Add the names of the coefficients that run away, and of variances that do."""
    if not flats and not variances:
        return certificate
    found = list(variances)
    for flat in flats:
        name, design = list(predictors.items())[flat.predictor]
        names = (name,) if design is None else design.names
        places = np.flatnonzero(flat.touched).tolist()
        found.append(
            Unbounded(
                predictor=name,
                names=tuple(names[i] for i in places),
                signs=tuple(int(flat.signs[i]) for i in places),
                kind="separation" if flat.rows else "limit",
                rows=flat.rows,
                complete=flat.complete,
            )
        )
    message = certificate.message
    if certificate.converged:
        listed = ", ".join(u.label for u in found)
        message = f"Converged in the likelihood, but not to a finite value of {listed}."
    return replace(certificate, unbounded=tuple(found), message=message)


def _joined(flats: Sequence[Flat]) -> Matrix:
    """Orthonormal basis of all flat directions. (n_psi, j)"""
    out: Matrix = np.linalg.qr(np.hstack([flat.basis for flat in flats]))[0]
    return out


def _remaining(block: FixedBlock, n: int, idle: BoolArray) -> Matrix:
    """Cross-product of the rows that pull: that of all rows is n times the identity."""
    gone = _columns(block, n)[idle]
    out: Matrix = n * np.eye(block.p) - gone.T @ gone
    return out


def _predictors(
    problem: GeneralisedProblem, psi: Vector, at: MarginalEvaluation
) -> list[Vector | float]:
    """All linear predictors at the mode. (n,), or numbers"""
    assert at.mode is not None
    effects = problem.pattern.apply(at.mode.b, {})
    fixed = problem.fixed_predictors(psi)
    return [effects[f] + x if f in effects else x for f, x in enumerate(fixed)]


def _values(problem: GeneralisedProblem, eta: Sequence[Vector | float]) -> Vector:
    """Log density of every row. (n,)"""
    with np.errstate(all="ignore"):
        value = problem.likelihood.derivatives(eta, Wanted(0)).value
    return np.broadcast_to(value, (problem.n,))


def _columns(block: FixedBlock, n: int) -> Matrix:
    return np.ones((n, 1)) if block.X is None else block.X


def _demands(problem: GeneralisedProblem, f: int, eta: Sequence[Vector | float]) -> _Demands:
    """Ask each row whether it gains from a larger or a smaller predictor, whatever it is now."""
    block = problem.fixed[f]
    at = [_values(problem, [*eta[:f], np.full(problem.n, x), *eta[f + 1 :]]) for x in GRID]
    with np.errstate(invalid="ignore"):
        rises = np.diff(np.array(at), axis=0)
        noise = 1e-10 * (1.0 + np.abs(at[:-1]) + np.abs(at[1:]))
    up, down = np.all(rises >= -noise, axis=0), np.all(rises <= noise, axis=0)
    wanted = np.where(up, 1.0, 0.0) - np.where(down, 1.0, 0.0)
    wanted = np.where(np.isfinite(at[0]) | np.isfinite(at[-1]), wanted, 0.0)
    wanted = np.where(up & down, np.nan, wanted)
    to_psi = np.zeros((problem.n_fixed + problem.layout.n_theta, block.p))
    to_psi[block.parameters] = np.eye(block.p)
    rows = np.arange(problem.n)
    return _Demands(block, _columns(block, problem.n), wanted, rows, to_psi)


def _ordered_demands(problem: GeneralisedProblem, psi: Vector) -> _Demands:
    """Category c wants θ_c - η to grow and θ_{c-1} - η to fall; thresholds θ may move, too."""
    block = problem.fixed[0]
    thresholds = slice(problem.fixed[1].first, problem.n_fixed)
    steps = np.exp(np.append(0.0, psi[thresholds][1:]))
    J = len(steps) + 1
    codes = _categories(problem, J)
    unit = np.vstack([np.zeros(J - 1), np.eye(J - 1), np.zeros(J - 1)])  # θ_{c-1} at row c
    below, above = np.flatnonzero(codes > 0), np.flatnonzero(codes < J - 1)
    X = _columns(block, problem.n)
    A = np.vstack(
        [
            np.hstack([X[below], -unit[codes[below]]]),
            np.hstack([-X[above], unit[codes[above] + 1]]),
        ]
    )
    to_psi = np.zeros((problem.n_fixed + problem.layout.n_theta, A.shape[1]))
    to_psi[block.parameters, : block.p] = np.eye(block.p)
    differences = np.eye(J - 1) - np.eye(J - 1, k=-1)  # of thresholds: the first, then steps
    to_psi[thresholds, block.p :] = differences / steps[:, None]
    rows = np.concatenate([below, above])
    return _Demands(block, A, np.ones(len(A)), rows, to_psi)


def _categories(problem: GeneralisedProblem, J: int) -> Codes:
    """Codes of the response: the category that is certain between far thresholds."""
    far = [0.0, *[float(np.log(40.0))] * (J - 2)]
    certain = [_values(problem, [np.full(problem.n, 40.0 * c - 20.0), *far]) for c in range(J)]
    codes: Codes = np.argmax(np.array(certain), axis=0)
    return codes


def _separation(f: int, psi: Vector, demands: _Demands) -> Flat | None:
    """Solve the linear programme."""
    found = recession(demands.A, demands.wanted)
    if found is None:
        return None
    p = demands.block.p
    rows = len(np.unique(demands.rows[found.separated]))
    complete = rows == len(np.unique(demands.rows[~np.isnan(demands.wanted)]))
    basis = np.linalg.qr(demands.to_psi @ found.basis)[0]
    return _flat(f, demands.block, psi, found.basis[:p], basis, rows, complete)


def _limit(
    problem: GeneralisedProblem,
    f: int,
    psi: Vector,
    eta: Sequence[Vector | float],
    idle: BoolArray,
) -> Flat | None:
    """Go on where no row pulls: is the likelihood level for ever?"""
    block = problem.fixed[f]
    N = null_space(_remaining(block, problem.n, idle), problem.n)
    direction = N @ (N.T @ psi[block.parameters])
    move = _columns(block, problem.n) @ direction
    largest = float(np.abs(move).max())
    if largest == 0.0:
        return None
    on = [x + FURTHER / largest * move if g == f else x for g, x in enumerate(eta)]
    change = counted(problem, np.abs(_values(problem, on) - _values(problem, eta))).sum()
    if not change < LEVEL:
        return None
    basis = np.zeros((len(psi), N.shape[1]))
    basis[block.parameters] = N
    return _flat(f, block, psi, N, basis, 0, complete=False)


def _flat(
    f: int,
    block: FixedBlock,
    psi: Vector,
    free: Matrix,
    basis: Matrix,
    rows: int,
    complete: bool,
) -> Flat:
    """Translate directions (p, j) of γ to the user's coefficients."""
    size = np.linalg.norm(np.linalg.inv(block.to_beta), axis=0)
    undetermined = np.linalg.norm(size[:, None] * (block.to_beta @ free), axis=1)
    touched = undetermined > NEGLIGIBLE * undetermined.max(initial=0.0)
    effect = size * (block.to_beta @ psi[block.parameters])
    ran = np.abs(effect) > RAN * np.abs(effect[touched]).max(initial=0.0)
    signs = np.where(touched & ran, np.sign(effect), 0.0).astype(np.intp)
    return Flat(f, signs, touched, basis, rows, complete)
