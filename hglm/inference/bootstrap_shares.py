"""How sure a simulation is of a share, such as a p-value or a power.

Wilson's interval (1927, JASA 22, 209-212) keeps its coverage where the share is near zero
or one and the usual p ± z √(p(1-p)/n) does not.
"""

from __future__ import annotations

import numpy as np

from hglm.inference.quantiles import critical_value

__all__ = ["wilson_interval"]


def wilson_interval(hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Confidence interval for a share.

    Parameters
    ----------
    hits, n
        How many of how many.
    level
        Coverage.

    Examples
    --------
    >>> low, high = wilson_interval(0, 100)
    >>> round(low, 4), round(high, 4)
    (0.0, 0.037)
    """
    if n == 0:
        return 0.0, 1.0
    z = critical_value(level)
    share, shrink = hits / n, z**2 / n
    centre = (share + 0.5 * shrink) / (1.0 + shrink)
    half = z * np.sqrt(share * (1.0 - share) / n + 0.25 * shrink / n) / (1.0 + shrink)
    low = 0.0 if hits == 0 else float(centre - half)
    high = 1.0 if hits == n else float(centre + half)
    return low, high
