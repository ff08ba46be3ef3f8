"""The record of an empirical Bayes fit, complete when made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hglm.empirical import tables
from hglm.empirical.certificate import Certificate
from hglm.empirical.normal.heterogeneity import Heterogeneity
from hglm.empirical.parts import Coefficients, Hyperparameter, Likelihood, TermPosterior
from hglm.empirical.summary import summary_report
from hglm.report import Report

__all__ = ["EBayes"]


@dataclass(frozen=True, slots=True)
class EBayes:
    """A prior learnt from groups, and every group's posterior under it.

    `params` holds what was estimated by (marginal) likelihood, on the scale of
    the linear predictor of the prior mean; `hyperparameters()` the same prior
    in the usual terms. AIC and BIC count groups: they are the independent units
    of the marginal likelihood.
    """

    formula: str
    model: str
    """What was fitted, in words."""
    group: str
    """Name of the grouping factor."""
    levels: pd.Index[Any]
    """(G,) labels of the groups."""
    coefficients: Coefficients
    derived: tuple[Hyperparameter, ...]
    terms: tuple[TermPosterior, ...]
    """Posteriors: one term, or one for each parameter of a group."""
    prior_table: pd.DataFrame
    """The estimated prior as a frame."""
    likelihood: Likelihood
    certificate: Certificate
    singular: bool
    """Whether the estimated spread of the prior is zero."""
    heterogeneity: Heterogeneity | None
    """Of a meta-analysis: Q, I², H², τ²."""
    notes: tuple[str, ...]

    @property
    def params(self) -> pd.Series[float]:
        """Estimates."""
        return pd.Series(self.coefficients.estimate, index=self._names(), name="estimate")

    @property
    def bse(self) -> pd.Series[float]:
        """Standard errors; missing for parameters on a bound."""
        errors = np.sqrt(np.diagonal(self.coefficients.vcov))
        return pd.Series(errors, index=self._names(), name="std_error")

    @property
    def tvalues(self) -> pd.Series[float]:
        """Estimates over standard errors."""
        return (self.params / self.bse).rename("statistic")

    @property
    def pvalues(self) -> pd.Series[float]:
        """Two-sided p-values for zero; missing where zero is a bound."""
        return tables.p_values(self.coefficients)

    @property
    def llf(self) -> float:
        """Log marginal likelihood."""
        return self.likelihood.value

    @property
    def aic(self) -> float:
        """Akaike's criterion."""
        return self.likelihood.aic

    @property
    def bic(self) -> float:
        """Schwarz's criterion, on the number of groups."""
        return self.likelihood.bic

    @property
    def nobs(self) -> int:
        """Number of groups."""
        return self.likelihood.nobs

    @property
    def n_parameters(self) -> float:
        """Number of parameters of the prior; missing for nonparametric ones."""
        return self.likelihood.n_parameters

    @property
    def converged(self) -> bool:
        """Whether the certificate holds."""
        return self.certificate.converged

    def cov_params(self) -> pd.DataFrame:
        """Covariance of the estimates."""
        names = self._names()
        return pd.DataFrame(self.coefficients.vcov, index=names, columns=names)

    def conf_int(self, level: float = 0.95) -> pd.DataFrame:
        """Wald intervals of `params`, columns conf_low and conf_high."""
        return tables.wald_intervals(self.coefficients, level)

    def hyperparameters(self, level: float = 0.95) -> pd.DataFrame:
        """Give the prior in its usual parameters, with delta-method intervals."""
        return tables.hyperparameter_table(self.derived, level)

    def prior(self) -> pd.DataFrame:
        """Give the estimated prior: support and mass, components, or parameters."""
        return self.prior_table.copy()

    def ranef(self, level: float = 0.95) -> pd.DataFrame:
        """Posterior of every group's parameter, on its own scale.

        Columns group, level, term, estimate (posterior mean), std_error
        (posterior sd), conf_low, conf_high (equal-tailed credible interval) and
        shrinkage (0: the group's own data, 1: the prior mean).
        """
        return tables.shrinkage_table(self.group, self.levels, self.terms, level)

    def augment(self, level: float = 0.95) -> pd.DataFrame:
        """`ranef()` beside each group's own estimate and prior mean."""
        return tables.augmented_table(self.group, self.levels, self.terms, level)

    def quantiles(self, probabilities: tuple[float, ...] = (0.025, 0.5, 0.975)) -> pd.DataFrame:
        """Posterior quantiles, one column a probability."""
        return tables.quantile_table(self.group, self.levels, self.terms, probabilities)

    def signs(self, at: float = 0.0) -> pd.DataFrame:
        """Local false discovery and false sign rates against `at`."""
        return tables.sign_table(self.group, self.levels, self.terms, at)

    def ranks(
        self, rng: np.random.Generator, draws: int = 4000, level: float = 0.95
    ) -> pd.DataFrame:
        """Posterior ranks (1 is the largest) with credible intervals."""
        return tables.rank_table(self.group, self.levels, self.terms, rng, draws, level)

    def tidy(self, level: float = 0.95) -> pd.DataFrame:
        """`params` with errors, tests and intervals: broom's columns."""
        return tables.tidy_table(self.coefficients, level)

    def glance(self) -> pd.DataFrame:
        """One row about the fit."""
        return tables.glance_table(self.model, self.likelihood, self.certificate, self.singular)

    def summary(self) -> Report:
        """Write everything on one page: prints as text, shows as HTML in a notebook."""
        sections = [("Parameters", self.tidy()), ("Prior", self.hyperparameters())]
        if self.heterogeneity is not None:
            sections.append(("Homogeneity (Cochran's Q)", self.heterogeneity.test()))
            sections.append(("Heterogeneity", self.heterogeneity.table()))
        sections.append((f"Groups ({self.group})", self.ranef().drop(columns="group")))
        facts = {
            "Formula": str(self.formula),
            "Groups": f"{self.nobs}",
            f"Log lik. ({self.likelihood.kind})": f"{self.llf:.4f}",
            "AIC, BIC": f"{self.aic:.2f}, {self.bic:.2f}",
            "Certificate": str(self.certificate),
        }
        return summary_report(f"Empirical Bayes: {self.model}", facts, sections, self.notes)

    def __str__(self) -> str:
        return str(self.summary())

    def _names(self) -> pd.Index[Any]:
        return pd.Index(self.coefficients.names, name="term")
