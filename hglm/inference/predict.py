"""Predictions with standard errors and intervals.

A row is predicted by x'β̂ + offset + z'b̂ over the grouping factors it is
conditioned on. A factor that is left out, and a level that the fit did not see,
contribute nothing: the prediction is for the population of their levels.

- A *confidence* interval is about the linear predictor: its error has the
  variance of Henderson's equations, covariance of β̂ and b̂ included
  (`hglm.inference.joint_covariance`, eq. 1). Where nothing is conditioned on it
  is the interval of the population line, x'Var(β̂)x.
- A *prediction* interval is about a new observation. To the variance above it
  adds z'Σz for each factor that is left out and each new level, whose effects
  are then drawn afresh. Linear models add the residual variance σ²/w; the
  responses of others have quantiles of their own (`hglm.inference.predictive`).

Quantiles are normal unless `df` is given; variance parameters count as known.
With a mean function the ends of a confidence interval are transformed, and the
standard error is the delta method's, |dμ/dη| times that of η. A robust covariance
takes the place of that of the model, with its degrees of freedom; it knows of the
fixed effects alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from hglm.design import Design, DesignSpec, NewDesign, PredictorDesign, rebuild
from hglm.errors import ColumnNotFoundError, OptionError
from hglm.fitting.estimate import random_part
from hglm.fitting.record import Estimates, LinearState
from hglm.inference.conditioning import (
    Conditioning,
    chosen_groups,
    pair_terms,
    refuse_new_levels,
    unseen_variance,
)
from hglm.inference.errors_of_fit import joint_covariance
from hglm.inference.joint_covariance import error_variances, group_rows
from hglm.inference.predictive import NewResponses, predictive_limits
from hglm.inference.quantiles import critical_value
from hglm.inference.simulate import draw_normal
from hglm.inference.tests import Denominator
from hglm.typing import Frame, Matrix, Vector

__all__ = ["Interval", "Mean", "NewLevels", "predict", "prediction_rows"]

Interval: TypeAlias = Literal["confidence", "prediction"]
NewLevels: TypeAlias = Literal["error", "population", "sample"]
Mean: TypeAlias = Callable[[Vector], tuple[Vector, Vector]]
"""η to μ and dμ/dη, elementwise."""


def predict(
    estimates: Estimates,
    rows: NewDesign,
    *,
    random: str | Sequence[str] = "all",
    new_levels: NewLevels = "error",
    interval: Interval | None = None,
    level: float = 0.95,
    df: float | None = None,
    mean: Mean | None = None,
    weights: Vector | None = None,
    responses: NewResponses | None = None,
    robust: Denominator | None = None,
    rng: np.random.Generator | int | None = None,
) -> pd.Series | pd.DataFrame:
    """Predict rows from a fit.

    Parameters
    ----------
    estimates
        Of the fit.
    rows
        From `prediction_rows`.
    random
        Grouping factors to condition on: ``"all"``, ``"none"``, a name or names.
    new_levels
        Of a factor conditioned on: ``"error"`` refuses them, ``"population"``
        predicts without an effect, ``"sample"`` draws one from N(0, Σ), the same
        for all rows with the same (negative) code.
    interval
        ``"confidence"``, ``"prediction"`` or None, see the module.
    level
        Coverage.
    df
        Degrees of freedom for quantiles of Student's t instead of the normal.
    mean
        Mean as a function of η, with its derivative; the identity if None.
    weights : (n_rows,) or None
        Precision weights of the new observations, for prediction intervals of linear
        models; 1 if None.
    responses
        For prediction intervals of generalised models: the distribution of the new
        responses of the complete rows.
    robust
        Covariance of the fixed effects to use instead of the model's.
    rng
        For ``new_levels="sample"``.

    Returns
    -------
    Series or DataFrame
        One number a row of the data, missing where the row is incomplete; with
        an interval the columns `fit, std_error, conf_low, conf_high`, the
        standard error being that of the error the interval is about.
    """
    linear = isinstance(estimates.state, LinearState) and mean is None
    _check_options(new_levels, interval, linear or responses is not None)
    design = rows.mean
    terms = pair_terms(estimates, design, random)
    if new_levels == "error":
        refuse_new_levels(terms, rows)
    eta = _linear_predictor(estimates, design, terms)
    if new_levels == "sample":
        eta += _sampled_effects(design, terms, np.random.default_rng(rng))
    if interval is None:
        fit = eta if mean is None else mean(eta)[0]
        return pd.Series(_all_rows(fit, rows), index=rows.index, name="fit")
    if robust is not None:
        _check_robust(interval, terms)
        std_error, half_width = _of_fixed_part(robust, design.X, level)
        return _table(_interval(eta, std_error, half_width, mean), rows)
    joint = joint_covariance(estimates)
    columns = [term.extended().on_fitted() if term.chosen else None for term in terms]
    variance = error_variances(joint, design.X, group_rows(joint, columns, len(eta)))
    variance += _open_variance(terms, len(eta))
    if interval == "prediction":
        of_mean = (term for term in terms if term.estimate.predictor == "mean")
        variance += unseen_variance(of_mean, len(eta))
        if responses is not None:
            fit = eta if mean is None else mean(eta)[0]
            limits = predictive_limits(responses, eta, np.sqrt(variance), level)
            return _table({"fit": fit, **limits}, rows)
        variance += joint.scale / (1.0 if weights is None else np.asarray(weights)[rows.kept])
    return _table(_interval(eta, np.sqrt(variance), critical_value(level, df), mean), rows)


def prediction_rows(
    design: Design,
    spec: DesignSpec,
    data: Frame | None,
    *,
    random: str | Sequence[str] = "all",
    new_levels: NewLevels = "error",
    interval: Interval | None = None,
    names: Sequence[str] | None = None,
) -> NewDesign:
    """Build the arrays of the rows to predict, for `predict` with the same options.

    Parameters
    ----------
    design, spec
        Of the fit.
    data
        New data; the rows of the fit if None.
    names
        Predictors wanted of new data; all if None.
    """
    if data is None:
        predictors = {"mean": design.mean, **design.others}
        return NewDesign(predictors, np.arange(design.n), design.index)
    terms = [term for part in (design.mean, *design.others.values()) for term in part.random]
    groups = chosen_groups((term.group for term in terms), random)
    new = "error" if new_levels == "error" else "allow"
    if interval == "prediction":  # the columns z of factors that are left out count, too
        left_out = {term.group for term in terms} - set(groups)
        return rebuild(spec, data, names=names, new_levels=new, uncoded=left_out)
    try:
        return rebuild(spec, data, groups=groups, names=names, new_levels=new)
    except ColumnNotFoundError as error:
        missing = [group for group in groups if f"`{group}`" in str(error).split(". ")[0]]
        if not missing:
            raise
        hint = f'For the population\'s mean, whatever {missing[0]}, predict with random="none".'
        raise ColumnNotFoundError(f"{error} {hint}") from error


def _linear_predictor(
    estimates: Estimates, design: PredictorDesign, terms: Sequence[Conditioning]
) -> Vector:
    """x'β̂ + offset + z'b̂ over the chosen terms. (m,)"""
    chosen = [term for term in terms if term.chosen]
    conditional = replace(design, random=tuple(term.required() for term in chosen))
    modes = {i: term.extended().modes for i, term in enumerate(chosen)}
    eta: Vector = design.X @ estimates.beta + random_part(conditional, modes)
    return eta if design.offset is None else eta + design.offset


def _sampled_effects(
    design: PredictorDesign, terms: Sequence[Conditioning], rng: np.random.Generator
) -> Vector:
    """z'b with b ~ N(0, Σ) for the new levels of the chosen terms. (m,)"""
    chosen = [term for term in terms if term.chosen]
    unseen = tuple(term.unseen() for term in chosen)
    draws: dict[int, Matrix] = {
        i: draw_normal(term.extended().covariance, columns.n_levels, rng)
        for i, (term, columns) in enumerate(zip(chosen, unseen, strict=True))
        if columns.n_levels
    }
    return random_part(replace(design, random=unseen), draws)


