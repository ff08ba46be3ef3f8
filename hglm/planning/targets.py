"""What a power is asked for: a coefficient, a term, or a variance of the model."""

from __future__ import annotations

from dataclasses import replace
from numbers import Real

import numpy as np

from hglm.design.arrays import PredictorDesign
from hglm.errors import OptionError
from hglm.fitting.record import TermEstimate
from hglm.formula.hints import did_you_mean
from hglm.planning.data_model import DataModel
from hglm.typing import Matrix

__all__ = [
    "is_finite",
    "is_variance",
    "target_rows",
    "true_value",
    "with_effect",
    "without_variance",
]


def is_variance(target: str) -> bool:
    """Whether the target is a standard deviation, ``"sd(x | g)"``."""
    return target.startswith("sd(")


def is_finite(value: object) -> bool:
    """Whether a value is a finite number, and not a truth value."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    return bool(np.isfinite(float(value)))


def with_effect(model: DataModel, target: str, effect: float) -> DataModel:
    """Give the target another true value.

    A standard deviation keeps its correlations with others; where a structure has one for
    all coefficients, all of them change.
    """
    if not is_finite(effect):
        raise OptionError(f"The effect {effect!r} of {target!r} is not a finite number.")
    if is_variance(target):
        return _with_sd(model, target, effect)
    names = model.design.mean.names
    if target not in names:
        raise OptionError(
            f"An effect can be given for one coefficient, and {target!r} is none; the model has "
            f"{', '.join(map(repr, names))}."
        )
    beta = model.betas["mean"].copy()
    beta[names.index(target)] = effect
    return replace(model, betas={**model.betas, "mean": beta})


def true_value(model: DataModel, target: str) -> float | None:
    """Tell the value of a coefficient or standard deviation; None for a term of several."""
    if is_variance(target):
        i, a = _find_variance(model, target)
        return float(np.sqrt(model.terms[i].covariance[a, a]))
    at = np.flatnonzero(target_rows(model.design.mean, target).any(axis=0))
    return float(model.betas["mean"][at[0]]) if len(at) == 1 else None


def target_rows(design: PredictorDesign, target: str) -> Matrix:
    """Rows (r, p) of the hypothesis that a coefficient, or all of a term, are zero."""
    identity = np.eye(len(design.names))
    if target in design.names:
        return identity[[design.names.index(target)]]
    if design.terms.get(target):
        return identity[list(design.terms[target])]
    known = list(dict.fromkeys([*design.names, *(t for t, at in design.terms.items() if at)]))
    raise OptionError(
        f"There is nothing called {target!r} to test. {did_you_mean(target, known)} A variance is "
        'asked for as "sd(Intercept | g)".'
    )


def without_variance(model: DataModel, target: str) -> tuple[DataModel, int]:
    """Leave a variance out of the model; also how many parameters that costs."""
    i, a = _find_variance(model, target)
    term = model.terms[i]
    if term.structure not in ("us", "diag"):
        raise OptionError(
            f"{target!r} belongs to a covariance structure ({term.structure}) that cannot lose one "
            "coefficient; test a variance of another term."
        )
    kept = [j for j in range(term.k) if j != a]
    random, terms = list(model.design.mean.random), list(model.terms)
    if kept:
        old = random[term.position]
        names = tuple(term.names[j] for j in kept)
        random[term.position] = replace(old, names=names, z=np.asfortranarray(old.z[:, kept]))
        terms[i] = replace(term, names=names, covariance=term.covariance[np.ix_(kept, kept)])
    else:
        random.pop(term.position)
        terms = [_moved(other, term.position) for other in terms if other is not term]
    design = replace(model.design, mean=replace(model.design.mean, random=tuple(random)))
    cost = 1 if term.structure == "diag" else term.k
    return replace(model, design=design, terms=tuple(terms)), cost


def _moved(term: TermEstimate, gone: int) -> TermEstimate:
    """Count the terms of the mean again, one of them being gone."""
    after = term.predictor == "mean" and term.position > gone
    return replace(term, position=term.position - 1) if after else term


def _with_sd(model: DataModel, target: str, effect: float) -> DataModel:
    i, a = _find_variance(model, target)
    term = model.terms[i]
    if effect < 0.0:
        raise OptionError(f"The standard deviation {target!r} cannot be made {effect!r}.")
    changed = replace(term, covariance=_rescaled(term, a, effect))
    return replace(model, terms=(*model.terms[:i], changed, *model.terms[i + 1 :]))


def _rescaled(term: TermEstimate, a: int, sd: float) -> Matrix:
    """Covariance with another standard deviation of coefficient a. (k, k)"""
    old = float(np.sqrt(term.covariance[a, a]))
    factor = np.ones(term.k)
    factor[slice(None) if term.homogeneous else a] = sd / old if old > 0.0 else 1.0
    covariance: Matrix = term.covariance * np.outer(factor, factor)
    if old == 0.0:  # nothing is known of its correlations
        covariance[a, a] = sd**2
    return covariance


def _find_variance(model: DataModel, target: str) -> tuple[int, int]:
    """Term and column of ``"sd(x | g)"``."""
    found = {
        f"sd({name} | {term.group})": (i, a)
        for i, term in enumerate(model.terms)
        if term.predictor == "mean"
        for a, name in enumerate(term.names)
    }
    if target not in found:
        raise OptionError(f"There is no variance {target!r}. {did_you_mean(target, list(found))}")
    return found[target]
