"""What a family is: the protocol, and its log density bound to data.

A family relates a response to one or more *predictors*: the mean's first, then
dispersion and others, each on the scale of its own link. Everything a family
computes it writes in jets of the predictors, so that derivatives need no code of
their own; see `hglm.families.jets`. Members with tests common to all:

- `kernel` keeps every normalising constant: exp(log density) sums or integrates
  to one over the response.
- All arrays are elementwise over the last axis n; predictors may be scalars, or
  have leading axes (quadrature nodes).
- Predictors of ±800 give finite numbers wherever the link can reach.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from hglm.families.jets import Jet, Wanted
from hglm.families.links import Link, inverse
from hglm.typing import AnyArray, Vector

__all__ = [
    "Family",
    "Kernel",
    "Likelihood",
    "Parameter",
    "Point",
    "Response",
    "Sizes",
    "Support",
    "bind",
    "point_at",
]

Kernel: TypeAlias = "Callable[[Point], Jet]"
"""Log density of fixed data as a function of the predictors."""

Support: TypeAlias = Literal[
    "real", "positive", "nonnegative", "counts", "positive_counts", "proportion", "unit", "category"
]
"""Where a response may lie; `proportion` is successes over trials."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much a row stands for; None means one."""

    trials: Vector | None = None
    """(n,) binomial trials behind a proportion."""
    weights: Vector | None = None
    """(n,) precision weights w: dispersion φ/w."""

    def take(self, rows: AnyArray | slice) -> Sizes:
        """Return the sizes of some rows."""
        return Sizes(
            None if self.trials is None else self.trials[rows],
            None if self.weights is None else self.weights[rows],
        )


@dataclass(frozen=True, slots=True)
class Response:
    """What was observed."""

    y: Vector
    """(n,) response; for binomial counts the proportion of successes."""
    sizes: Sizes = Sizes()


@dataclass(frozen=True, slots=True)
class Point:
    """Where a family is evaluated: predictors as jets, and sizes."""

    predictors: tuple[Jet, ...]
    sizes: Sizes = Sizes()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a family, with the link of its predictor."""

    name: str
    """``"mean"``, ``"dispersion"``, ``"zero_inflation"``, ``"power"``, ..."""
    link: Link
    scalar: bool = False
    """Whether it is one number for all rows, without a formula."""
    sigma_power: float | None = None
    """`Fit.sigma` is the parameter to this power; None: it reports no sigma."""

    def sigma(self, predictor: Vector) -> Vector | None:
        """Return what `Fit.sigma` reports at a value of the predictor."""
        if self.sigma_power is None:
            return None
        return np.asarray(inverse(self.link, predictor) ** self.sigma_power)


@dataclass(frozen=True, slots=True)
class Family(ABC):
    """A distribution with its links: eight verbs and a few facts."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name under which `resolve_family` knows it."""

    @property
    @abstractmethod
    def support(self) -> Support:
        """Where the response may lie."""

    @property
    @abstractmethod
    def discrete(self) -> bool:
        """Whether single values have positive probability, all of them."""

    @property
    @abstractmethod
    def parameters(self) -> tuple[Parameter, ...]:
        """(d,) the mean and the others, in the order of the predictors."""

    @abstractmethod
    def validate(self, data: Response, labels: Sequence[object] | None = None) -> Family:
        """Return the family, completed from the data where it must be.

        Raises `DataError`, naming rows, where the response or sizes cannot be.
        """

    @abstractmethod
    def kernel(self, data: Response) -> Kernel:
        """Return the log density of the data, their constants computed once."""

    @abstractmethod
    def moments(self, point: Point) -> tuple[Jet, Jet]:
        """Return the mean and variance of the response."""

    @abstractmethod
    def information(self, point: Point) -> Jet | None:
        """Return E[-∂²l/∂η²], one order lower than the predictors.

        None where it has no closed form.
        """

    @abstractmethod
    def unit_deviance(self, y: Vector, point: Point) -> Vector | None:
        """Return d = 2φ {sup_μ l(y; μ) - l(y; μ)}, weights included.

        None where no mean saturates the response.
        """

    @abstractmethod
    def start(self, data: Response, mu: Vector | None = None) -> tuple[Vector, ...]:
        """Return predictors to start from: (n,) for the mean, then scalars.

        With `mu` (n,), a fitted mean, the others are moment estimates about it.
        """

    @abstractmethod
    def simulate(self, point: Point, rng: np.random.Generator) -> Vector:
        """Draw one response per row."""

    @abstractmethod
    def cdf(self, y: Vector, point: Point) -> Vector:
        """Return P(Y <= y)."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """A family bound to data: what the criteria evaluate."""

    family: Family
    data: Response
    kernel: Kernel = field(repr=False)
    """That of the family for these data."""

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the data; a kernel is a function of theirs and made again."""
        return bind, (self.family, self.data.y, self.data.sizes)

    @property
    def sizes(self) -> Sizes:
        """What a row stands for."""
        return self.data.sizes

    def derivatives(self, predictors: Sequence[Vector | float], wanted: Wanted) -> Jet:
        """Return the log density of each row and the wanted derivatives.

        Where the link cannot reach a mean the value is -inf and the derivatives
        are nan.
        """
        jet = self.kernel(Point(_variables(predictors, wanted), self.sizes))
        value = jet.value
        if np.isnan(value.sum()):
            outside = np.where(np.isnan(value), -np.inf, value)
            return Jet({**jet.terms, (): outside}, wanted)
        return jet

    def information(self, predictors: Sequence[Vector | float], wanted: Wanted) -> Jet | None:
        """Return the expected information in the mean's predictor, and slopes."""
        higher = Wanted(wanted.order + 1, wanted.inner, wanted.outer)
        return self.family.information(Point(_variables(predictors, higher), self.sizes))


def bind(family: Family, y: Vector, sizes: Sizes | None = None) -> Likelihood:
    """Bind a family to a response, computing what depends on data alone."""
    data = Response(y, Sizes() if sizes is None else sizes)
    return Likelihood(family, data, family.kernel(data))


def point_at(
    predictors: Sequence[Vector | float],
    sizes: Sizes | None = None,
    wanted: Wanted | None = None,
) -> Point:
    """Return the point with these values of the predictors.

    `wanted` are the derivatives to carry along, e.g. of `moments` for the delta
    method; none by default.
    """
    jets = _variables(predictors, Wanted(0) if wanted is None else wanted)
    return Point(jets, Sizes() if sizes is None else sizes)


def _variables(predictors: Sequence[Vector | float], wanted: Wanted) -> tuple[Jet, ...]:
    return tuple(
        Jet.variable(i, np.asarray(value, dtype=np.float64), wanted)
        for i, value in enumerate(predictors)
    )
