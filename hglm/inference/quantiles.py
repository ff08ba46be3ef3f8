"""Quantiles for intervals, without the weight of `scipy.stats`."""

from __future__ import annotations

import numpy as np
from scipy import special

from hglm.errors import OptionError

__all__ = ["critical_value"]


def critical_value(level: float, df: float | None = None) -> float:
    """Half-width of a two-sided interval in standard errors.

    Parameters
    ----------
    level
        Coverage, in (0, 1).
    df
        Degrees of freedom of Student's t; the normal distribution if None.

    Examples
    --------
    >>> critical_value(0.95)
    1.95996...
    >>> critical_value(0.95, df=10)
    2.22813...
    """
    if not 0.0 < level < 1.0:
        raise OptionError(f"The option level={level!r} is not between 0 and 1; give 0.95, say.")
    upper = 0.5 + 0.5 * level
    if df is None or df == np.inf:
        return float(special.ndtri(upper))
    if not df > 0.0:
        raise OptionError(f"The option df={df!r} is not positive; leave it out for the normal.")
    return float(special.stdtrit(df, upper))
