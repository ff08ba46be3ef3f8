"""`Fit`: a fitted model as its user sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from typing import Literal

import numpy as np
import pandas as pd

from hglm.answering import Answering
from hglm.design import Design, DesignSpec
from hglm.estimated import Estimated
from hglm.families import Family
from hglm.fitting.fit_design import fit_like
from hglm.fitting.record import Estimates
from hglm.formula import ModelFormula
from hglm.inference.anova import anova_table
from hglm.inference.conditional import coef_frame, ranef_frame
from hglm.inference.contrasts import AnovaType
from hglm.inference.diagnostics.robust_covariance import RobustCovariance
from hglm.inference.drop_terms import drop_terms
from hglm.inference.predict import Interval, NewLevels
from hglm.inference.predict_data import Scale, predict_data
from hglm.inference.residuals import leverage, residuals
from hglm.inference.response_scale import fitted_means
from hglm.inference.simulate import RandomDraws, simulate
from hglm.inference.terms import FixedTerms, fixed_terms
from hglm.inference.tests import ContrastTest, contrast_test, named_contrast
from hglm.inference.thresholds import (
    design_with_intercept,
    estimates_with_intercept,
    robust_with_intercept,
)
from hglm.inference.variance_explained import VarianceExplained, variance_explained
from hglm.inferring import Inferring
from hglm.pictures import Pictures
from hglm.report import (
    Report,
    augment_frame,
    fit_record,
    glance_frame,
    summarise,
    tidy_frame,
    to_json,
    varcorr_frame,
)
from hglm.report.coefficients import chosen_ddf, coefficient_table, other_tables
from hglm.typing import AnyArray, Frame, Matrix, Vector

__all__ = ["Fit"]


@dataclass(frozen=True, eq=False, repr=False)
class Fit(Estimated, Answering, Inferring):
    """A fitted model.

    Nothing in it changes after it was made; what costs time, such as degrees of
    freedom, is computed when first asked for. Tables are pandas frames.
    """

    formula: ModelFormula
    design: Design
    spec: DesignSpec
    family: Family
    estimates: Estimates
    covariance: RobustCovariance | None = None
    """Of the fixed effects, where it is not that of the model; see `with_cov`."""

    def __repr__(self) -> str:
        return f"<hglm.Fit: {self.formula.text.strip()}, log likelihood {self.llf:.4f}>"

    # Fixed effects ------------------------------------------------------------------

    @property
    def pvalues(self) -> pd.Series:
        """P-values of the fixed effects: t tests with Satterthwaite's df, or z tests."""
        return self._by_name(self._coefficients["p_value"].to_numpy())

    def with_cov(
        self,
        cov: Literal["robust", "CR0", "CR1", "CR2", "model"] = "robust",
        by: str | AnyArray | None = None,
    ) -> Fit:
        """Return the same fit with another covariance of its fixed effects.

        Everything that uses the covariance then uses this one, with its degrees of
        freedom: `bse`, `cov_params`, `summary`, `conf_int`, `tidy`, `anova`, `test`,
        `emmeans`, `emtrends`, `joint_tests`, `others`, and confidence intervals of
        `predict(random="none")`.

        Parameters
        ----------
        cov
            A kind of `robust`, ``"robust"`` for the best there is, or ``"model"``.
        by
            Clusters, as in `robust`.

        Examples
        --------
        >>> import hglm
        >>> fit = hglm.fit("reaction ~ days + (1 | subject)", hglm.load_dataset("sleepstudy"))
        >>> fit.bse.round(2).tolist(), fit.with_cov("robust").bse.round(2).tolist()
        ([9.75, 0.8], [6.82, 1.55])
        """
        if cov == "model":
            return replace(self, covariance=None)
        return replace(self, covariance=self.robust(None if cov == "robust" else cov, by))

    # Random effects -----------------------------------------------------------------

    @property
    def varcorr(self) -> pd.DataFrame:
        """Variance components: columns `group, term1, term2, vcov, sdcor`."""
        return varcorr_frame(self.estimates)

    def ranef(self, level: float = 0.95, beta: bool = False) -> pd.DataFrame:
        """Random effects of every level, with intervals and shrinkage.

        Parameters
        ----------
        level
            Coverage of the intervals.
        beta
            Whether the standard errors include the uncertainty of the fixed
            effects (as in glmmTMB; lme4's do not).
        """
        return ranef_frame(self.estimates, level, beta)

    def coef(self) -> pd.DataFrame:
        """Coefficients of every level: fixed plus random effects."""
        return coef_frame(self.estimates, self.design.mean.names)

    # Rows ---------------------------------------------------------------------------

    @property
    def fittedvalues(self) -> pd.Series:
        """Fitted means of the rows used, random effects included."""
        mean = fitted_means(self.estimates, self.design)
        return pd.Series(mean, index=self.design.index, name="fitted")

    @property
    def resid(self) -> pd.Series:
        """Response minus fitted mean."""
        return self.residuals("response")

    def residuals(self, kind: str = "pearson") -> pd.Series:
        """Residuals: ``"response"``, ``"pearson"``, ``"deviance"``, ``"studentised"``,
        ``"marginal"`` or ``"standardised_marginal"``.
        """  # noqa: D205
        return residuals(self.estimates, self.design, kind)

    def leverage(self) -> pd.Series:
        """Leverage of each row: the derivative of its fitted value in its response."""
        return pd.Series(leverage(self.estimates, self.design), index=self.design.index)

    def predict(
        self,
        data: Frame | None = None,
        *,
        random: str | Sequence[str] = "all",
        scale: Scale = "response",
        interval: Interval | None = None,
        level: float = 0.95,
        new_levels: NewLevels = "error",
        weights: Vector | None = None,
        trials: Vector | float | None = None,
        seed: np.random.Generator | int | None = None,
    ) -> pd.Series | pd.DataFrame:
        """Predict rows.

        Parameters
        ----------
        data
            New rows; those of the fit by default. A row with a missing value is
            predicted as missing.
        random
            Grouping factors to condition on: ``"all"``, ``"none"`` (random effects of
            zero), a name or names; or ``"average"``, the mean over all random effects.
        scale
            ``"response"`` for means, zero inflation included (for an ordinal response
            the probability of each category), or ``"link"``.
        interval
            ``"confidence"`` for the mean, ``"prediction"`` for a new observation.
        level
            Coverage.
        new_levels
            ``"error"``, ``"population"`` (their effects are zero) or ``"sample"``.
        weights, trials
            Precision weights and binomial trials of new observations, for prediction
            intervals.
        seed
            For ``new_levels="sample"``.
        """
        return predict_data(
            self.estimates,
            self.design,
            self.spec,
            data,
            random=random,
            scale=scale,
            interval=interval,
            level=level,
            new_levels=new_levels,
            weights=weights,
            trials=trials,
            robust=self.covariance,
            rng=seed,
        )

    def simulate(
        self,
        n: int = 1,
        seed: np.random.Generator | int | None = None,
        random: RandomDraws = "new",
    ) -> pd.DataFrame:
        """Draw n new responses from the fitted model, one a column.

        Parameters
        ----------
        n
            Number of draws.
        seed
            Generator or seed.
        random
            ``"new"`` random effects for each draw, or the ``"conditional"`` modes.
        """
        draws = simulate(self.estimates, self.design, n, seed, random)
        return pd.DataFrame(draws, index=self.design.index)

    # Tests and tables ---------------------------------------------------------------

    def anova(self, type: AnovaType = 3, ddf: str | None = None) -> pd.DataFrame:  # noqa: A002
        """Test every term of the fixed part.

        Parameters
        ----------
        type
            1 (sequential), 2 (hierarchical), 3 (marginal), or ``"coefficients"``.
        ddf
            ``"satterthwaite"`` (default of linear models), ``"kenward-roger"``, or
            ``"asymptotic"`` for chi-square tests (default of others).
        """
        estimates, covariance = self.estimates, self.covariance
        if self._ordinal:
            estimates = estimates_with_intercept(estimates)
            covariance = covariance and robust_with_intercept(covariance)
        return anova_table(estimates, self.terms, type, chosen_ddf(estimates, covariance, ddf))

    def drop1(self) -> pd.DataFrame:
        """Test each term that no other contains, by fitting the model without it (by ML)."""

        def refit(design: Design) -> Estimates:
            return fit_like(self.estimates, self.family, design, by_ml=True)

        full = refit(self.design) if self.method == "reml" else self.estimates
        return drop_terms(full, self.design, self.terms, refit)

    def r2(self) -> VarianceExplained:
        """R² and intraclass correlation; see `hglm.inference.variance_explained`."""
        ones = replace(
            self.design.mean, X=np.ones((self.design.n, 1)), names=("Intercept",), terms={"1": (0,)}
        )
        null = replace(self.design, mean=ones)
        return variance_explained(
            self.estimates,
            self.design,
            self.family,
            lambda: fit_like(self.estimates, self.family, null),
        )

    def test(
        self,
        contrast: Matrix | str | Sequence[str],
        ddf: str | None = None,
        rhs: Vector | float = 0.0,
    ) -> ContrastTest:
        """Test linear hypotheses L β = rhs together.

        Parameters
        ----------
        contrast : (r, p) or (p,)
            Or names of coefficients, for whether all are `rhs`.
        ddf
            As in `anova`.
        rhs : (r,) or number
        """
        rows = named_contrast(contrast, self.design.mean.names)
        method = chosen_ddf(self.estimates, self.covariance, ddf)
        return contrast_test(self.estimates, rows, method, rhs)

    @cached_property
    def terms(self) -> FixedTerms:
        """Terms of the fixed part and how they contain one another."""
        mean = design_with_intercept(self.design.mean) if self._ordinal else self.design.mean
        return fixed_terms(mean, self.spec, self.design.frame)

    def summary(self, ddf: str | None = None, level: float | None = None) -> Report:
        """Everything on one page: prints as text, shows as HTML in a notebook.

        Parameters
        ----------
        ddf
            As in `anova`.
        level
            Coverage of confidence intervals; none are shown by default.
        """
        shown = replace(self.estimates, others=self.others)
        return summarise(
            self.estimates,
            self.design,
            self.coefficients(ddf, 0.95 if level is None else level),
            self.residuals("pearson").to_numpy(),
            formula=self.formula.text.strip(),
            family="" if self._is_linear else self._family_in_words,
            ddf=chosen_ddf(self.estimates, self.covariance, ddf),
            level=level,
            others=other_tables(shown, 0.95 if level is None else level),
        )

    def coefficients(self, ddf: str | None = None, level: float = 0.95) -> pd.DataFrame:
        """Tabulate the fixed effects: estimate, standard error, df, test, interval."""
        method = chosen_ddf(self.estimates, self.covariance, ddf)
        return coefficient_table(self.estimates, self.design.mean.names, method, level)

    def tidy(self, level: float = 0.95) -> pd.DataFrame:
        """Tabulate fixed effects and variance components in broom.mixed's columns."""
        return tidy_frame(self.coefficients(level=level), self.varcorr)

    def glance(self) -> pd.DataFrame:
        """Describe the fit in one row, broom's columns."""
        return glance_frame(self.estimates)

    def augment(self) -> pd.DataFrame:
        """Return the data of the rows used with `.fitted`, `.resid` and `.fixed`."""
        return augment_frame(
            self.design.frame.set_axis(self.design.index),
            fitted=self.fittedvalues.to_numpy(),
            resid=self.resid.to_numpy(),
            fixed=np.asarray(self.predict(random="none", scale="link")),
        )

    @property
    def plot(self) -> Pictures:
        """Pictures: ``fit.plot.caterpillar()``, ``fit.plot()`` for an overview, ..."""
        return Pictures(self)

    def to_json(self) -> str:
        """Return the fit as one JSON object; see docs/command-line.md for its keys."""
        record = fit_record(
            self.estimates,
            self.design,
            self._coefficients,
            formula=self.formula.text.strip(),
            family=self.family.name,
            link=self._link,
            version=version("hglm"),
        )
        return to_json(record)

    def without_data(self) -> Fit:
        """Return the same fit without the columns of the data: smaller to pickle.

        `anova` needs them, and so does `augment`; everything else works.
        """
        return replace(self, design=replace(self.design, frame=pd.DataFrame()))

    @cached_property
    def _coefficients(self) -> pd.DataFrame:
        return self.coefficients()

    @property
    def _is_linear(self) -> bool:
        return self.method in ("reml", "ml")

    @property
    def _family_in_words(self) -> str:
        return f"{self.family.name}, {self._link} link"

    @property
    def _link(self) -> str:
        if self._ordinal:  # the link is that of the probabilities
            return str(getattr(self.family, "link", ""))
        return self.family.parameters[0].link.name

    @property
    def _ordinal(self) -> bool:
        return self.family.support == "category"
