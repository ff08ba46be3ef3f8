"""Questions that a fit answers: marginal means, slopes, diagnostics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from hglm.design import Design, DesignSpec
from hglm.families import Family
from hglm.fitting.record import Estimates
from hglm.inference.contrasts import AnovaType
from hglm.inference.diagnostics.check import check
from hglm.inference.diagnostics.collinearity import vif
from hglm.inference.diagnostics.conditional_aic import ConditionalAIC, conditional_aic
from hglm.inference.diagnostics.influence import Influence, influence
from hglm.inference.diagnostics.quantile_residuals import QuantileResiduals, quantile_residuals
from hglm.inference.diagnostics.robust import RobustKind, cluster_robust
from hglm.inference.diagnostics.robust_covariance import RobustCovariance
from hglm.inference.emmeans import joint_tests
from hglm.inference.simulate import RandomDraws
from hglm.report import Report
from hglm.report.check import check_report
from hglm.report.coefficients import chosen_ddf
from hglm.report.marginal_means import EmmTable, emmeans, emtrends
from hglm.report.sentence import effect_sentence
from hglm.typing import AnyArray

__all__ = ["Answering"]

Names = str | Sequence[str]


class Answering(ABC):
    """Questions about a fit; each method hands over to one function."""

    design: Design
    spec: DesignSpec
    family: Family
    estimates: Estimates
    covariance: RobustCovariance | None

    def emmeans(
        self,
        specs: Names,
        by: Names | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        weights: str = "equal",
        ddf: str | float | None = None,
        level: float = 0.95,
        scale: Literal["link", "response"] = "link",
        offset: float | None = None,
    ) -> EmmTable:
        """Tabulate estimated marginal means.

        Parameters
        ----------
        specs, by
            Factors whose combinations are wanted, and those that divide the table.
        at
            Variable -> values; by default levels of factors and means of covariates.
        weights
            ``"equal"`` or ``"proportional"``, of what is averaged over.
        ddf
            As in `anova`, or a number.
        level
            Coverage of intervals.
        scale
            ``"link"`` or ``"response"``.
        offset
            Value of the offset; its mean by default.

        Examples
        --------
        >>> import hglm
        >>> fit = hglm.fit(
        ...     "yield ~ nitro_f * variety + (1 | block/variety)", hglm.load_dataset("oats")
        ... )
        >>> fit.emmeans("variety").frame["estimate"].round(2).tolist()
        [104.5, 109.79, 97.62]
        """
        return emmeans(
            self.estimates,
            self.design,
            self.spec,
            self.family,
            specs,
            by,
            at=at,
            weights=weights,
            ddf=chosen_ddf(self.estimates, self.covariance, ddf),
            level=level,
            scale=scale,
            offset=offset,
        )

    def emtrends(
        self,
        variable: str,
        specs: Names = (),
        by: Names | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        weights: str = "equal",
        ddf: str | float | None = None,
        level: float = 0.95,
    ) -> EmmTable:
        """Tabulate slopes of a covariate by factors; arguments as in `emmeans`."""
        return emtrends(
            self.estimates,
            self.design,
            self.spec,
            self.family,
            variable,
            specs,
            by,
            at=at,
            weights=weights,
            ddf=chosen_ddf(self.estimates, self.covariance, ddf),
            level=level,
        )

    def joint_tests(
        self,
        by: Names | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        weights: str = "equal",
        ddf: str | float | None = None,
    ) -> pd.DataFrame:
        """Test all terms on the reference grid, by levels of `by`; else as in `emmeans`."""
        return joint_tests(
            self.estimates,
            self.design,
            self.spec,
            self.family,
            by=by,
            at=at,
            weights=weights,
            ddf=chosen_ddf(self.estimates, self.covariance, ddf),
        )

    def quantile_residuals(
        self,
        n: int = 250,
        seed: np.random.Generator | int | None = None,
        random: RandomDraws = "new",
    ) -> QuantileResiduals:
        """Place each response among n simulated ones, with the usual tests.

        Parameters
        ----------
        n
            Simulations.
        seed
            Generator or seed.
        random
            ``"new"`` random effects for each draw, or the ``"conditional"`` modes.
        """
        return quantile_residuals(self.estimates, self.design, n, seed, random)

    def influence(self, group: str | None = None) -> Influence:
        """Measure how the fixed effects depend on single levels, or rows (None)."""
        return influence(self.estimates, self.design, group)

    def robust(
        self, kind: RobustKind | None = None, by: str | AnyArray | None = None
    ) -> RobustCovariance:
        """Covariance of the fixed effects that is robust within clusters.

        Parameters
        ----------
        kind
            ``"CR0"``, ``"CR1"`` or ``"CR2"``; CR2 for linear models and CR1 for others
            by default.
        by
            A grouping factor, a column of the data or labels of the rows; by default
            the grouping factor that contains all others.
        """
        return cluster_robust(self.estimates, self.design, kind, by)

    def check(self, n: int = 250, seed: int = 1) -> Report:
        """Check the fit and say in plain language what was found and what to do."""
        return check_report(check(self.estimates, self.design, n, seed))

    def sentence(
        self,
        effect: str,
        *,
        joint: bool = False,
        type: AnovaType = 3,  # noqa: A002
        ddf: str | None = None,
        level: float = 0.95,
    ) -> str:
        """Describe an effect in one sentence, with its numbers in the style of APA.

        Parameters
        ----------
        effect
            Name of a coefficient, or of a term with several.
        joint
            Whether to describe the test of the term where a coefficient has its name.
        type, ddf
            As in `anova`.
        level
            Coverage of the interval; one less it is the level of significance.

        Examples
        --------
        >>> import hglm
        >>> fit = hglm.fit("reaction ~ days + (days | subject)", hglm.load_dataset("sleepstudy"))
        >>> fit.sentence("days", joint=True)
        'The effect of days was significant, F(1, 17) = 45.85, p < .001.'
        """
        return effect_sentence(
            effect,
            self.coefficients(ddf, level),
            lambda: self.anova(type, ddf),
            level=level,
            joint=joint,
            family=self.family,
            response=self.design.response,
        )

    @abstractmethod
    def coefficients(self, ddf: str | None = None, level: float = 0.95) -> pd.DataFrame:
        """Tabulate the fixed effects: estimate, standard error, df, test, interval."""

    @abstractmethod
    def anova(self, type: AnovaType = 3, ddf: str | None = None) -> pd.DataFrame:  # noqa: A002
        """Test every term of the fixed part."""

    def vif(self) -> pd.DataFrame:
        """Tabulate variance inflation factors of the fixed terms."""
        return vif(self.estimates, self.design.mean)

    def conditional_aic(self) -> ConditionalAIC:
        """Compute the conditional AIC, for predictions about the groups of the data.

        With the correction of Greven & Kneib (2010) for linear models, and those of Lian
        (2012) and Efron (2004) for Poisson and binomial ones, which take many fits.
        """
        return conditional_aic(self.estimates, self.design)
