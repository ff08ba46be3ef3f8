"""Normal and Student probabilities, the normal as infinite degrees of freedom."""

from __future__ import annotations

import numpy as np
from scipy import special

from hglm.errors import OptionError
from hglm.typing import Vector

__all__ = ["checked_level", "critical", "student_cdf"]


def student_cdf(df: float, t: Vector) -> Vector:
    """P(T ≤ t) with `df` degrees of freedom, infinite for the normal."""
    return np.asarray(special.ndtr(t) if np.isinf(df) else special.stdtr(df, t), dtype=float)


def critical(df: float, level: float) -> float:
    """Half-width of a two-sided interval in standard errors."""
    upper = 0.5 * (1.0 + checked_level(level))
    return float(special.ndtri(upper) if np.isinf(df) else special.stdtrit(df, upper))


def checked_level(level: float) -> float:
    """Return a confidence level, refusing per cents and the like."""
    if not 0 < level < 1:
        raise OptionError(f"`level` is {level}; a confidence level lies between 0 and 1.")
    return level
