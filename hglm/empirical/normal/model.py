"""The normal-normal model: estimates with known standard errors.

y_i ~ N(θ_i, v_i),  θ_i ~ N(x_i'β, τ²): random-effects meta-analysis and
meta-regression, small-area (Fay-Herriot) estimation, and the oldest empirical
Bayes model. The estimators of τ² are in `tau2`, the posteriors in `posterior`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hglm.empirical.build import fingerprint
from hglm.empirical.frame import ModelFrame
from hglm.empirical.noise import NormalNoise
from hglm.empirical.normal.heterogeneity import Heterogeneity, heterogeneity
from hglm.empirical.normal.likelihood import log_likelihood
from hglm.empirical.normal.posterior import integrated, morris, plug_in
from hglm.empirical.normal.projection import Projection, project
from hglm.empirical.normal.tau2 import Tau2, estimate_tau2
from hglm.empirical.parts import Coefficients, Hyperparameter, Likelihood, TermPosterior
from hglm.empirical.posterior import Posterior
from hglm.empirical.read import group_covariates, read_normal, require_groups
from hglm.empirical.result import EBayes
from hglm.errors import OptionError
from hglm.typing import Matrix, Vector

__all__ = ["Normal"]

_INTERVALS = ("plug-in", "morris", "integrated")
_TESTS = ("z", "knapp-hartung")
_ZERO_NOTE = (
    "The estimated variance between groups, tau2, is zero: the estimates differ no more than "
    "their standard errors explain. The likelihood of tau2 is largest at zero but usually not "
    "much smaller nearby, so plug-in intervals are too short; Normal(intervals='integrated') "
    "averages over tau2."
)


@dataclass(frozen=True, slots=True)
class Normal:
    """Normal model: `y ~ covariates | group` with `se`, or with replicated rows.

    Use it for estimates with normal errors whose true values scatter normally:
    meta-analysis, small areas, many noisy means. Not for true effects that are
    mostly zero with a few large ones, which it shrinks too much (use
    `PointNormal`, `Unimodal` or `NPMLE`), nor for few trials of a rare event,
    whose standard errors are not known (use `BetaBinomial`).

    Parameters
    ----------
    method
        Estimator of τ²: "reml", "ml", "dl" (DerSimonian-Laird), "pm"
        (Paule-Mandel), "eb" (Morris; the same), "he", "hs", "sj", or "fe" for
        a common effect without τ².
    test
        "z", or "knapp-hartung": t statistics with variances scaled by the
        weighted residual mean square, for few groups.
    intervals
        Posterior of each group: "plug-in" (τ² taken as known: 95 % intervals
        cover as little as 80 % with few groups), "morris" (corrected for the
        estimation of τ²), "integrated" (averaged over τ).
    """

    method: str = "reml"
    test: str = "z"
    intervals: str = "plug-in"

    def __post_init__(self) -> None:
        if self.intervals not in _INTERVALS:
            raise OptionError(f"`intervals` is one of {_INTERVALS}, not {self.intervals!r}.")
        if self.test not in _TESTS:
            raise OptionError(f"`test` is one of {_TESTS}, not {self.test!r}.")

    def fit(self, frame: ModelFrame) -> EBayes:
        """Estimate the prior and every group's posterior."""
        X = group_covariates(frame)
        require_groups(frame, X.shape[1] + 1)
        require_groups(frame)
        data = read_normal(frame)
        tau2, at, scale = _estimate(self, data, X)
        coefficients = _coefficients(self, frame, tau2, at, scale)
        reml = self.method == "reml"
        k, p = X.shape
        singular = tau2.value == 0 and self.method != "fe"
        return EBayes(
            formula=frame.formula.text,
            model=f"normal-normal ({self.method.upper()}, {self.intervals} intervals)",
            group=frame.group,
            levels=frame.levels,
            coefficients=coefficients,
            derived=_derived(tau2),
            terms=(_term(self, data, X, tau2, at, scale),),
            prior_table=pd.DataFrame(
                {"term": coefficients.names, "estimate": coefficients.estimate}
            ),
            likelihood=Likelihood(
                value=log_likelihood(data.estimate, X, data.std_error**2, tau2.value, reml),
                n_parameters=float(p + (self.method != "fe")),
                nobs=k,
                kind="reml" if reml else "ml" if self.method in ("ml", "fe") else "plug-in",
                data=fingerprint("normal", data.rows()),
                bic_size=k - p if reml else k,
            ),
            certificate=tau2.certificate,
            singular=singular,
            heterogeneity=_heterogeneity(self, data, X, tau2),
            notes=frame.notes + _notes(frame, singular),
        )


def _estimate(model: Normal, data: NormalNoise, X: Matrix) -> tuple[Tau2, Projection, float]:
    """τ², the regression at it, and the factor on the covariance of β̂."""
    y, v = data.estimate, data.std_error**2
    tau2 = estimate_tau2(model.method, y, X, v)
    at = project(y, X, 1 / (v + tau2.value))
    df = y.size - X.shape[1]
    return tau2, at, at.quadratic / df if model.test == "knapp-hartung" else 1.0


def _coefficients(
    model: Normal, frame: ModelFrame, tau2: Tau2, at: Projection, scale: float
) -> Coefficients:
    """β̂ and τ̂², which is asymptotically independent of it."""
    p = at.beta.size
    df = frame.n_groups - p if model.test == "knapp-hartung" else np.inf
    if model.method == "fe":
        return Coefficients(frame.names, at.beta, scale * at.cov, np.zeros(p, dtype=bool), df)
    vcov = np.zeros((p + 1, p + 1))
    vcov[:p, :p] = scale * at.cov
    vcov[p, p] = tau2.std_error**2
    bounded = np.append(np.zeros(p, dtype=bool), True)
    names = (*frame.names, "tau2")
    return Coefficients(names, np.append(at.beta, tau2.value), vcov, bounded, df)


def _term(
    model: Normal, data: NormalNoise, X: Matrix, tau2: Tau2, at: Projection, scale: float
) -> TermPosterior:
    y, v = data.estimate, data.std_error**2
    posterior: Posterior
    if model.intervals == "integrated":
        posterior, shrinkage = integrated(y, X, v)
    elif model.intervals == "morris":
        posterior, shrinkage = morris(y, X, v, tau2.value)
    else:
        posterior, shrinkage = plug_in(y, X, v, tau2.value, scale)
    prior_mean: Vector = X @ at.beta
    return TermPosterior("mean", y, data.std_error, prior_mean, posterior, shrinkage)


def _derived(tau2: Tau2) -> tuple[Hyperparameter, ...]:
    tau = float(np.sqrt(tau2.value))
    error = tau2.std_error / (2 * tau) if tau > 0 else np.nan
    return (Hyperparameter("tau", tau, error, "log"),)


def _heterogeneity(model: Normal, data: NormalNoise, X: Matrix, tau2: Tau2) -> Heterogeneity:
    y, v = data.estimate, data.std_error**2
    constant = np.ones((y.size, 1))
    alone = X.shape[1] == 1 and bool(np.ptp(X) == 0)
    null = np.nan if alone else estimate_tau2(model.method, y, constant, v).value
    return heterogeneity(y, X, v, tau2, model.method, null)


def _notes(frame: ModelFrame, singular: bool) -> tuple[str, ...]:
    notes = []
    if frame.se is None:
        df = frame.codes.size - frame.n_groups
        notes.append(
            f"Standard errors come from the variance within groups, pooled over {df} degrees of "
            "freedom and then taken as known."
        )
    return (*notes, _ZERO_NOTE) if singular else tuple(notes)
