"""Smooth maps from the real line onto the range of a hyperparameter.

A dispersion q ≥ 0 is searched as q = t², a probability as sin² t: symmetric,
without bounds, and the boundary is reached at a finite t with full curvature
(under q = e^t it would lie at infinity). The price is that every boundary is a
stationary point of t, so a search never starts there and `maximise` looks at
the derivative in q itself before it calls a boundary point a maximum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["DISPERSION", "PROBABILITY", "REAL", "Transform"]


@dataclass(frozen=True, slots=True)
class Transform:
    """A map t -> x and what Newton's method needs to know of it."""

    forward: Callable[[float], float]
    inverse: Callable[[float], float]
    first: Callable[[float], float]
    """dx/dt."""
    second: Callable[[float], float]
    """d²x/dt²."""
    lower: float = -np.inf
    upper: float = np.inf


REAL = Transform(lambda t: t, lambda x: x, lambda _: 1.0, lambda _: 0.0)

DISPERSION = Transform(
    lambda t: t * t, lambda x: float(np.sqrt(x)), lambda t: 2.0 * t, lambda _: 2.0, 0.0
)

PROBABILITY = Transform(
    lambda t: float(np.sin(t) ** 2),
    lambda x: float(np.arcsin(np.sqrt(x))),
    lambda t: float(np.sin(2.0 * t)),
    lambda t: float(2.0 * np.cos(2.0 * t)),
    0.0,
    1.0,
)
