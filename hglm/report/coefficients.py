"""Coefficient tables of a fit: estimates, tests and intervals in one frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from hglm.fitting.record import Coefficients, Estimates
from hglm.inference.diagnostics.robust_covariance import RobustCovariance, with_ddf
from hglm.inference.tests import Ddf, denominator, row_tests, wald_intervals
from hglm.report.frames import coefficient_frame

__all__ = ["chosen_ddf", "coefficient_table", "default_ddf", "other_tables"]


def default_ddf(estimates: Estimates) -> str:
    """Return ``"satterthwaite"`` for linear models, ``"asymptotic"`` for others."""
    return "satterthwaite" if estimates.method in ("reml", "ml") else "asymptotic"


def chosen_ddf(
    estimates: Estimates, covariance: RobustCovariance | None, ddf: str | float | None
) -> Ddf:
    """Choose a method of degrees of freedom, with the covariance that it goes with.

    Parameters
    ----------
    estimates
        Of the fit.
    covariance
        To be used in place of the model's.
    ddf
        As asked for; None for the default.
    """
    if covariance is not None:
        return with_ddf(covariance, ddf, estimates)
    return default_ddf(estimates) if ddf is None else ddf


def coefficient_table(
    estimates: Estimates, names: Sequence[str], ddf: Ddf | None = None, level: float = 0.95
) -> pd.DataFrame:
    """Tabulate the fixed effects of the mean.

    Parameters
    ----------
    names : (p,)
    ddf
        See `hglm.inference.tests.denominator`; `default_ddf` by default.
    level
        Coverage of the intervals.
    """
    method = denominator(estimates, default_ddf(estimates) if ddf is None else ddf)
    tests = row_tests(estimates.beta, method, np.eye(len(estimates.beta)))
    limits = wald_intervals(estimates, level, method)
    return coefficient_frame(
        names,
        tests.estimate,
        tests.std_error,
        tests.df,
        tests.statistic,
        tests.p_value,
        limits[:, 0],
        limits[:, 1],
    )


def other_tables(estimates: Estimates, level: float = 0.95) -> dict[str, pd.DataFrame]:
    """Tabulate the fixed effects of further predictors, on their link scales.

    Those that are one number, such as the dispersion, are left out but for zero
    inflation: `sigma` or the facts of the summary tell them.
    """
    return {
        name: _normal_table(part, level)
        for name, part in estimates.others.items()
        if len(part.beta) > 1 or name == "zero_inflation"
    }


def _normal_table(part: Coefficients, level: float) -> pd.DataFrame:
    se = np.sqrt(np.diagonal(part.vcov))
    z = np.divide(part.beta, se, out=np.full_like(se, np.nan), where=se > 0)
    half = ndtri(0.5 + 0.5 * level) * se
    p = 2.0 * ndtr(-np.abs(z))
    df = np.full_like(se, np.inf)
    return coefficient_frame(
        part.names, part.beta, se, df, z, p, part.beta - half, part.beta + half
    )
