"""Tidy frames of a fit: one name for each column, in every table.

Column names are those of R's broom.mixed with underscores (`std_error`), and of
lme4's `as.data.frame(VarCorr(fit))` for variances. Numbers are not rounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import TypeAlias

import numpy as np
import pandas as pd

from hglm.fitting.record import Estimates, TermEstimate
from hglm.typing import Matrix, Vector

__all__ = [
    "augment_frame",
    "coefficient_frame",
    "components_frame",
    "correlation_matrix",
    "glance_frame",
    "has_correlations",
    "residual_sd",
    "tidy_frame",
    "varcorr_frame",
]

VarCorrRow: TypeAlias = tuple[str, str | None, str | None, float, float]

TIDY = (
    "effect",
    "group",
    "term",
    "estimate",
    "std_error",
    "statistic",
    "df",
    "p_value",
    "conf_low",
    "conf_high",
)
UNCORRELATED = frozenset(("diag", "homdiag"))
"""Structures without correlations."""
LINEAR = {"reml": "REMLcrit", "ml": "deviance"}
"""Methods of linear models -> broom's name of the criterion; it is the deviance elsewhere."""


def coefficient_frame(
    names: Sequence[str],
    beta: Vector,
    se: Vector,
    df: Vector,
    statistic: Vector,
    p: Vector,
    conf_low: Vector,
    conf_high: Vector,
) -> pd.DataFrame:
    """Tabulate coefficients, one row each.

    Parameters
    ----------
    names : (p,)
    beta, se, df, statistic, p, conf_low, conf_high : (p,)
        Estimates, standard errors, degrees of freedom (∞ for normal tests),
        test statistics, p-values and limits.
    """
    columns = {
        "estimate": beta,
        "std_error": se,
        "df": df,
        "statistic": statistic,
        "p_value": p,
        "conf_low": conf_low,
        "conf_high": conf_high,
    }
    numbers = {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}
    return pd.DataFrame({"term": list(names), **numbers})


def varcorr_frame(estimates: Estimates) -> pd.DataFrame:
    """Tabulate variances and covariances as lme4's `as.data.frame(VarCorr())` does.

    Term after term, the variances come first and the covariances after them;
    the residual of a linear model is last. `sdcor` is the standard deviation, or
    the correlation where `term2` is given. Covariances that a structure fixes at
    zero are left out. A structure with one variance for all coefficients has one row
    for it, and one for each of its parameters (``"rho"``, ``"range"``, ...), whose name
    is in `term2`, whose value is in `sdcor`, and which has no `vcov`.
    """
    return components_frame(estimates.terms, residual_sd(estimates))


def components_frame(terms: Sequence[TermEstimate], sigma: float | None) -> pd.DataFrame:
    """Tabulate the variance components of terms, and of the residual if it has any."""
    rows = [row for term in terms for row in _varcorr_rows(term)]
    if sigma is not None:
        rows.append(("Residual", None, None, sigma**2, sigma))
    frame = pd.DataFrame(rows, columns=["group", "term1", "term2", "vcov", "sdcor"])
    return frame.astype({"vcov": np.float64, "sdcor": np.float64})


def residual_sd(estimates: Estimates) -> float | None:
    """Give σ where it is the standard deviation of a linear model's errors."""
    return estimates.sigma if estimates.method in LINEAR else None


def tidy_frame(coefficients: pd.DataFrame, varcorr: pd.DataFrame) -> pd.DataFrame:
    """Put fixed effects and variance components into broom.mixed's one frame.

    Parameters
    ----------
    coefficients
        From `coefficient_frame`.
    varcorr
        From `varcorr_frame`; its rows become `sd__x`, `cor__x.z` and, for the
        residual, `sd__Observation`.
    """
    parts = [
        coefficients.assign(effect="fixed", group=None),
        pd.DataFrame(
            {
                "effect": "ran_pars",
                "group": varcorr["group"],
                "term": _parameter_names(varcorr),
                "estimate": varcorr["sdcor"],
            }
        ),
    ]
    return pd.concat([part.reindex(columns=list(TIDY)) for part in parts], ignore_index=True)


def glance_frame(estimates: Estimates) -> pd.DataFrame:
    """Summarise a fit in one row, under broom's names.

    The criterion is `REMLcrit` or `deviance`. As in lme4, `df_residual` is the
    number of observations less that of all parameters.
    """
    return pd.DataFrame(
        {
            "nobs": [estimates.nobs],
            "sigma": [np.nan if estimates.sigma is None else estimates.sigma],
            "logLik": [estimates.llf],
            "AIC": [estimates.aic],
            "BIC": [estimates.bic],
            LINEAR.get(estimates.method, "deviance"): [estimates.deviance],
            "df_residual": [estimates.nobs - estimates.n_parameters],
        }
    )


def augment_frame(
    data: pd.DataFrame,
    *,
    fitted: Vector,
    resid: Vector,
    fixed: Vector,
    extra: Mapping[str, Vector] | None = None,
) -> pd.DataFrame:
    """Add what a fit says about each row to the data, under broom's names.

    Parameters
    ----------
    data : (n, m)
        Columns of the model for the rows used; not changed.
    fitted, resid, fixed : (n,)
        Fitted means, residuals, and the population's part of the linear predictor.
    extra
        Further columns without their leading dot, such as ``{"se": ...}``.
    """
    found = {"fitted": fitted, "resid": resid, "fixed": fixed, **(extra or {})}
    return data.assign(**{f".{name}": values for name, values in found.items()})


def _varcorr_rows(term: TermEstimate) -> Iterator[VarCorrRow]:
    covariance, names = term.covariance, term.names
    sd = np.sqrt(np.diagonal(covariance))
    if term.homogeneous:
        yield term.group, term.label, None, float(covariance[0, 0]), float(sd[0])
        for name, value in term.parameters.items():
            if name != "sd":
                yield term.group, term.label, name, np.nan, value
        return
    for j, name in enumerate(names):
        yield term.group, name, None, float(covariance[j, j]), float(sd[j])
    if not has_correlations(term):
        return
    correlations = correlation_matrix(term)
    for i, j in combinations(range(term.k), 2):
        yield term.group, names[i], names[j], float(covariance[i, j]), float(correlations[i, j])


def correlation_matrix(term: TermEstimate) -> Matrix:
    """Correlations of a term's coefficients; NaN where a variance is zero. (k, k)"""
    sd = np.sqrt(np.diagonal(term.covariance))
    scale = np.where(sd > 0, sd, np.nan)
    correlations: Matrix = term.covariance / np.outer(scale, scale)
    return np.clip(correlations, -1.0, 1.0)


def has_correlations(term: TermEstimate) -> bool:
    """Tell whether the structure has any."""
    return term.k > 1 and term.structure not in UNCORRELATED


def _parameter_names(varcorr: pd.DataFrame) -> list[str]:
    """Name the rows as broom.mixed does."""
    missing = varcorr[["term1", "term2"]].isna()
    names = varcorr["term1"].where(~missing["term1"], "Observation").astype(str)
    of_structure = varcorr["term2"].astype(str) + "__" + names  # such as rho__times
    pairs = "cor__" + names + "." + varcorr["term2"].astype(str)
    pairs = pairs.where(varcorr["vcov"].notna(), of_structure)
    return ("sd__" + names).where(missing["term2"], pairs).tolist()
