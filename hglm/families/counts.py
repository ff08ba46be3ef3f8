"""What families of counts share: the probability of zero, sums, sampling.

Everything about zero is computed from ζ = log(-log P(Y = 0)), which for
μ → 0 tends to log μ: then P(Y > 0) = 1 - exp(-exp ζ) keeps its relative accuracy
however rare a non-zero count is.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np
from scipy.special import gammaln

from hglm.families.base import Family, Point, Response, Support
from hglm.families.jets import Jet
from hglm.typing import Codes, Vector

__all__ = [
    "COUNT_LINKS",
    "CountFamily",
    "LogProbability",
    "count_start",
    "draw_by_inversion",
    "excess_variance",
    "log_factorial",
    "probabilities",
    "summed_cdf",
    "take",
]

LogProbability: TypeAlias = Callable[[Vector, Codes], Vector]
"""(values (m,), rows (m,)) -> log probability of each value in its row."""

COUNT_LINKS = ("log", "sqrt", "identity")
"""Links of the mean of a count."""


@dataclass(frozen=True, slots=True)
class CountFamily(Family):
    """A family of counts 0, 1, 2, ... that can be truncated at zero."""

    links: ClassVar[tuple[str, ...]] = COUNT_LINKS
    support: ClassVar[Support] = "counts"
    discrete: ClassVar[bool] = True

    @abstractmethod
    def log_hazard(self, point: Point) -> Jet:
        """Return ζ = log(-log P(Y = 0))."""


def count_start(y: Vector) -> Vector:
    """Return a mean near each count, off zero."""
    return np.where(y > 0.0, y, 0.1 + 0.2 * np.mean(y))


def excess_variance(y: Vector, mu: Vector | None) -> tuple[float, float]:
    """Return mean squares of y - μ less the mean, and of μ: Var = μ + μ²/k."""
    centre = np.full_like(y, np.mean(y)) if mu is None else mu
    squares = max(float(np.mean(np.square(centre))), 1e-8)
    excess = float(np.mean(np.square(y - centre) - centre))
    return max(excess, 1e-3 * squares), squares


def log_factorial(y: Vector) -> Vector:
    """Return log y!."""
    return np.asarray(gammaln(y + 1.0))


def take(point: Point, rows: Codes) -> Point:
    """Return the point of some rows; scalar predictors stay scalar."""
    return Point(tuple(p.take(rows) for p in point.predictors), point.sizes.take(rows))


def probabilities(family: Family, point: Point) -> LogProbability:
    """Return the log density of any values in any rows, from the kernel."""

    def log_probability(values: Vector, rows: Codes) -> Vector:
        here = take(point, rows)
        log_p = family.kernel(Response(values, here.sizes))(here).value
        return np.where(np.isnan(log_p), -np.inf, log_p)  # nan: an impossible count

    return log_probability


def summed_cdf(log_probability: LogProbability, y: Vector, step: Vector | float = 1.0) -> Vector:
    """Sum probabilities of 0, `step`, 2 `step`, ... up to y; one pass a value."""
    total = np.zeros_like(y)
    units = np.broadcast_to(step, y.shape)
    largest = np.floor(y / units + 1e-7)
    for value in range(int(np.max(largest, initial=-1.0)) + 1):
        rows = np.flatnonzero(largest >= value)
        total[rows] += np.exp(log_probability(value * units[rows], rows))
    return np.minimum(total, 1.0)


def draw_by_inversion(
    log_probability: LogProbability, n: int, rng: np.random.Generator, smallest: int = 0
) -> Vector:
    """Draw n counts by adding up probabilities until a uniform number is passed."""
    uniform, drawn, last = rng.random(n), np.zeros(n), np.zeros(n)
    falling = np.zeros(n, dtype=bool)
    left, value = np.arange(n), smallest
    while left.size:
        p = np.exp(log_probability(np.full(left.size, float(value)), left))
        uniform[left] -= p
        falling[left] |= p < last[left]
        last[left] = p
        # past the mode and below rounding: the sum will not reach 1 exactly
        done = (uniform[left] < 0.0) | (falling[left] & (p < 1e-17))
        drawn[left[done]] = value
        left = left[~done]
        value += 1
    return drawn
