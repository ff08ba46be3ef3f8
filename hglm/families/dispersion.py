"""The dispersion φ of families with a free scale, precision weights included.

A precision weight w divides the dispersion, Var(y) = φ V(μ)/w, so wherever a
density has φ it has φ/w. All is computed from log φ - log w.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hglm.families.base import Family, Parameter, Point, Response
from hglm.families.checks import check_link
from hglm.families.jets import Jet
from hglm.families.links import LINKS, log_mean
from hglm.typing import Vector

__all__ = [
    "DispersionFamily",
    "log_dispersion",
    "pearson_start",
    "weighted",
]

POSITIVE_LINKS = ("log", "sqrt", "identity", "inverse")
"""Links of parameters that are positive, other than means."""

_SMALLEST = 1e-8


@dataclass(frozen=True, slots=True)
class DispersionFamily(Family):
    """A family with a dispersion beside the mean, each with its link."""

    link: str = "log"
    dispersion_link: str = "log"

    links: ClassVar[tuple[str, ...]]
    """Of the mean."""
    sigma_power: ClassVar[float] = 1.0
    """`Fit.sigma` is the dispersion to this power."""
    scalars: ClassVar[tuple[Parameter, ...]] = ()
    """Further parameters: one number each for all rows."""

    def __post_init__(self) -> None:
        check_link(self.name, self.link, self.links)
        check_link(self.name, self.dispersion_link, POSITIVE_LINKS, "dispersion")

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        mu = Parameter("mean", LINKS[self.link])
        phi = Parameter("dispersion", LINKS[self.dispersion_link], sigma_power=self.sigma_power)
        return mu, phi, *self.scalars


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
