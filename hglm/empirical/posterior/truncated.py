"""The normal distribution cut to an interval, stable in both tails.

For θ | y ~ N(y, s²) cut to [low, high], with a = (low − y)/s, b = (high − y)/s.
The interval is reflected so that its middle lies right of zero: then upper
tail probabilities are small numbers of full relative accuracy, and moments
come from log densities (Johnson, Kotz & Balakrishnan 1994, section 13.10).
"""

from __future__ import annotations

import numpy as np
from scipy import special

from hglm.typing import Matrix

__all__ = ["log_interval_probability", "truncated_moments"]

_LOG_ROOT_2PI = 0.5 * np.log(2 * np.pi)
_NARROW = 1e-3


def log_interval_probability(a: Matrix, b: Matrix) -> Matrix:
    """Compute log(Φ(b) − Φ(a)) for a ≤ b, minus infinity where a = b."""
    flip = a + b < 0
    near, far = np.where(flip, -b, a), np.where(flip, -a, b)
    upper = special.log_ndtr(-near)
    with np.errstate(divide="ignore"):
        out: Matrix = upper + np.log(-np.expm1(special.log_ndtr(-far) - upper))
    return out


def truncated_moments(a: Matrix, b: Matrix) -> tuple[Matrix, Matrix]:
    """Mean and variance of a standard normal cut to [a, b], a ≤ b."""
    flip = a + b < 0
    near, far = np.where(flip, -b, a), np.where(flip, -a, b)
    narrow = far - near < _NARROW
    with np.errstate(invalid="ignore", over="ignore"):
        log_z = log_interval_probability(near, np.where(narrow, near + 1.0, far))
        at_near = np.exp(_log_density(near) - log_z)
        at_far = np.exp(_log_density(far) - log_z)
    mean = at_near - at_far
    variance = 1.0 + near * at_near - np.where(at_far > 0, far, 0.0) * at_far - mean**2
    mean = np.clip(mean, near, far)
    middle, width = 0.5 * (near + far), far - near
    mean = np.where(narrow, middle - middle * width**2 / 12.0, mean)  # series in the width
    variance = np.where(narrow, width**2 / 12.0, np.clip(variance, 0.0, 1.0))
    return np.where(flip, -mean, mean), variance


def _log_density(x: Matrix) -> Matrix:
    out: Matrix = -0.5 * x**2 - _LOG_ROOT_2PI
    return out
