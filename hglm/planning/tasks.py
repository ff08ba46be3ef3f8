"""What is done with each simulated data set: it is drawn, fitted and tested."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from hglm.errors import HglmError, OptionError
from hglm.fitting.record import Estimates
from hglm.fitting.refit import make_refitter, refit
from hglm.fitting.refit_record import Refits, Refitter
from hglm.fitting.refit_uncertainty import Uncertainty
from hglm.inference.nesting import boundary_p_value
from hglm.inference.satterthwaite import Satterthwaite
from hglm.inference.tests import Denominator, Fixed, contrast_test, joint_test
from hglm.numerics.replicates import Generators
from hglm.planning.data_model import DataModel, draw, fit_draw
from hglm.planning.start import at_truth
from hglm.planning.targets import is_variance, target_rows, without_variance
from hglm.typing import BoolArray, Matrix, Vector

__all__ = ["Outcome", "Task", "make_task", "test_in_words"]

PILOTS = 10
"""Draws tried until one can be fitted, to start the other fits from."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What some simulated data sets have given."""

    p_values: Vector
    """(B,) NaN where a fit failed."""
    singular: BoolArray
    """(B,)"""
    failures: Mapping[int, str]


class Task(Protocol):
    """Draws, fits and tests."""

    @property
    def chunk(self) -> int:
        """How many replicates are best done together."""
        ...

    def __call__(self, generators: Generators) -> Outcome:
        """Do one replicate a generator."""
        ...


def make_task(model: DataModel, target: str, ddf: str | None, pilot: np.random.Generator) -> Task:
    """Prepare to test a target.

    Parameters
    ----------
    model
        The truth.
    target
        A coefficient or a term of the fixed part, or ``"sd(x | g)"``.
    ddf
        Degrees of freedom of tests of fixed effects, as in `Fit.test`;
        Satterthwaite's for linear models and normal tests for others if None. A
        variance has none.
    pilot
        For a first draw.
    """
    if is_variance(target):
        if ddf is not None:
            raise OptionError(
                "A variance is tested by its likelihood ratio, without degrees of freedom; leave "
                "`ddf` out."
            )
        null, df = without_variance(model, target)
        y, found = _pilot(model, pilot)
        small = _refitter(null, y, fit_draw(null, y))
        return VarianceTask(model, _refitter(model, y, found), small, df)
    rows = target_rows(model.design.mean, target)
    ddf = ddf or _default(model)
    y, found = _pilot(model, pilot)
    contrast_test(found, rows, ddf)  # an unknown `ddf` is told now
    return FixedTask(model, at_truth(found, model), _refitter(model, y, found), rows, ddf)


def test_in_words(model: DataModel, target: str, ddf: str | None) -> str:
    """Name the test that `make_task` prepares."""
    if is_variance(target):
        return "the likelihood ratio (chi-square, half and half)"
    return _IN_WORDS[ddf or _default(model)]


def _default(model: DataModel) -> str:
    return "satterthwaite" if model.family is None else "asymptotic"


@dataclass(frozen=True, slots=True)
class FixedTask:
    """Tests fixed effects by t or F tests."""

    model: DataModel
    start: Estimates
    """Of the truth."""
    refitter: Refitter
    rows: Matrix
    ddf: str

    @property
    def chunk(self) -> int:
        """How many replicates are best done together."""
        return self.refitter.batch

    def __call__(self, generators: Generators) -> Outcome:
        """Draw all, fit them together where that is prepared, and test."""
        Y = np.column_stack([draw(self.model, rng) for rng in generators])
        together = self.refitter.uncertain(Y) if self.ddf in _QUICK else None
        if together is None:
            return _joined([self._complete(y) for y in Y.T])
        found, uncertainty = together
        return _joined(
            [
                self._quick(found, uncertainty, i)
                if np.isfinite(uncertainty.vcov[i]).all()
                else self._complete(y)
                for i, y in enumerate(Y.T)
            ]
        )

    def _quick(self, found: Refits, uncertainty: Uncertainty, i: int) -> Outcome:
        """Test one response that was fitted in lock-step."""
        method = _QUICK[self.ddf](self.start, uncertainty, i)
        p = joint_test(found.beta[i], method, self.rows).p_value
        return Outcome(np.array([p]), found.singular[[i]], {})

    def _complete(self, y: Vector) -> Outcome:
        """Fit one response with all checks, and test."""
        try:
            estimates = refit(self.start, self.model.design, y)
            p = contrast_test(estimates, self.rows, self.ddf).p_value
        except (HglmError, np.linalg.LinAlgError) as error:
            return _lost(str(error))
        if not estimates.certificate.converged:
            return _lost(estimates.certificate.message)
        return Outcome(np.array([p]), np.array([estimates.certificate.singular]), {})


def _satterthwaite(_: Estimates, found: Uncertainty, i: int) -> Denominator:
    return Satterthwaite(found.vcov[i], found.jacobian[i], found.parameter_vcov[i])


def _asymptotic(_: Estimates, found: Uncertainty, i: int) -> Denominator:
    return Fixed(found.vcov[i], np.inf)


def _residual(start: Estimates, found: Uncertainty, i: int) -> Denominator:
    return Fixed(found.vcov[i], start.nobs - len(start.beta))


_QUICK: Mapping[str, Callable[[Estimates, Uncertainty, int], Denominator]] = {
    "satterthwaite": _satterthwaite,
    "asymptotic": _asymptotic,
    "residual": _residual,
}
"""Degrees of freedom that do not need complete fits."""
_IN_WORDS: Mapping[str, str] = {
    "satterthwaite": "Satterthwaite's method",
    "kenward-roger": "Kenward and Roger's method",
    "residual": "residual degrees of freedom",
    "asymptotic": "the normal approximation",
}


def _lost(why: str) -> Outcome:
    return Outcome(np.array([np.nan]), np.array([False]), {0: why})


def _joined(parts: Sequence[Outcome]) -> Outcome:
    """Outcomes of one data set each, one after the other."""
    return Outcome(
        np.concatenate([part.p_values for part in parts]),
        np.concatenate([part.singular for part in parts]),
        {i: part.failures[0] for i, part in enumerate(parts) if part.failures},
    )


@dataclass(frozen=True, slots=True)
class VarianceTask:
    """Tests a variance by the likelihood ratio, half and half chi-square."""

    model: DataModel
    large: Refitter
    small: Refitter
    df: int
    """Parameters tested: the variance and its covariances."""

    @property
    def chunk(self) -> int:
        """How many replicates are best done together."""
        return min(self.large.batch, self.small.batch)

    def __call__(self, generators: Generators) -> Outcome:
        """Draw all, and fit them together."""
        Y = np.column_stack([draw(self.model, rng) for rng in generators])
        large, small = self.large.many(Y), self.small.many(Y)
        statistic = np.maximum(2.0 * (large.llf - small.llf), 0.0)
        p = np.array([np.nan if np.isnan(t) else boundary_p_value(t, self.df) for t in statistic])
        return Outcome(p, large.singular, {**large.failures, **small.failures})


def _refitter(model: DataModel, y: Vector, found: Estimates) -> Refitter:
    return make_refitter(at_truth(found, model), replace(model.design, y=y))


def _pilot(model: DataModel, rng: np.random.Generator) -> tuple[Vector, Estimates]:
    """First draw that can be fitted, and its fit."""
    for generator in rng.spawn(PILOTS):
        y = draw(model, generator)
        try:
            return y, fit_draw(model, y)
        except (HglmError, np.linalg.LinAlgError) as error:
            why = str(error)
    raise OptionError(f"Data of this size can hardly ever be fitted ({why}); plan for more.")
