"""Random draws that stand parameters at the ends of the floating-point range."""

from __future__ import annotations

import numpy as np

from hglm.typing import Vector

__all__ = ["draw_beta", "draw_poisson"]

LARGE = 1e15
"""Poisson means from which the normal approximation is exact to rounding."""


def draw_poisson(mu: Vector, rng: np.random.Generator) -> Vector:
    """Draw Poisson counts, whatever their means; they stay below the largest number."""
    mu = np.minimum(mu, 1e300)
    near = rng.poisson(np.minimum(mu, LARGE)).astype(np.float64)
    if not np.any(mu > LARGE):
        return near
    return np.where(mu > LARGE, mu + np.sqrt(mu) * rng.standard_normal(mu.shape), near)


def draw_beta(a: Vector, b: Vector, rng: np.random.Generator) -> Vector:
    """Draw from beta distributions, also where a shape underflows to zero."""
    tiny = float(np.finfo(np.float64).tiny)
    return np.asarray(rng.beta(np.maximum(a, tiny), np.maximum(b, tiny)))
