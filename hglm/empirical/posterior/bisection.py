"""Quantiles of any distribution function, all groups at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hglm.typing import Vector

__all__ = ["bisect_quantile"]


def bisect_quantile(
    cdf: Callable[[Vector], Vector], p: float, low: Vector, high: Vector, atoms: Vector
) -> Vector:
    """Find the smallest x with cdf(x) ≥ p in [low, high], to the last bit or so.

    A quantile on an atom is returned exactly: bisection only comes close to it,
    which for an atom at zero may be on the wrong side.

    Parameters
    ----------
    cdf
        Maps (G,) to (G,), non-decreasing and continuous from the right.
    p
        Level.
    low, high : (G,)
        Bracket: cdf(low) < p ≤ cdf(high), up to rounding.
    atoms : (c,)
        Points of positive mass.
    """
    low, high = low.copy(), high.copy()
    for _ in range(200):
        middle = 0.5 * (low + high)
        if np.all((middle <= low) | (middle >= high)):
            break
        reached = cdf(middle) >= p
        high = np.where(reached, middle, high)
        low = np.where(reached, low, middle)
    for atom in atoms:
        at = np.full_like(high, atom)
        reached = cdf(at) >= p
        before = cdf(np.nextafter(at, -np.inf)) < p
        high = np.where(reached & before, atom, high)
    return high
