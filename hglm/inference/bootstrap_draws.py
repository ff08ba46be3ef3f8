"""What a bootstrap does with the generators of a chunk of replicates: draw, fit, compute."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import numpy as np

from hglm.design.arrays import Design
from hglm.errors import FitError, HglmError, OptionError
from hglm.fitting.record import Estimates
from hglm.fitting.refit import refit
from hglm.fitting.refit_record import Refitter
from hglm.inference.bootstrap_statistics import parameter_values, structured_parameters
from hglm.inference.diagnostics.subset import take_rows
from hglm.inference.resampling import ROWS, draw_design, group_codes, independent_units
from hglm.inference.simulate import RandomDraws, simulate
from hglm.numerics.replicates import Generators
from hglm.typing import Matrix, Vector

__all__ = [
    "Chunk",
    "CompleteDraws",
    "Draws",
    "RefittedDraws",
    "ResampledDraws",
    "Statistic",
    "default_statistic",
    "draw_responses",
    "leave_out",
]

Statistic: TypeAlias = Callable[[Estimates, Design], Mapping[str, float]]
"""A fit to named numbers, the same names for every fit."""
ONE_BY_ONE = 10
"""Replicates at a time where each is fitted by itself."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What some replicates have given."""

    values: Matrix
    """(B, s) statistics, NaN where a fit failed."""
    failures: Mapping[int, str]
    """Number within the chunk -> why."""
    singular: int
    """How many fits are singular."""


class Draws(Protocol):
    """A way to draw and fit."""

    @property
    def chunk(self) -> int:
        """How many replicates are best done together; it depends on the model only."""
        ...

    def __call__(self, generators: Generators) -> Chunk:
        """Do one replicate a generator."""
        ...


@dataclass(frozen=True, slots=True)
class RefittedDraws:
    """All parameters, from new responses of the same design."""

    estimates: Estimates
    design: Design
    random: RandomDraws
    refitter: Refitter

    @property
    def chunk(self) -> int:
        """How many replicates are best done together."""
        return self.refitter.batch

    def __call__(self, generators: Generators) -> Chunk:
        """Draw all responses, and fit them together."""
        Y = draw_responses(self.estimates, self.design, generators, self.random)
        found = self.refitter.many(Y)
        values = parameter_values(self.estimates, found)
        return Chunk(values, found.failures, int(found.singular.sum()))


@dataclass(frozen=True, slots=True)
class _SingleDraws(ABC):
    """Any statistic, of data sets that are drawn and fitted one after the other."""

    estimates: Estimates
    design: Design
    statistic: Statistic
    names: tuple[str, ...]

    @property
    def chunk(self) -> int:
        return ONE_BY_ONE

    def __call__(self, generators: Generators) -> Chunk:
        """Draw and fit one after the other."""
        return _collect(generators, self._one, self.statistic, self.names)

    @abstractmethod
    def _one(self, rng: np.random.Generator) -> tuple[Estimates, Design]:
        """Draw a data set and fit it."""


@dataclass(frozen=True, slots=True)
class CompleteDraws(_SingleDraws):
    """New responses of the same design."""

    random: RandomDraws

    def _one(self, rng: np.random.Generator) -> tuple[Estimates, Design]:
        y = simulate(self.estimates, self.design, 1, rng, self.random)[:, 0]
        return refit(self.estimates, self.design, y), replace(self.design, y=y)


@dataclass(frozen=True, slots=True)
class ResampledDraws(_SingleDraws):
    """Units drawn with replacement."""

    unit: str
    """Grouping factor, or ``"rows"``."""

    def _one(self, rng: np.random.Generator) -> tuple[Estimates, Design]:
        drawn = draw_design(self.design, self.unit, rng)
        return refit(self.estimates, drawn, drawn.y), drawn


def draw_responses(
    estimates: Estimates, design: Design, generators: Generators, random: RandomDraws = "new"
) -> Matrix:
    """One response a generator, from the fitted model. (n, B)"""
    Y = np.empty((design.n, len(generators)), order="F")
    for column, rng in zip(Y.T, generators, strict=True):
        column[:] = simulate(estimates, design, 1, rng, random)[:, 0]
    return Y


def default_statistic(estimates: Estimates, design: Design) -> dict[str, float]:
    """All parameters by name."""
    return structured_parameters(estimates, design.mean.names)


def leave_out(
    estimates: Estimates, design: Design, unit: str | None, statistic: Statistic
) -> Matrix:
    """Statistics without one unit after the other; units that cannot be spared are kept.

    Parameters
    ----------
    estimates, design
        Of the fit.
    unit
        Grouping factor, or ``"rows"``; the outermost grouping factor if None.
    statistic
        What to compute.

    Returns
    -------
    (units, s)
    """
    unit = independent_units(design) if unit is None else unit
    codes = np.arange(design.n) if unit == ROWS else group_codes(design)[unit].codes
    rows: list[Vector] = []
    for level in range(int(codes.max()) + 1):
        part = take_rows(design, np.flatnonzero(codes != level))
        try:
            fitted = refit(estimates, part, part.y)
        except (HglmError, np.linalg.LinAlgError):  # the unit holds the model together
            continue
        rows.append(np.array(list(statistic(fitted, part).values())))
    if len(rows) < 3:
        raise FitError(
            f"BCa intervals need fits without one of the {unit}, and too few of these can be "
            'fitted; use kind="percentile".'
        )
    return np.array(rows)


def _collect(
    generators: Generators,
    fit: Callable[[np.random.Generator], tuple[Estimates, Design]],
    statistic: Statistic,
    names: tuple[str, ...],
) -> Chunk:
    """Fit one after the other, and keep what could be fitted."""
    values = np.full((len(generators), len(names)), np.nan)
    failures: dict[int, str] = {}
    singular = 0
    for i, rng in enumerate(generators):
        try:
            estimates, design = fit(rng)
            if not estimates.certificate.converged:
                failures[i] = estimates.certificate.message
                continue
            found = statistic(estimates, design)
        except (HglmError, np.linalg.LinAlgError) as error:
            failures[i] = str(error)
            continue
        singular += estimates.certificate.singular
        values[i] = _ordered(found, names)
    return Chunk(values, failures, singular)


def _ordered(found: Mapping[str, float], names: tuple[str, ...]) -> list[float]:
    by_name = {str(name): float(x) for name, x in found.items()}
    if by_name.keys() != set(names):
        other = sorted(by_name.keys() ^ set(names))
        raise OptionError(
            f"The statistic must return the same names for every fit, and {', '.join(other)} came "
            "from some only; leave out what not every fit has, such as effects of single levels."
        )
    return [by_name[name] for name in names]
