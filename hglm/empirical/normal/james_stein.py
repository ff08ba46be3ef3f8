"""James-Stein estimation of many means with equal variances.

y_i ~ N(θ_i, v), i = 1 ... k. Shrinking towards the regression x_i'β̂ with p
coefficients by

    B = (k − p − 2) v / Σ (y_i − x_i'β̂)²

has smaller total squared error than y itself whatever the θ_i, if k − p > 2
(James & Stein 1961; Efron & Morris 1975, JASA 70, 311-319). The positive part
min(B, 1) is better still (Baranchik 1964).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hglm.empirical.build import fingerprint
from hglm.empirical.certificate import Certificate
from hglm.empirical.frame import ModelFrame
from hglm.empirical.normal.likelihood import log_likelihood
from hglm.empirical.normal.projection import project
from hglm.empirical.parts import Coefficients, Hyperparameter, Likelihood, TermPosterior
from hglm.empirical.posterior import NormalPosterior
from hglm.empirical.read import group_covariates, read_normal, require_groups
from hglm.empirical.result import EBayes
from hglm.errors import DataError
from hglm.typing import Vector

__all__ = ["JamesStein", "james_stein_factor"]


@dataclass(frozen=True, slots=True)
class JamesStein:
    """James-Stein estimator: `y ~ 1` (or covariates, or `0`) with one `se`.

    Use it as the classical baseline where all standard errors are equal. Not
    with unequal ones (use "normal"), and not for intervals one wants to rely
    on: the reported spread √(v(1 − B)) takes B as known.

    Parameters
    ----------
    positive_part
        Never shrink beyond the target.
    """

    positive_part: bool = True

    def fit(self, frame: ModelFrame) -> EBayes:
        """Shrink every group's estimate."""
        X = group_covariates(frame)
        require_groups(frame, X.shape[1] + 3)
        data = read_normal(frame)
        y, v = data.estimate, data.std_error**2
        if np.ptp(v) > 1e-8 * v.max():
            raise DataError(
                "James-Stein shrinkage needs equal standard errors; model='normal' is its "
                "counterpart for unequal ones."
            )
        at = project(y, X, 1 / v)
        B = james_stein_factor(at.residual, float(v[0]), X.shape[1], self.positive_part)
        implied = float(v[0]) * max(1 / B - 1, 0.0) if B > 0 else np.inf
        k, p = X.shape
        sd = np.sqrt(v * max(1 - B, 0.0))
        term = TermPosterior(
            "mean",
            y,
            data.std_error,
            X @ at.beta,
            NormalPosterior(y - B * at.residual, sd),
            np.full(k, B),
        )
        return EBayes(
            formula=frame.formula.text,
            model="James-Stein" + (" (positive part)" if self.positive_part else ""),
            group=frame.group,
            levels=frame.levels,
            coefficients=Coefficients(
                frame.names, at.beta, at.cov / max(B, 1e-300), np.zeros(p, dtype=bool)
            ),
            derived=(
                Hyperparameter("shrinkage factor", B, np.nan, "identity"),
                Hyperparameter("implied tau2", implied, np.nan, "log"),
            ),
            terms=(term,),
            prior_table=pd.DataFrame({"term": ["B", "tau2"], "estimate": [B, implied]}),
            likelihood=Likelihood(
                log_likelihood(y, X, v, implied, False) if np.isfinite(implied) else np.nan,
                float(p + 1),
                k,
                "plug-in",
                fingerprint("normal", data.rows()),
                k,
            ),
            certificate=Certificate("closed form", 0.0, 0.0, 1, True),
            singular=bool(implied == 0),
            heterogeneity=None,
            notes=frame.notes,
        )


def james_stein_factor(residual: Vector, v: float, p: int, positive_part: bool) -> float:
    """B = (k − p − 2) v / Σ r², cut at one for the positive part."""
    squares = float(residual @ residual)
    B = (residual.size - p - 2) * v / squares if squares > 0 else 1.0
    return min(B, 1.0) if positive_part else B
