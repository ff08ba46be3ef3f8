"""The vocabulary of tables: which heading and format a column of that name has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pandas as pd
from pandas.api import types

from hglm.report.formats import (
    Count,
    DegreesOfFreedom,
    Estimate,
    Fixed,
    Format,
    PValue,
    Significant,
    Text,
)

__all__ = ["COLUMNS", "ColumnStyle", "style_of"]


@dataclass(frozen=True, slots=True)
class ColumnStyle:
    """Heading and format of a column."""

    header: str
    format: Format


COLUMNS: Mapping[str, ColumnStyle] = {
    "group": ColumnStyle("Group", Text()),
    "level": ColumnStyle("Level", Text()),
    "term": ColumnStyle("Term", Text()),
    "model": ColumnStyle("Model", Text()),
    "effect": ColumnStyle("Effect", Text()),
    "contrast": ColumnStyle("Contrast", Text()),
    "estimate": ColumnStyle("Estimate", Estimate()),
    "std_error": ColumnStyle("Std. error", Estimate()),
    "bias": ColumnStyle("Bias", Estimate()),
    "fit": ColumnStyle("Fit", Estimate()),
    "conf_low": ColumnStyle("CI low", Estimate()),
    "conf_high": ColumnStyle("CI high", Estimate()),
    "statistic": ColumnStyle("Statistic", Fixed(2)),
    "t": ColumnStyle("t", Fixed(2)),
    "z": ColumnStyle("z", Fixed(2)),
    "F": ColumnStyle("F", Fixed(2)),
    "chisq": ColumnStyle("Chi-sq.", Fixed(2)),
    "p_value": ColumnStyle("p", PValue()),
    "p_value_boundary": ColumnStyle("p (bound.)", PValue()),
    "p_value_bootstrap": ColumnStyle("p (boot.)", PValue()),
    "p_value_exact": ColumnStyle("p (exact)", PValue()),
    "df": ColumnStyle("df", DegreesOfFreedom()),
    "num_df": ColumnStyle("Num. df", DegreesOfFreedom()),
    "den_df": ColumnStyle("Den. df", DegreesOfFreedom()),
    "df_residual": ColumnStyle("Resid. df", DegreesOfFreedom()),
    "sum_sq": ColumnStyle("Sum sq.", Significant()),
    "mean_sq": ColumnStyle("Mean sq.", Significant()),
    "term1": ColumnStyle("Term", Text()),
    "term2": ColumnStyle("with", Text()),
    "variance": ColumnStyle("Variance", Significant()),
    "std_dev": ColumnStyle("Std. dev.", Significant()),
    "vcov": ColumnStyle("Variance", Significant()),
    "sdcor": ColumnStyle("SD or corr.", Significant()),
    "shrinkage": ColumnStyle("Shrinkage", Fixed(2)),
    "nobs": ColumnStyle("Obs.", Count()),
    "npar": ColumnStyle("Par.", Count()),
    "n_parameters": ColumnStyle("Parameters", Count()),
    "sigma": ColumnStyle("Sigma", Significant()),
    "llf": ColumnStyle("Log lik.", Fixed(2)),
    "logLik": ColumnStyle("Log lik.", Fixed(2)),
    "aic": ColumnStyle("AIC", Fixed(2)),
    "AIC": ColumnStyle("AIC", Fixed(2)),
    "bic": ColumnStyle("BIC", Fixed(2)),
    "BIC": ColumnStyle("BIC", Fixed(2)),
    "deviance": ColumnStyle("Deviance", Fixed(2)),
    "REMLcrit": ColumnStyle("REML crit.", Fixed(2)),
}
"""Column name -> heading and format; a new column needs one line here."""


def style_of(name: str, values: pd.Series, neighbours: Collection[str] = ()) -> ColumnStyle:
    """Look a column up by its name, else judge by what it holds.

    Parameters
    ----------
    name
        Name of the column.
    values : (n,)
    neighbours
        Names of all columns: they tell what kind of test a statistic belongs to.
    """
    if name == "statistic" and "estimate" not in neighbours:
        return COLUMNS["F" if "den_df" in neighbours else "chisq"]
    labels = isinstance(values.dtype, pd.CategoricalDtype | pd.StringDtype)
    if name in COLUMNS and not (labels and COLUMNS[name].format.numeric):  # a factor named `t`
        return COLUMNS[name]
    if types.is_bool_dtype(values) or not types.is_numeric_dtype(values):
        return ColumnStyle(name, Text())
    return ColumnStyle(name, Count() if types.is_integer_dtype(values) else Significant())
