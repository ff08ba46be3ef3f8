"""Cumulative (ordinal) family: P(Y ≤ j) = F(θ_j - η), j = 0 ... J - 2.

The J - 1 thresholds are ordered by construction,

    θ_0 = a_0,   θ_j = θ_{j-1} + exp(a_j),

and the a_j are further scalar predictors; η has no intercept. The probability
of a category between two thresholds, F(u) - F(v) with u - v = exp(a), is a
difference that cancels in the tails, so each F supplies its logarithm in a stable
form; with K(x) = log{1 - exp(-exp x)} these are

    logit     log F(u) + log{1 - F(v)} + K(a)
    probit    log F(u) + log{1 - exp(log F(v) - log F(u))}, mirrored where v > 0
    cloglog   -exp(v) + K(v + exp(a) + K(a))

References
----------
McCullagh, P. (1980). J. R. Stat. Soc. B 42, 109-142.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hglm.errors import DataError
from hglm.families.base import Family, Kernel, Parameter, Point, Response, Support
from hglm.families.checks import check_link, check_sizes, require
from hglm.families.jets import Jet, assemble
from hglm.families.links import LINKS, log_probabilities
from hglm.numerics import special
from hglm.typing import BoolArray, Codes, Matrix, Vector

__all__ = ["Cumulative"]

_CAPPED = special.capped(7.0)  # thresholds 1000 apart are as good as infinitely far


@dataclass(frozen=True, slots=True)
class Cumulative(Family):
    """Ordered categories 0 ... J - 1."""

    link: str = "logit"
    categories: int = 0
    """J; 0 to take it from the data (`validate`)."""

    name: ClassVar[str] = "cumulative"
    links: ClassVar[tuple[str, ...]] = ("logit", "probit", "cloglog")
    support: ClassVar[Support] = "category"
    discrete: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_link(self.name, self.link, self.links)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        steps = range(max(self.categories - 1, 0))
        links = [LINKS["identity"] if j == 0 else LINKS["log"] for j in steps]
        thresholds = [Parameter(f"threshold{j + 1}", links[j], scalar=True) for j in steps]
        return (Parameter("location", LINKS["identity"]), *thresholds)

    def validate(self, data: Response, labels: Sequence[object] | None = None) -> Cumulative:
        check_sizes(self.name, data.sizes)
        codes = (data.y >= 0.0) & (data.y == np.floor(data.y)) & np.isfinite(data.y)
        need = "A response of the cumulative family is a category, coded 0, 1, 2, ... in order"
        require(codes, data.y, need, "make the response an ordered categorical", labels)
        found = int(np.max(data.y, initial=0.0)) + 1
        categories = max(found, self.categories)
        if categories < 2 or (self.categories and found > self.categories):
            raise DataError(
                f"The response has {found} categories where the cumulative family has "
                f"{self.categories or 'at least 2'}; check the response's categories."
            )
        missing = np.flatnonzero(np.bincount(data.y.astype(np.intp), minlength=categories) == 0)
        if missing.size:
            raise DataError(
                f"No row has category {missing[0]}, so its threshold cannot be estimated; "
                "remove unused categories from the response."
            )
        return replace(self, categories=categories)

    def kernel(self, data: Response) -> Kernel:
        codes = data.y.astype(np.intp)
        top = self.categories - 1
        first, last = np.flatnonzero(codes == 0), np.flatnonzero(codes == top)
        middle = np.flatnonzero((codes > 0) & (codes < top))
        between = _BETWEEN[self.link]

        def log_density(point: Point) -> Jet:
            eta = point.predictors[0]
            steps = point.predictors[1:]
            thresholds = _ordered(steps)
            lowest, highest = thresholds[0] - eta.take(first), thresholds[-1] - eta.take(last)
            inside = eta.take(middle)
            upper = _gather(thresholds, codes[middle]) - inside
            lower = _gather(thresholds, codes[middle] - 1) - inside
            log_gap = _gather(steps, codes[middle])
            pieces = [
                (first, log_probabilities(LINKS[self.link], lowest)[0]),
                (last, log_probabilities(LINKS[self.link], highest)[1]),
                (middle, between(upper, lower, log_gap)),
            ]
            return assemble(codes.size, pieces)

        return log_density

    def probabilities(self, point: Point) -> Matrix:
        """Return the probability of each category, (n, J)."""
        n = np.broadcast(*(p.value for p in point.predictors)).size
        at = [np.full(n, float(j)) for j in range(self.categories)]
        return np.stack([np.exp(self.kernel(Response(y))(point).value) for y in at], axis=1)

    def moments(self, point: Point) -> tuple[Jet, Jet]:
        """Return mean and variance of the category's number."""
        above = self._exceedances(point)
        mean, second = above[0], above[0]
        for j, p in enumerate(above[1:], start=1):
            mean, second = mean + p, second + p * (2.0 * j + 1.0)
        return mean, second - mean * mean

    def information(self, _: Point) -> None:
        return None

    def unit_deviance(self, y: Vector, point: Point) -> Vector:
        return np.asarray(-2.0 * self.kernel(Response(y, point.sizes))(point).value)

    def start(self, data: Response, mu: Vector | None = None) -> tuple[Vector, ...]:
        """Return thresholds at the link of the cumulative shares, η = 0."""
        counts = np.bincount(data.y.astype(np.intp), minlength=self.categories)
        theta = LINKS[self.link].link(np.cumsum(counts)[:-1] / counts.sum())
        steps = np.log(np.maximum(np.diff(theta), 1e-3))
        zero = np.zeros_like(data.y) if mu is None else np.zeros_like(mu)
        return (zero, np.asarray(theta[0]), *steps)

    def simulate(self, point: Point, rng: np.random.Generator) -> Vector:
        above = np.stack([p.value for p in self._exceedances(point)])
        passed = rng.random(above.shape[1]) < above
        return np.asarray(np.sum(passed, axis=0), dtype=np.float64)

    def cdf(self, y: Vector, point: Point) -> Vector:
        above = [p.value for p in self._exceedances(point)]
        steps = np.stack([np.ones_like(above[0]), *above, np.zeros_like(above[0])])
        codes = np.clip(np.floor(y), -1.0, self.categories - 1.0).astype(np.intp)
        return 1.0 - steps[codes + 1, np.arange(codes.size)]

    def _exceedances(self, point: Point) -> list[Jet]:
        """Return P(Y > j), j = 0 ... J - 2."""
        eta, *steps = point.predictors
        pairs = [log_probabilities(LINKS[self.link], t - eta) for t in _ordered(steps)]
        return [log_above.apply(special.exp) for _, log_above in pairs]


