"""Non-negative quadratic programmes of a few dozen variables."""

from __future__ import annotations

import numpy as np

from hglm.typing import Matrix, Vector

__all__ = ["nonnegative_quadratic"]


def nonnegative_quadratic(H: Matrix, c: Vector, start: Vector) -> Vector:
    """Minimise ½ z'Hz + c'z over z ≥ 0 by the active-set method.

    Lawson & Hanson (1974, chapter 23) on the Gram matrix, warm-started.

    Parameters
    ----------
    H : (m, m)
        Positive definite.
    c : (m,)
    start : (m,)
        Non-negative; its support is the first guess.
    """
    z, free = start.copy(), start > 0
    tolerance = 1e-13 * float(np.abs(c).max())
    for _ in range(20 * c.size):
        trial = np.zeros_like(z)
        trial[free] = np.linalg.solve(H[np.ix_(free, free)], -c[free])
        leaving = np.flatnonzero(free & (trial < 0))
        if leaving.size == 0:
            z = trial
            slope = np.where(free, np.inf, H @ z + c)
            entering = int(slope.argmin())
            if slope[entering] >= -tolerance:
                break
            free[entering] = True
            continue
        ratios = z[leaving] / (z[leaving] - trial[leaving])
        z = z + ratios.min() * (trial - z)
        free[leaving[ratios.argmin()]] = False
        z[~free] = 0.0
    return z
