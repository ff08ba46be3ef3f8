"""Tables of tests, one row a term of the fixed part."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hglm.fitting.record import Estimates
from hglm.inference.contrasts import AnovaType, term_contrasts
from hglm.inference.terms import FixedTerms
from hglm.inference.tests import Ddf, denominator, joint_test

__all__ = ["anova_table"]


def anova_table(
    estimates: Estimates,
    terms: FixedTerms,
    type: AnovaType = 3,  # noqa: A002
    ddf: Ddf = "satterthwaite",
) -> pd.DataFrame:
    """Test every term of the fixed part.

    Parameters
    ----------
    estimates
        Of the model.
    terms
        From `fixed_terms`.
    type
        1 (sequential), 2 (hierarchical), 3 (marginal), or ``"coefficients"``
        (as coded; with the intercept); see `hglm.inference.contrasts`.
    ddf
        See `denominator`.

    Returns
    -------
    DataFrame
        Index `term`; F tests with `sum_sq, mean_sq, num_df, den_df, statistic,
        p_value`, or for ``"asymptotic"`` chi-square tests with `statistic, df,
        p_value`. `mean_sq` is the Wald statistic before Kenward and Roger's
        scaling, over its rank, times σ² (as in lmerTest); there is none for a
        prepared method, whose covariance need not be that of the model.
    """
    method = denominator(estimates, ddf)
    contrasts = term_contrasts(terms, type)
    index = pd.Index(list(contrasts), name="term")
    tests = [joint_test(estimates.beta, method, rows) for rows in contrasts.values()]
    num_df = np.array([t.num_df for t in tests], dtype=np.int64)
    F = np.array([t.F for t in tests], dtype=np.float64)
    p_value = np.array([t.p_value for t in tests], dtype=np.float64)
    den_df = np.array([t.den_df for t in tests], dtype=np.float64)
    prepared = not isinstance(ddf, (str, int, float))
    if np.isinf(den_df).all() if prepared else ddf == "asymptotic":
        columns = {"statistic": F * num_df, "df": num_df, "p_value": p_value}
        return pd.DataFrame(columns, index=index)
    columns = {"num_df": num_df, "den_df": den_df, "statistic": F, "p_value": p_value}
    if prepared:
        return pd.DataFrame(columns, index=index)
    scaling = np.array([t.scaling for t in tests], dtype=np.float64)
    sigma2 = np.nan if estimates.sigma is None else estimates.sigma**2
    mean_sq = F / scaling * sigma2
    return pd.DataFrame({"sum_sq": mean_sq * num_df, "mean_sq": mean_sq, **columns}, index=index)
