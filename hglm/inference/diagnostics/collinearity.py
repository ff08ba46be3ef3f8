"""Variance inflation factors of the terms of the fixed part.

With R the correlation matrix of the estimated coefficients, the intercept left out, R_1
that of one term and R_2 that of the others (Fox & Monette 1992, JASA 87, 178-183; R's car
and performance for mixed models),

    GVIF = det R_1 det R_2/det R,     GVIF^(1/(2 df)), comparable between terms.

For one column, GVIF is by how much collinearity inflates the variance of its coefficient.
R is that of β̂, not of X: what counts is collinearity as the model weighs the rows. Factors
of interactions and powers inflate one another without harm; centre them to see.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from hglm.design.arrays import PredictorDesign
from hglm.fitting.record import Estimates
from hglm.typing import Matrix

__all__ = ["vif"]

INTERCEPT = ("1", "Intercept")


def vif(estimates: Estimates, design: PredictorDesign) -> pd.DataFrame:
    """Tabulate the variance inflation factors.

    Parameters
    ----------
    estimates
        Of the fit.
    design
        Of the mean.

    Returns
    -------
    frame
        `term, df, gvif, gvif_scaled`, a row a term with columns; empty where there are
        fewer than two.
    """
    terms = {
        name: list(columns)
        for name, columns in design.terms.items()
        if columns and name not in INTERCEPT
    }
    columns = [j for positions in terms.values() for j in positions]
    rows = []
    if len(terms) > 1:
        everything = _log_det(estimates.vcov, columns)
        for name, own in terms.items():
            rest = [j for j in columns if j not in own]
            log = _log_det(estimates.vcov, own) + _log_det(estimates.vcov, rest) - everything
            rows.append((name, len(own), np.exp(log), np.exp(log / (2.0 * len(own)))))
    return pd.DataFrame(rows, columns=["term", "df", "gvif", "gvif_scaled"])


def _log_det(vcov: Matrix, columns: Sequence[int]) -> float:
    """Log determinant of the correlation matrix of some coefficients."""
    part = vcov[np.ix_(columns, columns)]
    size = np.sqrt(np.diagonal(part))
    return float(np.linalg.slogdet(part / np.outer(size, size))[1])
