"""Quantiles of responses from their distribution functions, all rows at a time.

Discrete responses k or k/trials are found by bisection over whole numbers, continuous ones
on a scale without bounds (the logarithm, or the logit), from a bracket that is widened
until it holds the quantile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from hglm.families.base import Support
from hglm.typing import Vector

__all__ = ["Lattice", "response_quantiles"]

Cdf = Callable[[Vector], Vector]

TIE = 1e-12
"""Shortfall of a probability that rounding may have made."""
LARGEST = 1e300
"""Where the search for larger responses ends."""
WIDENINGS = 60
HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Lattice:
    """Which values responses may take."""

    support: Support
    discrete: bool
    trials: Vector | None
    """(m,) responses are k/trials; None: k, or not discrete."""


def response_quantiles(
    cdf: Cdf, p: float, lattice: Lattice, mean: Vector, std_dev: Vector
) -> Vector:
    """Find the smallest y with cdf(y) ≥ p, one for each row.

    Parameters
    ----------
    cdf
        (m,) to (m,), rising in each element.
    p
        Probability.
    lattice
        Where the responses lie.
    mean, std_dev : (m,)
        Of the responses: where to look first.

    Returns
    -------
    (m,)
    """
    if lattice.discrete:
        return _whole_numbers(cdf, p, lattice.trials, mean, std_dev)
    if lattice.support == "real":
        return _bisected(cdf, p, np.array(mean), std_dev)
    if lattice.support == "unit":
        width = std_dev / np.maximum(mean * (1.0 - mean), 1e-300)
        return expit(_bisected(lambda t: cdf(expit(t)), p, logit(mean), width))
    centre = np.clip(mean, 1 / LARGEST, LARGEST)
    width = np.clip(std_dev / centre, 1e-8, 10.0)
    with np.errstate(over="ignore"):
        t = _bisected(lambda t: cdf(np.exp(t)), p, np.log(centre), width)
    return np.where(cdf(np.zeros_like(mean)) >= p - TIE, 0.0, np.exp(t))


def _whole_numbers(
    cdf: Cdf, p: float, trials: Vector | None, mean: Vector, std_dev: Vector
) -> Vector:
    size = np.ones_like(mean) if trials is None else trials
    low = np.full_like(mean, -1.0)  # cdf < p
    high = size if trials is not None else np.ceil(np.minimum(mean + 4.0 * std_dev, LARGEST)) + 1.0
    while trials is None:
        short = (cdf(high) < p - TIE) & (high < LARGEST)
        if not short.any():
            break
        low, high = np.where(short, high, low), np.where(short, 2.0 * high, high)
    while np.any((low < (middle := np.floor(0.5 * (low + high)))) & (middle < high)):
        reached = cdf(middle / size) >= p - TIE
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    return high / size


def _bisected(cdf: Cdf, p: float, centre: Vector, width: Vector) -> Vector:
    """Find where a continuous, rising function is p."""
    low, high = centre - width, centre + width
    for _ in range(WIDENINGS):
        over, under = cdf(low) > p, cdf(high) < p
        if not (over.any() or under.any()):
            break
        width = 2.0 * width
        low, high = np.where(over, low - width, low), np.where(under, high + width, high)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        under = cdf(middle) < p
        low, high = np.where(under, middle, low), np.where(under, high, middle)
        if np.all(high - low <= 1e-12 * np.maximum(1.0, np.abs(high))):
            break
    return high
