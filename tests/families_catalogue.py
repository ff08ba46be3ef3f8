"""Every family × link × wrapper that the conformance suite runs over."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hglm.families import Binomial, Family, Gamma, Gaussian, NegativeBinomial, Poisson, Sizes
from hglm.typing import Vector

SIZE = 6
_ETA = np.array([-1.3, -0.6, -0.1, 0.4, 0.9, 1.5])
_POSITIVE_ETA = np.array([0.35, 0.6, 0.9, 1.3, 1.8, 2.4])
_NEGATIVE_ETA = np.array([-2.2, -1.5, -1.1, -0.7, -0.4, -0.2])
_E = np.array([0.3, -0.4, 0.8, 0.1, -0.7, 0.5])
_TRIALS = np.array([1.0, 4.0, 7.0, 2.0, 11.0, 5.0])
_WEIGHTS = np.array([0.5, 1.0, 2.0, 1.0, 3.0, 0.7])


@dataclass(frozen=True)
class Case:
    """One family at a moderate point."""

    name: str
    family: Family
    predictors: tuple[Vector, ...]
    sizes: Sizes = field(default_factory=Sizes)


def _eta(link: str, family: str) -> Vector:
    if link == "log" and family == "binomial":
        return _NEGATIVE_ETA
    restricted = link in {"sqrt", "inverse", "inverse_squared"}
    return _POSITIVE_ETA if restricted or (link == "identity" and family != "gaussian") else _ETA


def _cases() -> list[Case]:
    found = []
    for cls in (Gaussian, Gamma):
        for link in cls.links:
            point = (_eta(link, cls.name), _E)
            found.append(Case(f"{cls.name}-{link}", cls(link), point))
        found.append(
            Case(f"{cls.name}-weights", cls(), (_ETA, np.array(0.3)), Sizes(weights=_WEIGHTS))
        )
        found.append(
            Case(f"{cls.name}-phi-sqrt", cls(dispersion_link="sqrt"), (_ETA, _POSITIVE_ETA))
        )
    for link in Binomial.links:
        point = (_eta(link, "binomial"),)
        found.append(Case(f"bernoulli-{link}", Binomial(link), point))
        found.append(Case(f"binomial-{link}", Binomial(link), point, Sizes(trials=_TRIALS)))
    for link in Poisson.links:
        found.append(Case(f"poisson-{link}", Poisson(link), (_eta(link, "poisson"),)))
    for cls in (NegativeBinomial,):
        for link in cls.links:
            found.append(Case(f"{cls.name}-{link}", cls(link), (_eta(link, cls.name), _E)))
        found.append(Case(f"{cls.name}-scalar", cls(), (_ETA, np.array(0.4))))
    return found


CASES = _cases()
