"""What a meta-analysis reports: the forest table and the prediction interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from hglm.empirical.normal.heterogeneity import Heterogeneity
from hglm.empirical.result import EBayes
from hglm.empirical.student import critical
from hglm.errors import OptionError

__all__ = ["forest_table", "prediction_interval"]


def prediction_interval(
    fit: EBayes, x: Sequence[float] = (1.0,), level: float = 0.95
) -> tuple[float, float, float]:
    """Predict the true value of a new group: estimate, lower and upper end.

    x'β̂ ± c √(x'Var(β̂)x + τ̂²), c from the normal or, under Knapp-Hartung, from
    the t distribution (Higgins, Thompson & Spiegelhalter 2009, JRSS A 172,
    137-159).

    Parameters
    ----------
    fit
        Of `model="normal"` or `"meta"`.
    x : (p,)
        Covariates of the new group; (1,) is the intercept.
    level
        Coverage.
    """
    found = _heterogeneity(fit)
    p = found.X.shape[1]
    at = np.asarray(x, dtype=float)
    if at.shape != (p,):
        raise OptionError(f"`x` has {at.size} numbers but the formula has {p} columns; give {p}.")
    centre = float(at @ fit.coefficients.estimate[:p])
    variance = float(at @ fit.coefficients.vcov[:p, :p] @ at) + found.tau2
    reach = critical(fit.coefficients.df, level) * float(np.sqrt(variance))
    return centre, centre - reach, centre + reach


def forest_table(fit: EBayes, level: float = 0.95) -> pd.DataFrame:
    """Rows of a forest plot: the studies and, without covariates, the summary.

    Columns level, estimate, conf_low, conf_high, weight (per cent) and kind:
    "group", "summary" or "prediction".
    """
    found = _heterogeneity(fit)
    z = critical(np.inf, level)
    weight = 1 / (found.v + found.tau2)
    error = np.sqrt(found.v)
    table = pd.DataFrame(
        {
            "level": fit.levels,
            "estimate": found.y,
            "conf_low": found.y - z * error,
            "conf_high": found.y + z * error,
            "weight": 100 * weight / weight.sum(),
            "kind": "group",
        }
    )
    if found.X.shape[1] != 1 or np.ptp(found.X) > 0:
        return table
    low, high = fit.conf_int(level).iloc[0]
    centre, predicted_low, predicted_high = prediction_interval(fit, found.X[0], level)
    below = pd.DataFrame(
        {
            "level": ["Summary", "Prediction"],
            "estimate": centre,
            "conf_low": [low, predicted_low],
            "conf_high": [high, predicted_high],
            "weight": [100.0, np.nan],
            "kind": ["summary", "prediction"],
        }
    )
    return pd.concat([table, below], ignore_index=True)


def _heterogeneity(fit: EBayes) -> Heterogeneity:
    if fit.heterogeneity is None:
        raise OptionError(
            f"A fit of {fit.model!r} is no meta-analysis; fit model='normal' or model='meta'."
        )
    return fit.heterogeneity
