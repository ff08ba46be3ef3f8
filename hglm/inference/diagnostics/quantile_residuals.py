"""Quantile residuals: uniform on (0, 1) if the model holds, whatever the family.

By simulation, `quantile_residuals`: the rank of each response among responses simulated
from the fitted model, with checks by Monte Carlo tests (`hglm.inference.diagnostics.ranks`):

    uniformity      Kolmogorov and Smirnov's distance of the residuals from uniform
    dispersion      mean square of (y - mean)/sd, both of the simulated responses
    outliers        rows in which y lies outside everything simulated
    zeros           zeros, for counts: observed over expected

New random effects for each simulation judge the whole model, and residuals of one group
go together, which the tests allow for. With the conditional modes instead, rows are
judged given their groups.

By the distribution function, `exact_quantile_residuals`: F(y) given the fitted random
effects, spread uniformly over (F(y-), F(y)) where the response has atoms (Dunn & Smyth
1996). They are the more uniform the more rows a group has, since the modes were fitted to
the same responses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from hglm.design import Design
from hglm.families import Family, Point
from hglm.fitting.record import Estimates, GeneralisedState
from hglm.inference.diagnostics.ranks import distance_from_uniform, monte_carlo_p, uniform_ranks
from hglm.inference.family_point import family_point, fitted_predictors
from hglm.inference.residuals import residuals
from hglm.inference.simulate import RandomDraws, simulate
from hglm.typing import Matrix, Vector

__all__ = ["QuantileResiduals", "exact_quantile_residuals", "quantile_residuals"]

MEANINGS = {
    "uniformity": "the residuals depart from the uniform distribution: the family, the link or "
    "the fixed part may be wrong",
    "overdispersion": "responses vary more than the model says",
    "underdispersion": "responses vary less than the model says",
    "outliers": "some responses lie outside everything that the model produces",
    "excess zeros": "there are more zeros than the model produces",
    "missing zeros": "there are fewer zeros than the model produces",
}
"""What a small p-value says."""


@dataclass(frozen=True, slots=True, repr=False)
class QuantileResiduals:
    """Residuals on (0, 1) and the tests made of them."""

    residuals: pd.Series
    """(n,) uniform if the model holds."""
    checks: pd.DataFrame
    """Index: name; columns `statistic, p_value, meaning`."""

    def __repr__(self) -> str:
        found = self.checks[["statistic", "p_value"]].round(4).to_string()
        return (
            f"Quantile residuals of {len(self.residuals)} rows (.residuals); their tests:\n{found}"
        )

    def tests(self) -> pd.DataFrame:
        """Return the tests: `name` as index; `statistic, p_value, meaning`."""
        return self.checks.copy()

    def normal(self) -> pd.Series:
        """Return the residuals as normal quantiles. (n,)"""
        return pd.Series(
            special.ndtri(self.residuals.to_numpy()), self.residuals.index, name="normal"
        )


def quantile_residuals(
    estimates: Estimates,
    design: Design,
    n: int = 250,
    seed: np.random.Generator | int | None = None,
    random: RandomDraws = "new",
) -> QuantileResiduals:
    """Compute quantile residuals by simulation, with tests.

    Parameters
    ----------
    estimates, design
        Of the fit.
    n
        Number of simulations; the smallest p-value possible is 1/(n + 1).
    seed
        Generator or seed.
    random
        ``"new"`` random effects for each simulation, or the ``"conditional"`` modes.
    """
    rng = np.random.default_rng(seed)
    simulated = simulate(estimates, design, n, rng, random)
    vectors = np.column_stack([design.y, simulated])
    ranks = uniform_ranks(vectors, rng)
    rows = [
        _uniformity(ranks),
        _dispersion(vectors),
        _outliers(ranks),
        *([_zeros(vectors)] if _counts_zeros(estimates, simulated) else []),
    ]
    values = pd.Series(ranks[:, 0], index=design.index, name="quantile")
    return QuantileResiduals(values, _frame(rows))


def exact_quantile_residuals(
    estimates: Estimates, design: Design, seed: np.random.Generator | int | None = None
) -> QuantileResiduals:
    """Compute quantile residuals given the random effects, from the distribution function.

    The tests take the residuals as independent: Kolmogorov and Smirnov's, and the sum
    of squared normal quantiles as a chi-square on as many degrees of freedom as rows.

    Parameters
    ----------
    estimates, design
        Of the fit.
    seed
        Generator or seed, for responses with atoms.
    """
    lower, upper = _limits(estimates, design)
    u = np.random.default_rng(seed).random(design.n)
    tiny = np.finfo(float).tiny
    values = np.clip(lower + u * (upper - lower), tiny, 1.0 - np.finfo(float).epsneg)
    distance = float(distance_from_uniform(values[:, None])[0])
    total = float(np.sum(special.ndtri(values) ** 2))
    upper_tail = float(special.chdtrc(design.n, total))
    rows = [
        ("uniformity", distance, _kolmogorov_p(distance, design.n), MEANINGS["uniformity"]),
        (
            "dispersion",
            total / design.n,
            2.0 * min(upper_tail, 1.0 - upper_tail),
            MEANINGS["overdispersion" if total > design.n else "underdispersion"],
        ),
    ]
    residual = pd.Series(values, index=design.index, name="quantile")
    return QuantileResiduals(residual, _frame(rows))


Row = tuple[str, float, float, str]


def _frame(rows: list[Row]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["name", "statistic", "p_value", "meaning"])
    return frame.set_index("name")


def _uniformity(ranks: Matrix) -> Row:
    distances = distance_from_uniform(ranks)
    p = monte_carlo_p(distances, two_sided=False)
    return "uniformity", float(distances[0]), p, MEANINGS["uniformity"]


def _dispersion(vectors: Matrix) -> Row:
    """Compare the mean squared deviation of y with that of simulated responses."""
    deviation = vectors - vectors.mean(axis=1, keepdims=True)
    variance = np.mean(deviation**2, axis=1)
    varies = variance > 0.0  # a row in which all are equal says nothing
    if not varies.any():
        return "dispersion", np.nan, np.nan, MEANINGS["overdispersion"]
    squares = np.mean(deviation[varies] ** 2 / variance[varies, None], axis=0)
    ratio = float(squares[0] / squares[1:].mean())
    meaning = MEANINGS["overdispersion" if ratio > 1.0 else "underdispersion"]
    return "dispersion", ratio, monte_carlo_p(squares, two_sided=True), meaning


def _outliers(ranks: Matrix) -> Row:
    size = ranks.shape[1]
    extreme = (ranks < 1.0 / size) | (ranks >= 1.0 - 1.0 / size)
    counts = extreme.sum(axis=0).astype(float)
    p = monte_carlo_p(counts, two_sided=False)
    return "outliers", float(counts[0]), p, MEANINGS["outliers"]


def _zeros(vectors: Matrix) -> Row:
    counts = (vectors == 0.0).sum(axis=0).astype(float)
    expected = float(counts[1:].mean())
    meaning = MEANINGS["excess zeros" if counts[0] > expected else "missing zeros"]
    return "zeros", float(counts[0]) / expected, monte_carlo_p(counts, two_sided=True), meaning


def _counts_zeros(estimates: Estimates, simulated: Matrix) -> bool:
    state = estimates.state
    if not isinstance(state, GeneralisedState):
        return False
    support = state.problem.likelihood.family.support
    return support in ("counts", "proportion", "nonnegative") and bool((simulated == 0.0).any())


def _limits(estimates: Estimates, design: Design) -> tuple[Vector, Vector]:
    """P(Y < y) and P(Y <= y) given the random effects. (n,) each"""
    state = estimates.state
    if not isinstance(state, GeneralisedState):
        value = special.ndtr(residuals(estimates, design, "pearson").to_numpy())
        return value, value
    family = state.problem.likelihood.family
    point = family_point(state, design, fitted_predictors(estimates))
    upper = np.asarray(family.cdf(design.y, point))
    return _below(family, point, design, upper), upper


def _below(family: Family, point: Point, design: Design, upper: Vector) -> Vector:
    """P(Y < y). (n,)"""
    if family.discrete:
        step = 1.0 if design.trials is None else 1.0 / design.trials
        previous = design.y - step
        value = family.cdf(np.maximum(previous, 0.0), point)
        return np.where(previous < -0.5 * step, 0.0, value)
    atom = design.y == 0.0  # of Tweedie and hurdle families
    return upper if family.support == "real" else np.where(atom, 0.0, upper)


def _kolmogorov_p(distance: float, n: int) -> float:
    """P-value of Kolmogorov's test (Stephens 1970, J. R. Stat. Soc. B 32, 115-122)."""
    root = np.sqrt(n)
    return float(special.kolmogorov((root + 0.12 + 0.11 / root) * distance))
