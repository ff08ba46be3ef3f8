"""`MeasurementFit`: a linear model with a covariate measured with error, fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from hglm.design import Design, DesignSpec
from hglm.design.arrays import Measured
from hglm.errors import OptionError
from hglm.fitting.certificate import Certificate
from hglm.fitting.estimate import random_part
from hglm.fitting.record import Estimates, TermEstimate
from hglm.formula import ModelFormula
from hglm.inference.predict import prediction_rows
from hglm.measurement.arrays import fixed_positions, latent_columns
from hglm.measurement.estimate import ErrorsInVariablesFit
from hglm.measurement.summary import summarise_measurement
from hglm.measurement.tables import normal_frame, ranef_frame
from hglm.report import Report, augment_frame, tidy_frame
from hglm.report.frames import components_frame
from hglm.typing import Codes, Frame, Vector

__all__ = ["MeasurementFit"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MeasurementFit:
    """A fitted model with a covariate measured with error, `me(x, se)`.

    The names are those of `Fit`. The likelihood is that of the response and the
    measurements together, so `llf`, `aic` and `bic` compare only with other fits
    of this kind to the same rows. Standard errors come from the observed
    information of all parameters.
    """

    formula: ModelFormula
    design: Design
    spec: DesignSpec
    measured: Measured
    estimates: ErrorsInVariablesFit
    uncorrected: Estimates
    """Maximum-likelihood fit of the same formula that takes the measurements as exact."""
    terms: tuple[TermEstimate, ...]
    """The random effects: one term, or none."""

    def __repr__(self) -> str:
        return f"<hglm.MeasurementFit: {self.formula.text.strip()}, log likelihood {self.llf:.4f}>"

    # Fixed effects ------------------------------------------------------------------

    @property
    def params(self) -> pd.Series:
        """Fixed effects; that of the measured covariate is the slope of its true value."""
        return self._by_name(self.estimates.parameters.pack()[self._fixed])

    @property
    def bse(self) -> pd.Series:
        """Their standard errors."""
        return self._by_name(np.sqrt(np.diagonal(self.estimates.vcov))[self._fixed])

    @property
    def tvalues(self) -> pd.Series:
        """Fixed effects over their standard errors."""
        return self.params / self.bse

    @property
    def pvalues(self) -> pd.Series:
        """P-values of normal tests."""
        return self._by_name(self.coefficients()["p_value"].to_numpy())

    def cov_params(self) -> pd.DataFrame:
        """Covariance matrix of the fixed effects."""
        names = list(self.design.mean.names)
        return pd.DataFrame(self.estimates.vcov[np.ix_(self._fixed, self._fixed)], names, names)

    def conf_int(self, level: float = 0.95) -> pd.DataFrame:
        """Wald intervals of the fixed effects, columns conf_low and conf_high."""
        return (
            self.coefficients(level).set_index("term")[["conf_low", "conf_high"]].rename_axis(None)
        )

    def coefficients(self, level: float = 0.95) -> pd.DataFrame:
        """Tabulate the fixed effects: estimate, standard error, normal test, interval."""
        vcov = self.cov_params().to_numpy()
        return normal_frame(self.design.mean.names, self.params.to_numpy(), vcov, level)

    # The covariate ------------------------------------------------------------------

    @property
    def covariate(self) -> str:
        """Name of the measured covariate among the fixed effects."""
        return self.design.mean.names[self.measured.column]

    @property
    def naive(self) -> pd.Series:
        """Fixed effects when the measurements are taken as exact (maximum likelihood)."""
        return self._by_name(self.uncorrected.beta)

    @property
    def attenuation(self) -> float:
        """Naive slope over corrected slope: 1 where error does no harm."""
        return float(self.naive[self.covariate] / self.params[self.covariate])

    @property
    def reliability(self) -> pd.Series:
        """Reliability of each measurement, σ_x²/(σ_x² + se²), other covariates given."""
        return pd.Series(self.estimates.reliability, self.design.index, name="reliability")

    @property
    def latent_sd(self) -> float:
        """σ_x: standard deviation of the true covariate, other covariates given."""
        return float(np.exp(self.estimates.parameters.log_sigma_x))

    @property
    def latent_mean(self) -> float:
        """Mean of the true covariate over the rows."""
        return float(np.mean(self._latent_fit))

    @property
    def latent_variance(self) -> float:
        """Variance of the true covariate over the rows, what others explain included."""
        return float(np.var(self._latent_fit)) + self.latent_sd**2

    def latent_coefficients(self, level: float = 0.95) -> pd.DataFrame:
        """Tabulate the regression of the true covariate on the other covariates."""
        alpha = self.estimates.parameters.alpha
        names = latent_columns(self.design, self.measured)[1]
        return normal_frame(names, alpha, self.estimates.vcov[: len(alpha), : len(alpha)], level)

    def latent(self) -> pd.DataFrame:
        """Best estimate of every true value: measured, se, reliability, estimate, std_error."""
        return pd.DataFrame(
            {
                "measured": self.design.mean.X[:, self.measured.column],
                "se": self.measured.se,
                "reliability": self.estimates.reliability,
                "estimate": self.estimates.latent.x,
                "std_error": self.estimates.latent.x_sd,
            },
            index=self.design.index,
        )

    # Fit and variance components ----------------------------------------------------

    @property
    def llf(self) -> float:
        """Log likelihood of response and measurements together."""
        return self.estimates.llf

    @property
    def llf_response(self) -> float:
        """Log density of the response given the measurements, at the estimates."""
        return self.estimates.latent.llf_response

    @property
    def deviance(self) -> float:
        """Minus twice the log likelihood."""
        return -2.0 * self.llf

    @property
    def aic(self) -> float:
        """Akaike's information criterion."""
        return self.deviance + 2.0 * self.n_parameters

    @property
    def bic(self) -> float:
        """Schwarz's information criterion."""
        return self.deviance + float(np.log(self.nobs)) * self.n_parameters

    @property
    def nobs(self) -> float:
        """Number of observations."""
        return self.design.nobs

    @property
    def n_parameters(self) -> int:
        """Number of parameters, those of the true covariate included."""
        return self.estimates.n_parameters

    @property
    def df_resid(self) -> float:
        """Observations less parameters."""
        return self.nobs - self.n_parameters

    @property
    def sigma(self) -> float:
        """Residual standard deviation, free of the measurement error."""
        return float(np.exp(self.estimates.parameters.log_sigma))

    @property
    def varcorr(self) -> pd.DataFrame:
        """Variance components: columns `group, term1, term2, vcov, sdcor`."""
        return components_frame(self.terms, self.sigma)

    @property
    def method(self) -> str:
        """``"ml"``."""
        return "ml"

    @property
    def certificate(self) -> Certificate:
        """Evidence of convergence."""
        return self.estimates.certificate

    @property
    def converged(self) -> bool:
        """Whether the optimum was reached."""
        return self.certificate.converged

    @property
    def singular(self) -> bool:
        """Whether a variance of random effects is zero or a correlation ±1."""
        return self.certificate.singular

    def ranef(self, level: float = 0.95) -> pd.DataFrame:
        """Random effects of every level, with intervals and shrinkage."""
        return ranef_frame(self.terms, self.estimates.latent.covariances, level)

    # Rows ---------------------------------------------------------------------------

    @property
    def fittedvalues(self) -> pd.Series:
        """Fitted means at the best estimates of the true covariate, random effects included."""
        return self.predict().rename("fitted")

    @property
    def resid(self) -> pd.Series:
        """Response minus fitted mean."""
        return pd.Series(self.design.y - self.fittedvalues, name="resid")

    def predict(
        self,
        data: Frame | None = None,
        *,
        random: Literal["all", "none"] = "all",
        new_levels: Literal["error", "population"] = "error",
    ) -> pd.Series:
        """Predict rows whose true covariate is known.

        Parameters
        ----------
        data
            New rows that hold the true covariate under the name of the measurement;
            standard errors are not needed. By default the rows of the fit, at the
            best estimates of their true covariate.
        random
            ``"all"`` to condition on the grouping factor, ``"none"`` for the population.
        new_levels
            ``"error"``, or ``"population"``: their effects are zero.
        """
        if random not in ("all", "none"):
            raise OptionError(f'The option random={random!r} is neither "all" nor "none".')
        if new_levels not in ("error", "population"):
            raise OptionError(
                f'The option new_levels={new_levels!r} is neither "error" nor "population".'
            )
        rows = prediction_rows(self.design, self.spec, data, random=random, new_levels=new_levels)
        X = rows.mean.X
        if data is None:
            X = X.copy()
            X[:, self.measured.column] = self.estimates.latent.x
        modes = {i: t.modes for i, t in enumerate(self.terms) if random == "all"}
        eta = X @ self.params.to_numpy() + random_part(rows.mean, modes)
        out = np.full(len(rows.index), np.nan)
        out[rows.kept] = eta if rows.mean.offset is None else eta + rows.mean.offset
        return pd.Series(out, index=rows.index, name="fit")

    # Tables -------------------------------------------------------------------------

    def tidy(self, level: float = 0.95) -> pd.DataFrame:
        """Tabulate fixed effects and variance components in broom.mixed's columns."""
        return tidy_frame(self.coefficients(level), self.varcorr)

    def glance(self) -> pd.DataFrame:
        """Describe the fit in one row, broom's columns."""
        return pd.DataFrame(
            {
                "nobs": [self.nobs],
                "sigma": [self.sigma],
                "logLik": [self.llf],
                "AIC": [self.aic],
                "BIC": [self.bic],
                "deviance": [self.deviance],
                "df_residual": [self.df_resid],
            }
        )

    def augment(self) -> pd.DataFrame:
        """Return the data of the rows used with fitted values and the true covariate's."""
        latent = self.estimates.latent
        return augment_frame(
            self.design.frame.set_axis(self.design.index),
            fitted=self.fittedvalues.to_numpy(),
            resid=self.resid.to_numpy(),
            fixed=self.predict(random="none").to_numpy(),
            extra={"latent": latent.x, "latent_sd": latent.x_sd},
        )

    def summary(self, level: float | None = None) -> Report:
        """Everything on one page: prints as text, shows as HTML in a notebook.

        Parameters
        ----------
        level
            Coverage of confidence intervals; none are shown by default.
        """
        return summarise_measurement(
            self.design,
            self.measured,
            self.estimates,
            self.uncorrected,
            self.terms,
            formula=self.formula.text.strip(),
            glance=self.glance(),
            coefficients=self.coefficients(0.95 if level is None else level),
            latent=self.latent_coefficients(),
            level=level,
        )

    @property
    def _fixed(self) -> Codes:
        at = self.estimates.parameters
        sizes = len(at.alpha), len(at.gamma), len(at.Lambda)
        return fixed_positions(sizes, self.measured.column)

    @property
    def _latent_fit(self) -> Vector:
        columns = latent_columns(self.design, self.measured)[0]
        out: Vector = columns @ self.estimates.parameters.alpha
        return out

    def _by_name(self, values: Vector) -> pd.Series:
        return pd.Series(values, index=pd.Index(self.design.mean.names))
