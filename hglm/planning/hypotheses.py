"""What is tested in each simulated data set: a fixed effect, a term, or a variance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from hglm.design.arrays import PredictorDesign
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
from hglm.typing import BoolArray, Matrix, Vector

__all__ = ["Outcome", "Task", "make_task", "target_rows", "with_effect"]

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
    y, estimates = _pilot(model, pilot)
    if target.startswith("sd("):
        if ddf is not None:
            raise OptionError(
                "A variance is tested by its likelihood ratio, without degrees of freedom; leave "
                "`ddf` out."
            )
        null, df = _without_variance(model, target)
        return VarianceTask(
            model,
            make_refitter(estimates, replace(model.design, y=y)),
            make_refitter(fit_draw(null, y), replace(null.design, y=y)),
            df,
        )
    default = "satterthwaite" if model.family is None else "asymptotic"
    rows = target_rows(model.design.mean, target)
    refitter = make_refitter(estimates, replace(model.design, y=y))
    task = FixedTask(model, estimates, refitter, rows, ddf or default)
    task.p_value(estimates)  # an unknown `ddf` is told now
    return task


def with_effect(model: DataModel, target: str, effect: float | None) -> DataModel:
    """Give the target another true value; None leaves it."""
    if effect is None:
        return model
    if target.startswith("sd("):
        i, a = _find_variance(model, target)
        term = model.terms[i]
        old = float(np.sqrt(term.covariance[a, a]))
        if effect < 0.0 or (old == 0.0 and effect > 0.0):
            raise OptionError(f"The standard deviation {target!r} cannot be made {effect!r}.")
        factor = np.ones(term.k)
        factor[a] = effect / old if old > 0.0 else 1.0
        changed = replace(term, covariance=term.covariance * np.outer(factor, factor))
        return replace(model, terms=(*model.terms[:i], changed, *model.terms[i + 1 :]))
    names = model.design.mean.names
    if target not in names:
        raise OptionError(
            f"An effect can be given for one coefficient, and {target!r} is none; the model has "
            f"{', '.join(map(repr, names))}."
        )
    beta = model.betas["mean"].copy()
    beta[names.index(target)] = effect
    return replace(model, betas={**model.betas, "mean": beta})


def target_rows(design: PredictorDesign, target: str) -> Matrix:
    """Rows (r, p) of the hypothesis that a coefficient, or all of a term, are zero."""
    identity = np.eye(len(design.names))
    if target in design.names:
        return identity[[design.names.index(target)]]
    if design.terms.get(target):
        return identity[list(design.terms[target])]
    known = dict.fromkeys([*design.names, *(t for t, at in design.terms.items() if at)])
    raise OptionError(
        f"There is nothing called {target!r} to test; choose one of {', '.join(map(repr, known))}, "
        'or a variance such as "sd(Intercept | g)".'
    )


@dataclass(frozen=True, slots=True)
class FixedTask:
    """Tests fixed effects by t or F tests."""

    model: DataModel
    pilot: Estimates
    """To start from."""
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
        method = _QUICK[self.ddf](self.pilot, uncertainty, i)
        p = joint_test(found.beta[i], method, self.rows).p_value
        return Outcome(np.array([p]), found.singular[[i]], {})

    def _complete(self, y: Vector) -> Outcome:
        """Fit one response with all checks, and test."""
        try:
            estimates = refit(self.pilot, self.model.design, y)
            p = self.p_value(estimates)
        except (HglmError, np.linalg.LinAlgError) as error:
            return _lost(str(error))
        if not estimates.certificate.converged:
            return _lost(estimates.certificate.message)
        return Outcome(np.array([p]), np.array([estimates.certificate.singular]), {})

    def p_value(self, estimates: Estimates) -> float:
        """P-value of the hypothesis."""
        return contrast_test(estimates, self.rows, self.ddf).p_value


def _satterthwaite(_: Estimates, found: Uncertainty, i: int) -> Denominator:
    return Satterthwaite(found.vcov[i], found.jacobian[i], found.parameter_vcov[i])


def _asymptotic(_: Estimates, found: Uncertainty, i: int) -> Denominator:
    return Fixed(found.vcov[i], np.inf)


def _residual(pilot: Estimates, found: Uncertainty, i: int) -> Denominator:
    return Fixed(found.vcov[i], pilot.nobs - len(pilot.beta))


_QUICK: Mapping[str, Callable[[Estimates, Uncertainty, int], Denominator]] = {
    "satterthwaite": _satterthwaite,
    "asymptotic": _asymptotic,
    "residual": _residual,
}
"""Degrees of freedom that do not need complete fits."""


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


def _pilot(model: DataModel, rng: np.random.Generator) -> tuple[Vector, Estimates]:
    """First draw that can be fitted."""
    for generator in rng.spawn(PILOTS):
        y = draw(model, generator)
        try:
            return y, fit_draw(model, y)
        except (HglmError, np.linalg.LinAlgError) as error:
            why = str(error)
    raise OptionError(f"Data of this size can hardly ever be fitted ({why}); plan for more.")


def _find_variance(model: DataModel, target: str) -> tuple[int, int]:
    """Term and column of ``"sd(x | g)"``."""
    found = {
        f"sd({name} | {term.group})": (i, a)
        for i, term in enumerate(model.terms)
        if term.predictor == "mean"
        for a, name in enumerate(term.names)
    }
    if target not in found:
        raise OptionError(
            f"There is no variance {target!r}; the model has {', '.join(map(repr, found))}."
        )
    return found[target]


def _without_variance(model: DataModel, target: str) -> tuple[DataModel, int]:
    """Leave a variance out of the model; also how many parameters that costs."""
    i, a = _find_variance(model, target)
    term = model.terms[i]
    if term.k > 1 and term.structure not in ("us", "diag"):
        raise OptionError(
            f"{target!r} belongs to a covariance structure ({term.structure}) that cannot lose one "
            "coefficient; test a variance of another term."
        )
    kept = [j for j in range(term.k) if j != a]
    random = list(model.design.mean.random)
    if kept:
        old = random[term.position]
        names = tuple(term.names[j] for j in kept)
        random[term.position] = replace(old, names=names, z=np.asfortranarray(old.z[:, kept]))
    else:
        random.pop(term.position)
    design = replace(model.design, mean=replace(model.design.mean, random=tuple(random)))
    return replace(model, design=design), 1 if term.structure == "diag" else term.k
