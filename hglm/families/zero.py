"""Extra zeros: zero-inflated and hurdle models around another family.

With π the probability of an extra zero, on its own link the last predictor,

    P(0) = π + (1 - π) f(0),     f*(y) = (1 - π) f(y) for y ≠ 0.

Around a family with zeros of its own this is zero inflation; around one without,
f(0) = 0, it is a hurdle. All is built from log π, log(1 - π) and log f; at zero as
log π + log{1 + exp(log(1 - π) + log f(0) - log π)}, so nothing overflows and no
probability is subtracted from one.

References
----------
Lambert, D. (1992). Technometrics 34, 1-14 (zero inflation).
Mullahy, J. (1986). Journal of Econometrics 33, 341-365 (hurdle).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hglm.errors import DataError, OptionError
from hglm.families.base import Family, Kernel, Parameter, Point, Response, Support
from hglm.families.binomial import PROBABILITY_LINKS
from hglm.families.checks import check_link
from hglm.families.counts import CountFamily, take
from hglm.families.jets import Jet, assemble
from hglm.families.links import LINKS, log_probabilities
from hglm.families.truncated import Truncated
from hglm.numerics import special
from hglm.typing import Codes, Vector

__all__ = ["ZeroInflated", "hurdle"]


@dataclass(frozen=True, slots=True)
class ZeroInflated(Family):
    """A family with extra zeros; a hurdle if the base has none."""

    base: Family
    zero_link: str = "logit"

    def __post_init__(self) -> None:
        check_link(self.name, self.zero_link, PROBABILITY_LINKS, "zero inflation")
        if self.base.support in {"real", "nonnegative", "category"}:
            raise OptionError(
                f"The {self.base.name} family cannot have extra zeros; use a family of counts "
                "(zero-inflated), or a positive or zero-truncated one (hurdle)."
            )

    @property
    def name(self) -> str:
        """The name of the base after ``"zero_inflated_"`` or ``"hurdle_"``."""
        return f"{'hurdle' if self._is_hurdle else 'zero_inflated'}_{self.base.name}"

    @property
    def support(self) -> Support:
        """That of the base, with zero."""
        if self._is_hurdle:
            return "counts" if self.base.discrete else "nonnegative"
        return self.base.support

    @property
    def discrete(self) -> bool:
        """Whether the base is."""
        return self.base.discrete

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (*self.base.parameters, Parameter("zero_inflation", LINKS[self.zero_link]))

    def validate(self, data: Response, labels: Sequence[object] | None = None) -> ZeroInflated:
        if not self._is_hurdle:
            self.base.validate(data, labels)
            return self
        above = np.flatnonzero(data.y != 0.0)
        if above.size == 0:
            raise DataError(
                "Every response is zero, so a hurdle model has nothing above the hurdle; "
                "use a binomial family for zero or not."
            )
        names = above.tolist() if labels is None else [labels[i] for i in above.tolist()]
        self.base.validate(_rows(data, above), names)
        return self

    def kernel(self, data: Response) -> Kernel:
        n = data.y.size
        zeros = np.flatnonzero(data.y == 0.0)
        ordinary = np.flatnonzero(data.y != 0.0) if self._is_hurdle else np.arange(n)
        base = self.base.kernel(_rows(data, ordinary))

        def log_density(point: Point) -> Jet:
            inner, log_pi, log_1pi = self._split(point)
            below = base(take(inner, ordinary)) + log_1pi.take(ordinary)
            extra = log_pi.take(zeros)
            if self._is_hurdle:
                return assemble(n, [(ordinary, below), (zeros, extra)])
            both = (below.take(zeros) - extra).apply(special.softplus) + extra
            return assemble(n, [(ordinary, below), (zeros, both)])

        return log_density

    def moments(self, point: Point) -> tuple[Jet, Jet]:
        """Return (1 - π) M and (1 - π) V + π (1 - π) M²."""
        inner, log_pi, log_1pi = self._split(point)
        mean, variance = self.base.moments(inner)
        share = log_1pi.apply(special.exp)
        between = (log_pi + log_1pi).apply(special.exp)
        return share * mean, share * variance + between * (mean * mean)

    def information(self, _: Point) -> None:
        return None

    def unit_deviance(self, _: Vector, __: Point) -> None:
        return None

    def start(self, data: Response, mu: Vector | None = None) -> tuple[Vector, ...]:
        zero = data.y == 0.0
        share = np.clip(np.mean(zero), 0.02, 0.98) * (1.0 if self._is_hurdle else 0.5)
        pi = LINKS[self.zero_link].link(np.asarray(share))
        if not self._is_hurdle:
            return (*self.base.start(data, mu), pi)
        above = np.flatnonzero(~zero)
        eta, *rest = self.base.start(_rows(data, above), None if mu is None else mu[above])
        everywhere = np.full_like(data.y, np.mean(eta))
        everywhere[above] = eta
        return (everywhere, *rest, pi)

    def simulate(self, point: Point, rng: np.random.Generator) -> Vector:
        inner, log_pi, _ = self._split(point)
        drawn = self.base.simulate(inner, rng)
        return np.where(rng.random(drawn.shape) < np.exp(log_pi.value), 0.0, drawn)

    def cdf(self, y: Vector, point: Point) -> Vector:
        inner, log_pi, log_1pi = self._split(point)
        below = np.exp(log_1pi.value) * self.base.cdf(y, inner)
        return np.where(y < 0.0, 0.0, np.exp(log_pi.value) + below)

    @property
    def _is_hurdle(self) -> bool:
        return self.base.support in {"positive", "positive_counts", "unit"}

    def _split(self, point: Point) -> tuple[Point, Jet, Jet]:
        """Return the base's point, log π and log(1 - π)."""
        inner = Point(point.predictors[:-1], point.sizes)
        return inner, *log_probabilities(LINKS[self.zero_link], point.predictors[-1])


def hurdle(base: Family, zero_link: str = "logit") -> ZeroInflated:
    """Return a hurdle model; a family of counts is truncated at zero for it."""
    return ZeroInflated(Truncated(base) if isinstance(base, CountFamily) else base, zero_link)


def _rows(data: Response, rows: Codes) -> Response:
    return Response(data.y[rows], data.sizes.take(rows))
