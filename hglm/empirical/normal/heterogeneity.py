"""How much estimates differ beyond chance: Q, I², H² and intervals of τ²."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from hglm.empirical.normal.projection import project
from hglm.empirical.normal.tau2 import Tau2, solve_quadratic_form
from hglm.typing import Matrix, Vector

__all__ = ["Heterogeneity", "heterogeneity", "q_profile"]


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """Heterogeneity of k estimates after p coefficients."""

    tau2: float
    tau2_se: float
    q: float
    """Cochran's Q: the weighted residual sum of squares under τ² = 0."""
    q_df: int
    q_p: float
    i2: float
    """Share of the variance that is not sampling error, per cent (Higgins & Thompson 2002)."""
    h2: float
    """Total variance over sampling variance."""
    r2: float
    """Share of τ² that the covariates account for, per cent; missing without covariates."""
    typical_variance: float
    """The sampling variance that I² and H² compare τ² with."""
    y: Vector
    """(k,) estimates, kept for the Q-profile interval."""
    X: Matrix
    """(k, p)"""
    v: Vector
    """(k,) sampling variances."""

    def table(self, level: float = 0.95) -> pd.DataFrame:
        """τ², τ, I² and H² with Q-profile intervals (Viechtbauer 2007)."""
        low, high = q_profile(self.y, self.X, self.v, level)
        s2 = self.typical_variance
        rows = [
            ("tau2", self.tau2, low, high),
            ("tau", self.tau2**0.5, low**0.5, high**0.5),
            ("I2", self.i2, 100 * low / (low + s2), 100 * high / (high + s2)),
            ("H2", self.h2, low / s2 + 1, high / s2 + 1),
        ]
        return pd.DataFrame(rows, columns=["term", "estimate", "conf_low", "conf_high"])

    def test(self) -> pd.DataFrame:
        """Cochran's test of homogeneity."""
        return pd.DataFrame({"statistic": [self.q], "df": [self.q_df], "p_value": [self.q_p]})


def heterogeneity(
    y: Vector, X: Matrix, v: Vector, tau2: Tau2, method: str, null_tau2: float
) -> Heterogeneity:
    """Summarise heterogeneity.

    Parameters
    ----------
    y : (k,)
    X : (k, p)
    v : (k,)
    tau2
        Estimate of the variance between parameters.
    method
        Its estimator: under "fe" I² and H² come from Q alone.
    null_tau2
        The same estimate without covariates, missing if there are none.
    """
    fixed = project(y, X, 1 / v)
    df = y.size - X.shape[1]
    typical = df / fixed.trace()
    if method == "fe":
        h2 = fixed.quadratic / df
        i2 = 100 * max(0.0, 1 - 1 / h2) if h2 > 0 else 0.0
    else:
        h2 = tau2.value / typical + 1
        i2 = 100 * tau2.value / (tau2.value + typical)
    r2 = 100 * max(0.0, 1 - tau2.value / null_tau2) if null_tau2 > 0 else np.nan
    return Heterogeneity(
        tau2=tau2.value,
        tau2_se=tau2.std_error,
        q=fixed.quadratic,
        q_df=df,
        q_p=float(special.chdtrc(df, fixed.quadratic)),
        i2=i2,
        h2=h2,
        r2=r2,
        typical_variance=typical,
        y=y,
        X=X,
        v=v,
    )


def q_profile(y: Vector, X: Matrix, v: Vector, level: float) -> tuple[float, float]:
    """Interval of τ²: all values at which Q(τ²) is no surprise under χ²(k − p)."""
    df = y.size - X.shape[1]
    tail = 0.5 * (1 - level)
    upper, lower = special.chdtri(df, tail), special.chdtri(df, 1 - tail)
    low, _ = solve_quadratic_form(y, X, v, float(upper))
    high, _ = solve_quadratic_form(y, X, v, float(lower))
    return low, high
