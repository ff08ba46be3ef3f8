"""Exact test of one variance component in a linear mixed model.

Under the hypothesis that the only variance is zero, y = Xβ + Zb + e with b = 0, the
statistic has a finite-sample distribution that depends on eigenvalues only (Crainiceanu &
Ruppert 2004, JRSS B 66, 165-185). With μ_s the positive eigenvalues of
Z'(I - QQ')Z, ξ_s those of Z'Z, X = QR, and independent w_s ~ N(0, 1),

    N(λ) = Σ_s λμ_s/(1 + λμ_s) w_s²,   D(λ) = Σ_s w_s²/(1 + λμ_s) + Σ_{s rest} w_s²,
    RLRT = sup_{λ ≥ 0} {(n - p) log(1 + N/D) - Σ_s log(1 + λμ_s)}
    LRT  = sup_{λ ≥ 0} {n log(1 + N/D) - Σ_s log(1 + λξ_s)}

with n - p terms w_s² in all. It is far from the mixture of chi-squares where there are few
groups. Simulated, it costs no fits: the supremum is sought over a grid and then closed in
on. In a model with further variances the distribution is that of the model which has the
tested one only (Greven, Crainiceanu, Küchenhoff & Peters 2008, JCGS 17, 870-891): an
approximation, good where the others are well estimated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hglm.criteria.linear_problem import LinearProblem
from hglm.design.arrays import Design, RandomTerm
from hglm.errors import OptionError
from hglm.fitting.estimate import estimate_linear
from hglm.fitting.record import Estimates, LinearState, TermEstimate
from hglm.inference.bootstrap_shares import wilson_interval
from hglm.numerics.replicates import check_count
from hglm.typing import Matrix, Vector

__all__ = ["RestrictedTest", "Spectrum", "null_statistics", "restricted_lrt"]

LARGEST = 3000
"""Most random effects whose eigenvalues are computed."""
GRID = 200
"""Values of λ tried first, from 1e-6 to 1e6 in units of 1/mean μ."""
ROUNDS = 30
"""Times the bracket of the maximum is cut to two thirds."""
CHUNK = 2_000_000
"""Numbers held at once."""
SAME = 1e-7
"""Statistics that differ by less are equal."""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """What the null distribution depends on."""

    mu: Vector
    """(K,) distinct positive eigenvalues of Z'(I - QQ')Z."""
    multiplicity: Vector
    """(K,) how often each occurs."""
    xi: Vector
    """(L,) eigenvalues that stand in the determinant: of Z'Z for ML, μ for REML."""
    xi_multiplicity: Vector
    """(L,)"""
    nu: float
    """Factor of the logarithm: n for ML, n - p for REML."""
    rest: float
    """Number of w_s² without an eigenvalue."""


@dataclass(frozen=True, slots=True, eq=False)
class RestrictedTest:
    """(Restricted) likelihood-ratio test that one variance is zero."""

    parameter: str
    """``"sd(Intercept | g)"``"""
    statistic: float
    p_value: float
    mc_interval: tuple[float, float]
    """95% interval for the p-value of infinitely many simulations."""
    n: int
    """Number of simulations."""
    restricted: bool
    """Whether the likelihoods are restricted ones."""
    exact: bool
    """Whether it is the model's only variance."""


def restricted_lrt(
    estimates: Estimates,
    design: Design,
    parameter: str | None = None,
    n: int = 10_000,
    seed: np.random.Generator | int | None = None,
) -> RestrictedTest:
    """Test that a variance is zero, by the simulated exact null distribution.

    Parameters
    ----------
    estimates, design
        Of a linear mixed model, by REML or ML.
    parameter
        Standard deviation to test, such as ``"sd(Intercept | g)"``; may be left out where
        the model has only one.
    n
        Number of simulations; they cost next to nothing.
    seed
        Generator or seed.
    """
    check_count("n", n)
    if not isinstance(estimates.state, LinearState):
        raise OptionError(
            "The exact test of a variance is for linear mixed models; compare generalised models "
            'by `hglm.compare(..., method="bootstrap")`.'
        )
    term, column, name = _tested(estimates, parameter)
    reml, mean = estimates.state.reml, design.mean
    tested = mean.random[term.position]
    rest = tuple(j for j in range(term.k) if j != column)
    others = tuple(t for t in mean.random if t is not tested)
    others += (_columns(tested, rest),) if rest else ()
    null = estimate_linear(replace(design, mean=replace(mean, random=others)), reml)
    statistic = max(2.0 * (estimates.llf - null.llf), 0.0)
    problem = estimates.state.problem
    if others:
        single = (_columns(tested, (column,)),)
        state = estimate_linear(replace(design, mean=replace(mean, random=single)), reml).state
        assert isinstance(state, LinearState)
        problem = state.problem
    draws = null_statistics(_spectrum(problem, reml), n, np.random.default_rng(seed))
    hits = int(np.sum(draws >= statistic - SAME))
    return RestrictedTest(
        parameter=name,
        statistic=statistic,
        p_value=(1 + hits) / (n + 1),
        mc_interval=wilson_interval(hits, n),
        n=n,
        restricted=reml,
        exact=not others,
    )


