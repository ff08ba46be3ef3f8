"""Likelihood-ratio tables of several models of the same data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import special

from hglm.design.arrays import Design
from hglm.errors import DataError, OptionError
from hglm.fitting.estimate import estimate_linear
from hglm.fitting.record import Estimates
from hglm.inference.nesting import adds_one_variance, boundary_p_value, spans

__all__ = ["Candidate", "Comparison", "aicc", "compare_table"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of the models to compare."""

    name: str
    estimates: Estimates
    design: Design


@dataclass(frozen=True, slots=True)
class Comparison:
    """Likelihood-ratio table and what its reader should know."""

    table: pd.DataFrame
    notes: tuple[str, ...]
    models: tuple[Candidate, ...]
    """As they were compared, in the order of the rows."""


def aicc(estimates: Estimates) -> float:
    """Akaike's criterion with the correction for small samples, AIC + 2k(k+1)/(n-k-1).

    Hurvich & Tsai (1989), Biometrika 76, 297-307; n is the number of
    observations. Infinite where n ≤ k + 1.
    """
    k, left = estimates.n_parameters, estimates.nobs - estimates.n_parameters - 1.0
    return estimates.aic + 2.0 * k * (k + 1.0) / left if left > 0.0 else np.inf


def compare_table(
    models: Sequence[Candidate],
    *,
    refit: bool = False,
    boundary: Literal["auto", False] = "auto",
    refit_by_ml: Callable[[Candidate], Estimates] | None = None,
) -> Comparison:
    """Compare models by likelihood-ratio tests.

    Parameters
    ----------
    models
        Two or more fits to the same data.
    refit
        Whether to fit models again by maximum likelihood that were fitted by
        REML. Without it models fitted by REML must have the same fixed part.
    boundary
        ``"auto"`` adds the column `p_value_boundary` where a model has exactly one
        variance more than the one above it; False leaves it out.
    refit_by_ml
        How to fit again; linear mixed models by default.

    Returns
    -------
    Comparison
        A row a model, by number of parameters, compared with the row above:
        `npar, aic, bic, llf, deviance, chisq, df, p_value`. `p_value` takes the
        statistic as chi-square, as R's `anova` does: too large where a variance is
        tested. `p_value_boundary` allows for the boundary; see
        `hglm.inference.nesting`.
    """
    if len(models) < 2:
        raise OptionError("There is nothing to compare; give two models or more.")
    if boundary not in ("auto", False):
        raise OptionError(f'The option boundary={boundary!r} is neither "auto" nor False.')
    for other in models[1:]:
        _check_same_data(models[0], other)
        _check_same_approximation(models[0], other)
    fitted, notes = _on_one_scale(models, refit, refit_by_ml or _refit_linear)
    ordered = sorted(fitted, key=lambda m: m.estimates.n_parameters)
    pairs = list(pairwise(ordered))
    table = pd.DataFrame(
        [_criteria(m.estimates) for m in ordered],
        index=pd.Index([m.name for m in ordered], name="model"),
    )
    tests = [(np.nan, np.nan, np.nan), *(_likelihood_ratio(a, b) for a, b in pairs)]
    table["chisq"], table["df"], table["p_value"] = np.array(tests).T
    if boundary == "auto":
        corrected = np.array([np.nan, *(_corrected(a, b) for a, b in pairs)])
        if np.isfinite(corrected).any():
            table["p_value_boundary"] = corrected
    return Comparison(table, (*notes, *_nesting_notes(pairs)), tuple(ordered))


def _criteria(e: Estimates) -> dict[str, float]:
    return {
        "npar": e.n_parameters,
        "aic": e.aic,
        "bic": e.bic,
        "llf": e.llf,
        "deviance": e.deviance,
    }


def _likelihood_ratio(small: Candidate, large: Candidate) -> tuple[float, float, float]:
    """Statistic, degrees of freedom and p of a chi-square test."""
    statistic = max(0.0, 2.0 * (large.estimates.llf - small.estimates.llf))
    df = large.estimates.n_parameters - small.estimates.n_parameters
    return statistic, df, float(special.chdtrc(df, statistic)) if df > 0 else np.nan


def _corrected(small: Candidate, large: Candidate) -> float:
    """P-value at the boundary, NaN where its conditions are not met."""
    a, b = small.design, large.design
    regular = not (small.estimates.certificate.singular or a.others or b.others)
    if not (regular and spans(a.mean.X, b.mean.X) and adds_one_variance(a.mean, b.mean)):
        return np.nan
    statistic, df, _ = _likelihood_ratio(small, large)
    return boundary_p_value(statistic, df)


def _nesting_notes(pairs: Sequence[tuple[Candidate, Candidate]]) -> list[str]:
    return [
        f"The fixed part of {a.name} is not contained in that of {b.name}: the chi-square test "
        "does not apply to them; compare their information criteria."
        for a, b in pairs
        if not spans(a.design.mean.X, b.design.mean.X)
    ]


def _on_one_scale(
    models: Sequence[Candidate], refit: bool, refit_by_ml: Callable[[Candidate], Estimates]
) -> tuple[list[Candidate], tuple[str, ...]]:
    """Make the log likelihoods comparable, or say why they are not."""
    restricted = [m.name for m in models if m.estimates.method == "reml"]
    if not restricted:
        return list(models), ()
    names = ", ".join(restricted)
    if refit:
        again = [
            replace(m, estimates=refit_by_ml(m)) if m.estimates.method == "reml" else m
            for m in models
        ]
        return again, (f"Fitted again by maximum likelihood: {names}.",)
    if len(restricted) < len(models):
        raise OptionError(
            f"Restricted likelihoods ({names}) cannot be compared with unrestricted ones; use "
            "refit=True to fit all models by maximum likelihood."
        )
    first = models[0].design.mean
    for m in models[1:]:
        if not np.array_equal(first.X, m.design.mean.X):
            raise OptionError(
                f"{models[0].name} and {m.name} were fitted by REML and have different fixed "
                "parts, so their likelihoods cannot be compared; use refit=True to fit them by "
                "maximum likelihood."
            )
    return list(models), ("Restricted likelihoods of models with the same fixed part.",)


def _refit_linear(model: Candidate) -> Estimates:
    return estimate_linear(model.design, reml=False)


def _check_same_data(first: Candidate, other: Candidate) -> None:
    a, b = first.design, other.design
    both = f"{first.name} and {other.name}"
    if a.n != b.n:
        raise DataError(
            f"{both} were fitted to {a.n} and {b.n} rows; leave rows with missing values out of "
            "the data of both."
        )
    for name in ("y", "weights", "frequencies", "trials"):
        if not _equal(getattr(a, name), getattr(b, name)):
            what = "responses" if name == "y" else name
            raise DataError(
                f"{both} have different {what}, so their likelihoods cannot be compared; fit them "
                "to the same data, rows in the same order."
            )


def _check_same_approximation(first: Candidate, other: Candidate) -> None:
    if first.estimates.nodes != other.estimates.nodes:
        raise OptionError(
            f"The likelihoods of {first.name} and {other.name} are approximated with "
            f"{first.estimates.nodes} and {other.estimates.nodes} quadrature nodes; fit both by "
            "the same method."
        )


def _equal(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    return np.array_equal(a, b)