def _ordered(steps: Sequence[Jet]) -> list[Jet]:
    """Return the thresholds θ from their a."""
    thresholds = [steps[0]]
    for step in steps[1:]:
        thresholds.append(thresholds[-1] + step.apply(_CAPPED).apply(special.exp))
    return thresholds


def _gather(thresholds: Sequence[Jet], codes: Codes) -> Jet:
    """Return the threshold of each row."""
    wanted = thresholds[0].wanted
    keys = {index for t in thresholds for index in t.terms}
    known = {i: np.array([t.terms.get(i, 0.0) for t in thresholds])[codes] for i in keys}
    return Jet(known, wanted)


def _between_logit(upper: Jet, lower: Jet, log_gap: Jet) -> Jet:
    both = upper.apply(special.log_sigmoid) - lower.apply(special.softplus)
    return both + log_gap.apply(special.log_cloglog)


def _between_probit(upper: Jet, lower: Jet, _: Jet) -> Jet:
    # where both lie right of 0, Φ(u) - Φ(v) = Φ(-v) - Φ(-u)
    mirrored = lower.value > 0.0
    high = _choose(mirrored, -lower, upper).apply(special.log_ndtr)
    low = _choose(mirrored, -upper, lower).apply(special.log_ndtr)
    return high + (low - high).apply(special.log1mexp)


def _choose(mask: BoolArray, yes: Jet, no: Jet) -> Jet:
    keys = set(yes.terms) | set(no.terms)
    known = {i: np.where(mask, yes.terms.get(i, 0.0), no.terms.get(i, 0.0)) for i in keys}
    return Jet(known, yes.wanted)


def _between_cloglog(_: Jet, lower: Jet, log_gap: Jet) -> Jet:
    growth = log_gap.apply(special.exp) + log_gap.apply(special.log_cloglog)
    return (lower + growth).apply(special.log_cloglog) - lower.apply(special.exp)


_BETWEEN: dict[str, Callable[[Jet, Jet, Jet], Jet]] = {
    "logit": _between_logit,
    "probit": _between_probit,
    "cloglog": _between_cloglog,
}
