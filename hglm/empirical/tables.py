"""Frames of a fit. Every column name is broom's or DESIGN's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from hglm.empirical.certificate import Certificate
from hglm.empirical.parts import Coefficients, Hyperparameter, Likelihood, TermPosterior
from hglm.empirical.student import checked_level, critical, student_cdf
from hglm.errors import OptionError
from hglm.typing import Matrix, Vector

__all__ = [
    "augmented_table",
    "glance_table",
    "hyperparameter_table",
    "p_values",
    "quantile_table",
    "rank_table",
    "shrinkage_table",
    "sign_table",
    "tidy_table",
    "wald_intervals",
]

Terms = Sequence[TermPosterior]


def p_values(coefficients: Coefficients) -> pd.Series[float]:
    """Two-sided Wald p-values of zero, missing where zero is a bound. (m,)"""
    statistic = coefficients.estimate / np.sqrt(np.diagonal(coefficients.vcov))
    p = 2.0 * student_cdf(coefficients.df, -np.abs(statistic))
    p = np.where(coefficients.bounded, np.nan, p)
    return pd.Series(p, index=pd.Index(coefficients.names, name="term"), name="p_value")


def wald_intervals(coefficients: Coefficients, level: float) -> pd.DataFrame:
    """Wald intervals; those of bounded parameters stop at the bound zero."""
    reach = critical(coefficients.df, level) * np.sqrt(np.diagonal(coefficients.vcov))
    low = coefficients.estimate - reach
    low = np.where(coefficients.bounded, np.maximum(low, 0.0), low)
    return pd.DataFrame(
        {"conf_low": low, "conf_high": coefficients.estimate + reach},
        index=pd.Index(coefficients.names, name="term"),
    )


def tidy_table(coefficients: Coefficients, level: float) -> pd.DataFrame:
    """Estimate, error, test and interval of every coefficient."""
    errors = np.sqrt(np.diagonal(coefficients.vcov))
    bounds = wald_intervals(coefficients, level)
    return pd.DataFrame(
        {
            "term": coefficients.names,
            "estimate": coefficients.estimate,
            "std_error": errors,
            "statistic": np.where(coefficients.bounded, np.nan, coefficients.estimate / errors),
            "df": coefficients.df,
            "p_value": p_values(coefficients).to_numpy(),
            "conf_low": bounds["conf_low"].to_numpy(),
            "conf_high": bounds["conf_high"].to_numpy(),
        }
    )


def hyperparameter_table(derived: Sequence[Hyperparameter], level: float) -> pd.DataFrame:
    """Make intervals on the scale where each estimate is nearest to normal.

    They are missing where a positive parameter is within a standard error of
    zero: the delta method says nothing there.
    """
    z = critical(np.inf, level)
    rows = []
    for item in derived:
        low, high = _interval(item, z)
        rows.append((item.name, item.estimate, item.std_error, low, high))
    return pd.DataFrame(rows, columns=["term", "estimate", "std_error", "conf_low", "conf_high"])


def shrinkage_table(group: str, levels: pd.Index[Any], terms: Terms, level: float) -> pd.DataFrame:
    """Make the shrinkage table that mixed models share."""
    tail = 0.5 * (1.0 - checked_level(level))
    return _stack(
        group,
        levels,
        terms,
        lambda term: {
            "estimate": term.posterior.mean,
            "std_error": term.posterior.sd,
            "conf_low": term.posterior.quantile(tail),
            "conf_high": term.posterior.quantile(1.0 - tail),
            "shrinkage": term.shrinkage,
        },
    )


def augmented_table(group: str, levels: pd.Index[Any], terms: Terms, level: float) -> pd.DataFrame:
    """Shrinkage table with the raw estimates and prior means beside it."""
    own = _stack(
        group,
        levels,
        terms,
        lambda term: {
            "observed": term.raw,
            "observed_se": term.raw_se,
            "prior_mean": term.prior_mean,
        },
    )
    shrunk = shrinkage_table(group, levels, terms, level).drop(columns=["group", "level", "term"])
    return pd.concat([own, shrunk], axis=1)


def quantile_table(
    group: str, levels: pd.Index[Any], terms: Terms, probabilities: Sequence[float]
) -> pd.DataFrame:
    """Posterior quantiles."""
    if not all(0 < p < 1 for p in probabilities):
        raise OptionError("Probabilities lie strictly between 0 and 1.")
    return _stack(
        group,
        levels,
        terms,
        lambda term: {f"q{100 * p:g}": term.posterior.quantile(p) for p in probabilities},
    )


def sign_table(group: str, levels: pd.Index[Any], terms: Terms, at: float) -> pd.DataFrame:
    """Local false discovery and false sign rates, and the s-values of Stephens (2017).

    lfdr = P(θ = at | data); lfsr = min{P(θ ≤ at), P(θ ≥ at)}; the s-value is the
    average lfsr of all parameters at least as sure: the false sign rate of the
    list that ends there.
    """

    def columns(term: TermPosterior) -> dict[str, Vector]:
        atom = term.posterior.mass(at)
        below = term.posterior.cdf(at)
        lfsr = np.clip(np.minimum(below, 1.0 - below + atom), 0.0, 1.0)
        return {
            "lfdr": atom,
            "lfsr": lfsr,
            "s_value": _running_mean(lfsr),
            "prob_below": below - atom,
            "prob_above": 1.0 - below,
        }

    return _stack(group, levels, terms, columns)


def rank_table(
    group: str,
    levels: pd.Index[Any],
    terms: Terms,
    rng: np.random.Generator,
    draws: int,
    level: float,
) -> pd.DataFrame:
    """Ranks from joint posterior draws: expected, median, interval, chance of being first."""
    tail = 0.5 * (1.0 - checked_level(level))

    def columns(term: TermPosterior) -> dict[str, Vector]:
        ranks = _ranks(term.posterior.draw(rng, draws), rng)
        low, middle, high = np.quantile(ranks, [tail, 0.5, 1.0 - tail], axis=0)
        return {
            "expected_rank": ranks.mean(axis=0),
            "median_rank": middle,
            "conf_low": low,
            "conf_high": high,
            "prob_first": (ranks == 1).mean(axis=0),
        }

    return _stack(group, levels, terms, columns)


def glance_table(
    model: str, likelihood: Likelihood, certificate: Certificate, singular: bool
) -> pd.DataFrame:
    """One row about a fit."""
    return pd.DataFrame(
        {
            "model": [model],
            "nobs": [likelihood.nobs],
            "n_parameters": [likelihood.n_parameters],
            "llf": [likelihood.value],
            "aic": [likelihood.aic],
            "bic": [likelihood.bic],
            "converged": [certificate.converged],
            "singular": [singular],
        }
    )


def _stack(
    group: str,
    levels: pd.Index[Any],
    terms: Terms,
    columns: Callable[[TermPosterior], dict[str, Vector]],
) -> pd.DataFrame:
    """One block of rows a term, with its key columns in front."""
    blocks = [
        pd.DataFrame({"group": group, "level": levels, "term": term.term, **columns(term)})
        for term in terms
    ]
    return pd.concat(blocks, ignore_index=True)


def _interval(item: Hyperparameter, z: float) -> tuple[float, float]:
    x, se = item.estimate, item.std_error
    if not np.isfinite(se) or (item.scale != "identity" and se > x):
        return np.nan, np.nan
    if item.scale == "log":
        return x * np.exp(-z * se / x), x * np.exp(z * se / x)
    if item.scale == "logit":
        centre, reach = special.logit(x), z * se / (x * (1.0 - x))
        return float(special.expit(centre - reach)), float(special.expit(centre + reach))
    return x - z * se, x + z * se


def _running_mean(rates: Vector) -> Vector:
    order = np.argsort(rates, kind="stable")
    out = np.empty_like(rates)
    out[order] = np.cumsum(rates[order]) / np.arange(1, rates.size + 1)
    return out


def _ranks(draws: Matrix, rng: np.random.Generator) -> Matrix:
    """Rank of every column in its row, 1 the largest, ties broken at random. (n, G)"""
    n, groups = draws.shape
    shuffle = rng.permuted(np.tile(np.arange(groups), (n, 1)), axis=1)
    order = np.argsort(-np.take_along_axis(draws, shuffle, axis=1), axis=1, kind="stable")
    out = np.empty(draws.shape)
    places = np.broadcast_to(np.arange(1.0, groups + 1), draws.shape)
    np.put_along_axis(out, np.take_along_axis(shuffle, order, axis=1), places, axis=1)
    return out