def _open_variance(terms: Sequence[Conditioning], m: int) -> Vector:
    """Variance at new places and related new levels that the fit leaves open. (m,)"""
    out = np.zeros(m)
    for part in (term.extended() for term in terms if term.chosen):
        out += np.where(part.columns.codes < 0, 0.0, part.open_variances())
    return out


def _of_fixed_part(robust: Denominator, X: Matrix, level: float) -> tuple[Vector, Vector]:
    """Return standard errors of Xβ̂, and the quantiles that go with them. (m,)"""
    std_error = np.sqrt(np.einsum("mi,ij,mj->m", X, robust.vcov, X))
    different, which = np.unique(X, axis=0, return_inverse=True)
    quantiles = np.array([critical_value(level, df) for df in robust.each(different)])
    return std_error, quantiles[which.ravel()]


def _interval(
    eta: Vector, std_error: Vector, half_width: Vector | float, mean: Mean | None
) -> dict[str, Vector]:
    low, high = eta - half_width * std_error, eta + half_width * std_error
    if mean is not None:
        eta, slope = mean(eta)
        std_error = np.abs(slope) * std_error
        low, high = mean(low)[0], mean(high)[0]  # a decreasing link turns them round
    return {
        "fit": eta,
        "std_error": std_error,
        "conf_low": np.minimum(low, high),
        "conf_high": np.maximum(low, high),
    }


def _table(values: Mapping[str, Vector], rows: NewDesign) -> pd.DataFrame:
    columns = {name: _all_rows(value, rows) for name, value in values.items()}
    return pd.DataFrame(columns, index=rows.index)


def _all_rows(values: Vector, rows: NewDesign) -> Vector:
    """Values (m,) of the complete rows among all rows, missing elsewhere. (n_rows,)"""
    out = np.full(len(rows.index), np.nan)
    out[rows.kept] = values
    return out


def _check_robust(interval: str | None, terms: Sequence[Conditioning]) -> None:
    if interval == "prediction" or any(term.chosen for term in terms):
        raise OptionError(
            "A robust covariance is one of the fixed effects, and this interval needs the model's "
            'random effects or noise: use random="none" with interval="confidence", or the fit '
            "with its own covariance."
        )


def _check_options(new_levels: str, interval: str | None, has_noise: bool) -> None:
    if new_levels not in ("error", "population", "sample"):
        raise OptionError(
            f'The option new_levels={new_levels!r} is none of "error", "population", "sample".'
        )
    if interval not in (None, "confidence", "prediction"):
        raise OptionError(
            f'The option interval={interval!r} is none of "confidence", "prediction", None.'
        )
    if interval is not None and new_levels == "sample":
        raise OptionError(
            'With new_levels="sample" a prediction is one random outcome, which has no interval; '
            'use new_levels="population".'
        )
    if interval == "prediction" and not has_noise:
        raise OptionError(
            "Prediction intervals are about new responses, which a generalised model has on the "
            'scale of the response only; use scale="response", or interval="confidence" here.'
        )
