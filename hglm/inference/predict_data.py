"""Predictions of a fit for a data frame: what `Fit.predict` hands over to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from hglm.design import Design, DesignSpec, NewDesign
from hglm.errors import OptionError
from hglm.families import Family, Sizes
from hglm.fitting.record import Estimates, GeneralisedState
from hglm.inference.conditioning import other_terms, pair_terms, unseen_variance
from hglm.inference.predict import Interval, NewLevels, predict, prediction_rows
from hglm.inference.predictive import NewResponses
from hglm.inference.response_scale import (
    averaged,
    category_probabilities,
    mean_function,
    other_predictors,
)
from hglm.inference.tests import Denominator
from hglm.typing import Frame, Vector

__all__ = ["Scale", "predict_data"]

Scale: TypeAlias = Literal["response", "link"]


def predict_data(
    estimates: Estimates,
    design: Design,
    spec: DesignSpec,
    data: Frame | None = None,
    *,
    random: str | Sequence[str] = "all",
    scale: Scale = "response",
    interval: Interval | None = None,
    level: float = 0.95,
    new_levels: NewLevels = "error",
    weights: Vector | None = None,
    trials: Vector | float | None = None,
    robust: Denominator | None = None,
    rng: np.random.Generator | int | None = None,
) -> pd.Series | pd.DataFrame:
    """Predict the rows of a data frame.

    Parameters
    ----------
    estimates, design, spec
        Of the fit.
    data
        New rows; those of the fit if None.
    scale
        ``"response"`` for means (of ordinal responses: a probability for each
        category), or ``"link"``.
    weights, trials : (n_rows,) or number
        Of new responses, for prediction intervals; those of the fit for its own rows.
    random, interval, level, new_levels, robust, rng
        See `hglm.inference.predict.predict`.
    """
    if scale not in ("response", "link"):
        raise OptionError(f'There is no scale {scale!r}: use "response" or "link".')
    state = estimates.state
    family = state.problem.likelihood.family if isinstance(state, GeneralisedState) else None
    by_category = family is not None and family.support == "category" and scale == "response"
    if by_category and interval is not None:
        raise OptionError(
            "An ordinal response has a probability for each category and no interval; leave "
            '`interval` out, or use scale="link" for confidence intervals of the predictor.'
        )
    whole = random == "average"  # the columns of all random effects count
    random = "none" if whole else random
    rows = prediction_rows(
        design,
        spec,
        data,
        random=random,
        new_levels=new_levels,
        interval="prediction" if whole else interval,
        names=("mean",) if scale == "link" and not whole else None,
    )
    if data is None:
        weights = design.weights if weights is None else weights
        trials = design.trials if trials is None else trials
    responses = mean = None
    population = _population(estimates, rows) if whole and family is not None else {}
    if family is not None and scale == "response" and not by_category:
        others = other_predictors(estimates, rows, random)
        mean = averaged(family, others, population) if population else mean_function(family, others)
        if interval == "prediction":
            sizes = _sizes(family, design, rows, weights, trials)
            spreads = _spreads(estimates, rows, random)
            responses = NewResponses(family, others, sizes, spreads)
    found = predict(
        estimates,
        rows,
        random=random,
        new_levels=new_levels,
        interval=interval,
        level=level,
        mean=mean,
        weights=weights,
        responses=responses,
        robust=robust,
        rng=rng,
    )
    if not by_category:
        return found
    spread = np.zeros(len(rows.index))
    spread[rows.kept] = population.get("mean", 0.0)
    return category_probabilities(
        estimates, found.to_numpy(), design.response_levels, found.index, spread
    )


def _sizes(
    family: Family,
    design: Design,
    rows: NewDesign,
    weights: Vector | None,
    trials: Vector | float | None,
) -> Sizes:
    """Sizes of new responses in the complete rows, (m,) each."""
    if family.support == "proportion" and trials is None and design.trials is not None:
        raise OptionError(
            "The responses are proportions of several trials, and an interval for new ones depends "
            "on how many; give `trials`, a number or one for each row."
        )
    return Sizes(_kept(trials, rows), _kept(weights, rows))


def _population(estimates: Estimates, rows: NewDesign) -> dict[str, Vector]:
    """Return the standard deviations of the predictors that vary, (m,) by name."""
    terms = pair_terms(estimates, rows.mean, "none")
    of_mean = (term for term in terms if term.estimate.predictor == "mean")
    variance = unseen_variance(of_mean, len(rows.kept))
    own = {"mean": np.sqrt(variance)} if variance.any() else {}
    return own | _spreads(estimates, rows, "none")


def _spreads(
    estimates: Estimates, rows: NewDesign, random: str | Sequence[str]
) -> dict[str, Vector]:
    """Return the standard deviations of what is drawn afresh, (m,) by further predictor."""
    out = {}
    for name in rows.predictors:
        if name != "mean":
            terms = other_terms(estimates, rows, name, random)
            variance = unseen_variance(terms, len(rows.kept))
            if variance.any():
                out[name] = np.sqrt(variance)
    return out


def _kept(values: Vector | float | None, rows: NewDesign) -> Vector | None:
    if values is None:
        return None
    everywhere = np.broadcast_to(np.asarray(values, dtype=np.float64), (len(rows.index),))
    return everywhere[rows.kept]
