"""What a fit has found, under statsmodels' names: nothing here is computed anew."""

from __future__ import annotations

from abc import ABC
from dataclasses import replace

import numpy as np
import pandas as pd

from hglm.design import Design
from hglm.fitting.certificate import Certificate
from hglm.fitting.record import Coefficients, Estimates
from hglm.inference.diagnostics.robust_covariance import RobustCovariance
from hglm.typing import Matrix, Vector

__all__ = ["Estimated"]


class Estimated(ABC):
    """Names for the numbers of a fit; `hglm.result.Fit` is the fit itself."""

    design: Design
    estimates: Estimates
    covariance: RobustCovariance | None

    @property
    def params(self) -> pd.Series:
        """Fixed effects."""
        return self._by_name(self.estimates.beta)

    @property
    def bse(self) -> pd.Series:
        """Standard errors of the fixed effects."""
        return self._by_name(np.sqrt(np.diagonal(self._vcov)))

    @property
    def tvalues(self) -> pd.Series:
        """Fixed effects over their standard errors."""
        return self.params / self.bse

    def cov_params(self) -> pd.DataFrame:
        """Covariance matrix of the fixed effects."""
        names = list(self.design.mean.names)
        return pd.DataFrame(self._vcov, names, names)

    @property
    def others(self) -> dict[str, Coefficients]:
        """Fixed effects of further predictors: ``"dispersion"``, ``"zero_inflation"``, ..."""
        known = {} if self.covariance is None else self.covariance.others
        return {
            name: replace(part, vcov=known.get(name, part.vcov))
            for name, part in self.estimates.others.items()
        }

    @property
    def llf(self) -> float:
        """Log likelihood; the restricted one for REML."""
        return float(self.estimates.llf)

    @property
    def deviance(self) -> float:
        """Minus twice the log likelihood (lme4's REML criterion or deviance)."""
        return float(self.estimates.deviance)

    @property
    def aic(self) -> float:
        """Akaike's information criterion."""
        return float(self.estimates.aic)

    @property
    def bic(self) -> float:
        """Schwarz's information criterion."""
        return float(self.estimates.bic)

    @property
    def nobs(self) -> float:
        """Number of observations."""
        return self.estimates.nobs

    @property
    def n_parameters(self) -> int:
        """Number of parameters: fixed effects, covariance parameters, dispersion."""
        return self.estimates.n_parameters

    @property
    def df_resid(self) -> float:
        """Observations less parameters (lme4's `df.residual`)."""
        return self.nobs - self.n_parameters

    @property
    def sigma(self) -> float | None:
        """Residual standard deviation; for other families what stands for it."""
        return self.estimates.sigma

    @property
    def theta(self) -> Vector:
        """(m,) covariance parameters, relative to `sigma` in linear models."""
        return self.estimates.theta

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
        """Whether a variance is zero or a correlation ±1 at the optimum."""
        return self.certificate.singular

    @property
    def method(self) -> str:
        """``"reml"``, ``"ml"``, ``"laplace"`` or ``"quadrature"``."""
        return self.estimates.method

    @property
    def _vcov(self) -> Matrix:
        return self.estimates.vcov if self.covariance is None else self.covariance.vcov

    def _by_name(self, values: Vector) -> pd.Series:
        return pd.Series(values, index=pd.Index(self.design.mean.names))
