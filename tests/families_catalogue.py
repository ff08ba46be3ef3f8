"""Every family × link × wrapper that the conformance suite runs over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from hglm.families import (
    Beta,
    BetaBinomial,
    Binomial,
    ConwayMaxwellPoisson,
    Cumulative,
    Family,
    Gamma,
    Gaussian,
    GeneralizedPoisson,
    InverseGaussian,
    NegativeBinomial,
    NegativeBinomial1,
    Poisson,
    Sizes,
    StudentT,
    Truncated,
    Tweedie,
    ZeroInflated,
    hurdle,
)
from hglm.typing import Vector

ROWS = 6
_ETA = np.array([-1.3, -0.6, -0.1, 0.4, 0.9, 1.5])
_POSITIVE_ETA = np.array([0.35, 0.6, 0.9, 1.3, 1.8, 2.4])
_NEGATIVE_ETA = np.array([-2.2, -1.5, -1.1, -0.7, -0.4, -0.2])
_E = np.array([0.3, -0.4, 0.8, 0.1, -0.7, 0.5])
_OVERDISPERSED = np.array([0.3, 0.9, 0.1, 0.6, 0.4, 1.1])
_Z = np.array([-0.8, 0.4, -0.1, -1.5, 0.2, -0.5])
_TRIALS = np.array([1.0, 4.0, 7.0, 2.0, 11.0, 5.0])
_WEIGHTS = np.array([0.5, 1.0, 2.0, 1.0, 3.0, 0.7])


@dataclass(frozen=True)
class Case:
    """One family at a moderate point."""

    name: str
    family: Family
    predictors: tuple[Vector, ...]
    sizes: Sizes = field(default_factory=Sizes)


def _eta(link: str, *, probability: bool = False, real: bool = False) -> Vector:
    if link == "log" and probability:
        return _NEGATIVE_ETA
    restricted = link in {"sqrt", "inverse", "inverse_squared"}
    return _POSITIVE_ETA if restricted or (link == "identity" and not real) else _ETA


def _scale_families() -> Iterator[Case]:
    for cls in (Gaussian, Gamma, InverseGaussian):
        for link in cls.links:
            point = (_eta(link, real=cls is Gaussian), _E)
            yield Case(f"{cls.name}-{link}", cls(link), point)
        scalar = (_ETA, np.array(0.3))
        yield Case(f"{cls.name}-weights", cls(), scalar, Sizes(weights=_WEIGHTS))
        yield Case(f"{cls.name}-phi-sqrt", cls(dispersion_link="sqrt"), (_ETA, 0.5 * _POSITIVE_ETA))
    for link in StudentT.links:
        yield Case(f"t-{link}", StudentT(link), (_eta(link, real=True), _E, np.array(1.4)))
    for link in Tweedie.links:
        yield Case(f"tweedie-{link}", Tweedie(link), (_eta(link), _E, np.array(0.3)))
    weights = Sizes(weights=_WEIGHTS)
    yield Case("t-weights", StudentT(), (_ETA, np.array(0.2), np.array(0.9)), weights)
    yield Case("tweedie-weights", Tweedie(), (_ETA, np.array(0.2), np.array(-0.9)), weights)


def _probability_families() -> Iterator[Case]:
    trials = Sizes(trials=_TRIALS)
    for link in Binomial.links:
        point = (_eta(link, probability=True),)
        yield Case(f"bernoulli-{link}", Binomial(link), point)
        yield Case(f"binomial-{link}", Binomial(link), point, trials)
    for link in Beta.links:
        yield Case(f"beta-{link}", Beta(link), (0.5 * _ETA, 2.0 + _E))
        yield Case(f"betabinomial-{link}", BetaBinomial(link), (_ETA, 1.0 + _E), trials)
    yield Case("betabinomial-scalar", BetaBinomial(), (_ETA, np.array(0.8)), trials)


def _count_families() -> Iterator[Case]:
    for link in Poisson.links:
        yield Case(f"poisson-{link}", Poisson(link), (_eta(link),))
    spreads = {
        NegativeBinomial: _E,
        NegativeBinomial1: _E,
        GeneralizedPoisson: _OVERDISPERSED,
        ConwayMaxwellPoisson: _E,
    }
    for cls, e in spreads.items():
        for link in cls.links:
            yield Case(f"{cls.name}-{link}", cls(link), (_eta(link), e))
        yield Case(f"{cls.name}-scalar", cls(), (_ETA, np.array(0.4)))
        yield Case(f"truncated-{cls.name}", Truncated(cls()), (_ETA, e))
    yield Case("truncated-poisson", Truncated(Poisson()), (_ETA,))


def _wrapped() -> Iterator[Case]:
    for link in ("logit", "probit", "cloglog"):
        yield Case(f"zip-{link}", ZeroInflated(Poisson(), link), (_ETA, _Z))
    zero = np.array(-0.4)
    yield Case("zip-scalar", ZeroInflated(Poisson()), (_ETA, zero))
    yield Case("zinb2", ZeroInflated(NegativeBinomial()), (_ETA, _E, _Z))
    yield Case("zinb1-scalar", ZeroInflated(NegativeBinomial1()), (_ETA, np.array(0.3), zero))
    trials = Sizes(trials=_TRIALS)
    yield Case("zi-binomial", ZeroInflated(Binomial()), (_ETA, _Z), trials)
    yield Case("hurdle-poisson", hurdle(Poisson()), (_ETA, _Z))
    yield Case("hurdle-nbinom2", hurdle(NegativeBinomial()), (_ETA, _E, _Z))
    yield Case("hurdle-gamma", hurdle(Gamma()), (_ETA, _E, _Z))
    yield Case("hurdle-beta", hurdle(Beta()), (0.5 * _ETA, 2.0 + _E, zero))


def _ordinal() -> Iterator[Case]:
    steps = (np.array(-0.9), np.array(0.1), np.array(-0.4))
    for link in Cumulative.links:
        yield Case(f"cumulative-{link}", Cumulative(link, 4), (_ETA, *steps))


CASES = [
    *_scale_families(),
    *_probability_families(),
    *_count_families(),
    *_wrapped(),
    *_ordinal(),
]
