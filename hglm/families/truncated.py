"""Counts without zeros: a family of counts, given Y > 0.

log P(Y = y | Y > 0) = log P(Y = y) - log{1 - P(Y = 0)}, the last term from
ζ = log(-log P(Y = 0)), so that it is exact for means near zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hglm.families.base import Family, Kernel, Parameter, Point, Response, Support
from hglm.families.checks import require_counts
from hglm.families.counts import CountFamily, draw_by_inversion, probabilities, take
from hglm.families.jets import Jet
from hglm.numerics import special
from hglm.typing import Vector

__all__ = ["Truncated"]

_WORTH_REJECTING = 0.1


@dataclass(frozen=True, slots=True)
class Truncated(Family):
    """A family of counts, truncated at zero; μ is the mean before truncation."""

    base: CountFamily

    support: ClassVar[Support] = "positive_counts"
    discrete: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """``"truncated_"`` and the name of the base."""
        return f"truncated_{self.base.name}"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.base.parameters

    def validate(self, data: Response, labels: Sequence[object] | None = None) -> Truncated:
        require_counts(self.name, data.y, labels, smallest=1)
        self.base.validate(data, labels)
        return self

    def kernel(self, data: Response) -> Kernel:
        base = self.base.kernel(data)

        def log_density(point: Point) -> Jet:
            return base(point) - self._log_positive(point)

        return log_density

    def moments(self, point: Point) -> tuple[Jet, Jet]:
        """Return M = μ/q and V/q - M² (1 - q), q = P(Y > 0)."""
        mu, variance = self.base.moments(point)
        log_q = self._log_positive(point)
        inverse_q = (-log_q).apply(special.exp)
        mean = mu * inverse_q
        zero = -log_q.apply(special.expm1)
        return mean, variance * inverse_q - mean * mean * zero

    def information(self, _: Point) -> None:
        return None

    def unit_deviance(self, _: Vector, __: Point) -> None:
        return None

    def start(self, data: Response, mu: Vector | None = None) -> tuple[Vector, ...]:
        return self.base.start(data, mu)

    def simulate(self, point: Point, rng: np.random.Generator) -> Vector:
        """Redraw zeros; where they are common, invert the distribution function."""
        log_q = self._log_positive(point).value
        drawn = self.base.simulate(point, rng)
        common = np.broadcast_to(np.exp(log_q) < _WORTH_REJECTING, drawn.shape)
        rare = np.flatnonzero(common)
        there = probabilities(self, take(point, rare))
        drawn[rare] = draw_by_inversion(there, rare.size, rng, smallest=1)
        left = np.flatnonzero(drawn == 0.0)
        while left.size:
            drawn[left] = self.base.simulate(take(point, left), rng)
            left = left[drawn[left] == 0.0]
        return drawn

    def cdf(self, y: Vector, point: Point) -> Vector:
        log_q = self._log_positive(point).value
        inside = (self.base.cdf(y, point) + np.expm1(log_q)) / np.exp(log_q)
        return np.where(y < 1.0, 0.0, inside)

    def _log_positive(self, point: Point) -> Jet:
        """Return log P(Y > 0)."""
        return self.base.log_hazard(point).apply(special.log_cloglog)