def null_statistics(spectrum: Spectrum, n: int, rng: np.random.Generator) -> Vector:
    """Draw from the exact distribution of the statistic under the null hypothesis. (n,)"""
    size = max(1, CHUNK // max(len(spectrum.mu), GRID))
    parts = [_suprema(spectrum, min(size, n - start), rng) for start in range(0, n, size)]
    return np.concatenate(parts)


def _tested(estimates: Estimates, parameter: str | None) -> tuple[TermEstimate, int, str]:
    """Term and column of the tested standard deviation: it must come without correlations."""
    places = {
        f"sd({name} | {term.group})": (term, j)
        for term in estimates.terms
        for j, name in enumerate(term.names)
    }
    if parameter is None and len(places) == 1:
        parameter = next(iter(places))
    if parameter not in places:
        problem = "Say which" if parameter is None else f"There is no parameter {parameter!r}"
        raise OptionError(f"{problem}; the variances are {', '.join(map(repr, places)) or 'none'}.")
    term, column = places[parameter]
    if term.k > 1 and term.structure != "diag":
        raise OptionError(
            f"{parameter} comes with correlations or other variances of the same term; compare "
            'the models with and without it by `hglm.compare(..., method="bootstrap")`.'
        )
    return term, column, parameter


def _columns(term: RandomTerm, columns: tuple[int, ...]) -> RandomTerm:
    """Keep some of the coefficients of a term whose coefficients are independent."""
    if term.k == len(columns):
        return term
    names = tuple(term.names[j] for j in columns)
    return replace(term, names=names, z=term.z[:, list(columns)])


def _spectrum(problem: LinearProblem, reml: bool) -> Spectrum:
    """Eigenvalues for a model with a single variance."""
    diagonal, rhs, p = problem.gramian.diagonal[0], problem.rhs[0], problem.p
    k, _, q = diagonal.shape
    if k * q > LARGEST:
        raise OptionError(
            f"The exact test is for at most {LARGEST} random effects, and there are {k * q}; with "
            "so many the boundary p-value of `hglm.compare` is accurate."
        )
    blocks = np.zeros((k, q, k, q))
    blocks[:, np.arange(q), :, np.arange(q)] = diagonal.transpose(2, 0, 1)
    ZZ = blocks.reshape(k * q, k * q)
    QZ = rhs[:p].reshape(p, k * q)
    mu, times = _distinct(ZZ - QZ.T @ QZ)
    xi, xi_times = (mu, times) if reml else _distinct(ZZ)
    nu = problem.nobs - p
    return Spectrum(mu, times, xi, xi_times, nu if reml else problem.nobs, nu - times.sum())


def _distinct(matrix: Matrix) -> tuple[Vector, Vector]:
    """Positive eigenvalues, those that differ by rounding only counted together."""
    values: Vector = np.asarray(np.linalg.eigvalsh(matrix)[::-1], dtype=np.float64)
    values = values[values > 1e-10 * values[0]]
    new = np.append(True, np.diff(values) < -1e-9 * values[0])
    times = np.diff(np.append(np.flatnonzero(new), len(values))).astype(np.float64)
    return values[new], times


def _suprema(spectrum: Spectrum, n: int, rng: np.random.Generator) -> Vector:
    s = spectrum
    w2 = rng.chisquare(s.multiplicity, (n, len(s.mu)))
    rest = rng.chisquare(s.rest, n) if s.rest > 0 else np.zeros(n)
    total = w2.sum(axis=1) + rest

    def profile(log_lambda: Matrix) -> Matrix:
        """Twice the log likelihood ratio at λ, (n, g) or the same (g,) for all."""
        scale = np.exp(log_lambda)[..., None]  # (..., g, 1)
        shrunk = 1.0 / (1.0 + scale * s.mu)  # (..., g, K)
        D = (w2 @ shrunk.T if shrunk.ndim == 2 else (shrunk * w2[:, None]).sum(axis=2)) + rest[
            :, None
        ]
        penalty = np.log1p(scale * s.xi) @ s.xi_multiplicity
        out: Matrix = s.nu * np.log(total[:, None] / D) - penalty
        return out

    grid = np.linspace(-13.8, 13.8, GRID) - np.log(np.average(s.mu, weights=s.multiplicity))
    best = np.argmax(profile(grid), axis=1)
    step = grid[1] - grid[0]
    low, high = grid[best] - step, grid[best] + step
    for _ in range(ROUNDS):  # the maximum lies between: leave out the worse third
        inner = np.column_stack([low + (high - low) / 3.0, high - (high - low) / 3.0])
        left, right = profile(inner).T
        low = np.where(left < right, inner[:, 0], low)
        high = np.where(left < right, high, inner[:, 1])
    top = profile(0.5 * (low + high)[:, None])[:, 0]
    return np.maximum(top, 0.0)
