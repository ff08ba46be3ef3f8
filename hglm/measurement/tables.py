"""Frames of a fit with a covariate measured with error, in the columns of all fits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtr

from hglm.fitting.record import TermEstimate
from hglm.inference.quantiles import critical_value
from hglm.report.frames import coefficient_frame
from hglm.typing import Matrix, Vector

__all__ = ["normal_frame", "ranef_frame"]


def normal_frame(
    names: Sequence[str], estimate: Vector, vcov: Matrix, level: float
) -> pd.DataFrame:
    """Tabulate coefficients with normal tests and intervals.

    Parameters
    ----------
    names, estimate : (m,)
    vcov : (m, m)
    level
        Coverage.
    """
    se = np.sqrt(np.diagonal(vcov))
    z = np.divide(estimate, se, out=np.full_like(se, np.nan), where=se > 0)
    half = critical_value(level) * se
    return coefficient_frame(
        names,
        estimate,
        se,
        np.full_like(se, np.inf),
        z,
        2.0 * ndtr(-np.abs(z)),
        estimate - half,
        estimate + half,
    )


def ranef_frame(terms: Sequence[TermEstimate], conditional: Matrix, level: float) -> pd.DataFrame:
    """Tabulate random effects with intervals and shrinkage, as `Fit.ranef` does.

    Parameters
    ----------
    terms
        One term, or none.
    conditional : (G, k, k)
        Covariance of its effects given the data.
    level
        Coverage.
    """
    parts = []
    for term in terms:
        for a, name in enumerate(term.names):
            sd = np.sqrt(np.maximum(conditional[:, a, a], 0.0))
            prior = term.covariance[a, a]
            half = critical_value(level) * sd
            mode = term.modes[:, a]
            parts.append(
                pd.DataFrame(
                    {
                        "group": term.group,
                        "level": term.levels,
                        "term": name,
                        "estimate": mode,
                        "std_error": sd,
                        "conf_low": mode - half,
                        "conf_high": mode + half,
                        "shrinkage": sd**2 / prior if prior > 0 else 1.0,
                    }
                )
            )
    columns = ["group", "level", "term", "estimate", "std_error", "conf_low", "conf_high"]
    empty = pd.DataFrame(columns=[*columns, "shrinkage"])
    return pd.concat(parts, ignore_index=True) if parts else empty
