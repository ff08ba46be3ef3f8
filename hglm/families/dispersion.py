"""The dispersion φ of families with a free scale, precision weights included.

A precision weight w divides the dispersion, Var(y) = φ V(μ)/w, so wherever a
density has φ it has φ/w. All is computed from log φ - log w.
"""

from __future__ import annotations

import numpy as np

from hglm.families.base import Parameter, Point, Response
from hglm.families.jets import Jet
from hglm.families.links import LINKS, log_mean
from hglm.typing import Vector

__all__ = [
    "POSITIVE_LINKS",
    "dispersion_parameter",
    "log_dispersion",
    "pearson_start",
    "weighted",
]

POSITIVE_LINKS = ("log", "sqrt", "identity", "inverse")
"""Links of parameters that are positive, other than means."""

_SMALLEST = 1e-8


def dispersion_parameter(link: str, sigma_power: float) -> Parameter:
    """Return the dispersion as a parameter; sigma is its power."""
    return Parameter("dispersion", LINKS[link], sigma_power=sigma_power)


def log_dispersion(link: str, point: Point) -> Jet:
    """Return log(φ/w), φ the second parameter."""
    log_phi = log_mean(LINKS[link], point.predictors[1])
    weights = point.sizes.weights
    return log_phi if weights is None else log_phi - np.log(weights)


def weighted(values: Vector, weights: Vector | None) -> Vector:
    """Multiply by the precision weights."""
    return values if weights is None else values * weights


def pearson_start(data: Response, mu: Vector, unit_variance: Vector, link: str) -> Vector:
    """Return the predictor of φ at the mean squared Pearson residual."""
    squared = np.square(data.y - mu) / unit_variance
    floor = _SMALLEST * (1.0 + np.mean(np.square(mu) / unit_variance))
    phi = np.mean(weighted(squared, data.sizes.weights))
    return LINKS[link].link(np.maximum(phi, floor))
