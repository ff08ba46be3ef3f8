"""Robbins's estimator: Poisson means without any model of the prior.

If y | θ ~ Poisson(θ) with θ from any prior, and f is the marginal distribution
of y, then E[θ | y] = (y + 1) f(y + 1)/f(y) (Robbins 1956). Frequencies estimate f.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from hglm.errors import DataError

__all__ = ["robbins"]


def robbins(counts: npt.ArrayLike) -> pd.DataFrame:
    """Estimate the posterior mean of a Poisson parameter at every count.

    Use it where counts are many and small and have equal exposure. Not in the
    tail, where few groups share a count: the estimate jumps there, and is zero
    at the largest count; `NPMLE(noise="poisson")` is the smooth alternative.

    Parameters
    ----------
    counts : (n,)
        Non-negative integers of equal exposure.

    Returns
    -------
    frame
        Columns count, frequency, estimate, std_error (delta method with
        multinomial frequencies), one row for each value up to the largest count.

    Examples
    --------
    >>> robbins([0, 0, 0, 0, 1, 1, 2])["estimate"].tolist()
    [0.5, 1.0, 0.0]
    """
    y = np.asarray(counts, dtype=float)
    if y.ndim != 1 or y.size == 0 or (y < 0).any() or (y != np.round(y)).any():
        raise DataError("Robbins's estimator needs one column of non-negative integer counts.")
    frequency = np.bincount(y.astype(np.intp)).astype(float)
    value = np.arange(frequency.size, dtype=float)
    following = np.append(frequency[1:], 0.0)
    seen = frequency > 0
    divisor = np.where(seen, frequency, 1.0)
    estimate = np.where(seen, (value + 1.0) * following / divisor, np.nan)
    spread = (value + 1.0) / divisor * np.sqrt(following * (1.0 + following / divisor))
    return pd.DataFrame(
        {
            "count": value.astype(np.intp),
            "frequency": frequency.astype(np.intp),
            "estimate": estimate,
            "std_error": np.where(seen, spread, np.nan),
        }
    )
