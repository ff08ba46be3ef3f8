"""Marginal means as their user sees them: a table that can be asked further questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from hglm.design import Design, DesignSpec
from hglm.errors import OptionError
from hglm.families import Family
from hglm.fitting.record import Estimates
from hglm.inference.emmeans import (
    Display,
    EstimableSet,
    Method,
    Names,
    Side,
    contrast,
    estimate_frame,
    hypothesis_frame,
    interaction_contrast,
    joint_frame,
    letter_frame,
    marginal_means,
    marginal_slopes,
    on_response,
)
from hglm.inference.emmeans.contrast_methods import find_method
from hglm.inference.emmeans.notes import display_notes
from hglm.inference.emmeans.specs import names_of
from hglm.inference.tests import Ddf
from hglm.report.coefficients import default_ddf
from hglm.report.document import Document, Table
from hglm.report.render import Report
from hglm.report.wording import df_note

__all__ = ["EmmTable", "emmeans", "emtrends"]

ShownScale: TypeAlias = Literal["link", "response"]


CAPTIONS: Mapping[str, str] = {
    "means": "Marginal means",
    "slopes": "Marginal slopes",
    "contrasts": "Contrasts",
}
"""Kind of functions -> caption of their table."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EmmTable:
    """Marginal means, slopes or contrasts: a table, and what follows from it.

    Its methods return other tables; nothing in it changes.
    """

    functions: EstimableSet
    """The linear functions of the fixed effects behind it."""
    display: Display
    """Coverage, adjustment and scale."""
    ddf: Ddf
    """Where degrees of freedom come from."""
    frame: pd.DataFrame
    """One row an estimate: labels and `estimate, std_error, df, conf_low, conf_high,
    statistic, p_value`; missing where the data do not determine it."""

    def __str__(self) -> str:
        return str(self.report())

    def __repr__(self) -> str:
        return str(self.report())

    def _repr_html_(self) -> str:
        return self.report().to_html()

    def contrast(
        self,
        method: Method = "eff",
        *,
        adjust: str | None = None,
        by: Names | None = None,
        reference: object = None,
    ) -> EmmTable:
        """Contrast the rows of each group.

        Parameters
        ----------
        method
            ``"pairwise"``, ``"revpairwise"``, ``"trt_vs_ctrl"``, ``"trt_vs_ctrlk"``,
            ``"eff"``, ``"del_eff"``, ``"consec"``, ``"mean_chg"``, ``"poly"``; or label
            -> coefficients, or a matrix (c, k) of coefficients.
        adjust
            ``"none"``, ``"tukey"``, ``"mvt"``, ``"sidak"``, ``"holm"``,
            ``"bonferroni"``, ``"fdr"`` or ``"scheffe"``; that of the method by
            default (none for coefficients of one's own).
        by
            Labels that divide the rows into groups; those of the table by default,
            ``()`` for none.
        reference
            Label of the row to compare with, in comparisons with a control.
        """
        usual = find_method(method)[1].adjust if isinstance(method, str) else "none"
        found = contrast(self._grouped(by), method, reference, self.display.response)
        return self._with(found, usual if adjust is None else adjust)

    def pairs(
        self, adjust: str = "tukey", *, reverse: bool = False, by: Names | None = None
    ) -> EmmTable:
        """Compare all pairs of rows of each group; see `contrast`."""
        return self.contrast("revpairwise" if reverse else "pairwise", adjust=adjust, by=by)

    def interaction(
        self,
        methods: str | Mapping[str, str] = "consec",
        *,
        adjust: str = "none",
        by: Names | None = None,
    ) -> EmmTable:
        """Contrast the contrasts of one factor by those of another.

        Parameters
        ----------
        methods
            Factor -> name of a method of `contrast`, or one for all factors.
        adjust, by
            See `contrast`.
        """
        return self._with(interaction_contrast(self._grouped(by), methods), adjust)

    def test(
        self, null: float = 0.0, side: Side = "two-sided", adjust: str | None = None
    ) -> pd.DataFrame:
        """Test each row, on the scale of the linear predictor.

        Parameters
        ----------
        null
            Value under the hypothesis.
        side
            Alternative: ``"two-sided"``, ``"less"`` or ``"greater"``.
        adjust
            That of the table by default.
        """
        return hypothesis_frame(self.functions, adjust or self.display.adjust, null, side)

    def joint_test(self, null: float = 0.0, by: Names | None = None) -> pd.DataFrame:
        """Test all rows of each group together: F, or chi-square over its df."""
        return joint_frame(self._grouped(by), null)

    def cld(self, alpha: float = 0.05, adjust: str = "tukey") -> pd.DataFrame:
        """Sort rows by size and give those that do not differ a letter in common.

        Parameters
        ----------
        alpha
            Two rows differ if the adjusted p-value of their difference is less.
        adjust
            Adjustment of the pairwise comparisons.
        """
        return letter_frame(self.functions, self.display, alpha, adjust)

    def show(
        self,
        *,
        level: float | None = None,
        adjust: str | None = None,
        scale: ShownScale | None = None,
    ) -> EmmTable:
        """Show the same functions otherwise.

        Parameters
        ----------
        level
            Coverage of intervals.
        adjust
            Adjustment of p-values and intervals.
        scale
            ``"link"`` or ``"response"``.
        """
        display = Display(
            self.display.level if level is None else level,
            self.display.adjust if adjust is None else adjust,
            self.display.response if scale is None else _is_response(scale),
        )
        return _table(self.functions, display, self.ddf)

    def regrid(self) -> EmmTable:
        """Go over to the response scale, so that contrasts are differences there."""
        return _table(on_response(self.functions), self.display, self.ddf)

    def cov_params(self) -> pd.DataFrame:
        """Covariance matrix of the estimates, on the scale of the linear predictor."""
        index = pd.MultiIndex.from_frame(self.functions.labels)
        return pd.DataFrame(self.functions.vcov, index, index)

    def report(self) -> Report:
        """Make a report: text, HTML, LaTeX and Markdown."""
        is_normal = bool(np.isinf(self.frame["df"].dropna()).all())
        shown = self.frame.drop(columns="df") if is_normal else self.frame
        scale = self.functions.scale
        is_named = self.display.response or scale.is_identity
        headers = {
            "estimate": scale.estimate if is_named else "Estimate",
            "statistic": "z" if is_normal else "t",
        }
        level = f"{100.0 * self.display.level:g}% confidence intervals."
        notes = (df_note(self.ddf), level, *display_notes(self.functions, self.display))
        table = Table(shown, CAPTIONS[self.functions.kind], headers=headers, notes=notes)
        return Report(Document(tables=(table,)), {"table": self.frame})

    def _grouped(self, by: Names | None) -> EstimableSet:
        if by is None:
            return self.functions
        names = names_of(by)
        for name in names:
            if name not in self.functions.labels:
                known = ", ".join(f"`{column}`" for column in self.functions.labels)
                raise OptionError(f"The table has no label `{name}` to divide by; it has {known}.")
        return self.functions.grouped(names)

    def _with(self, functions: EstimableSet, adjust: str) -> EmmTable:
        return _table(functions, replace(self.display, adjust=adjust), self.ddf)


def emmeans(
    estimates: Estimates,
    design: Design,
    spec: DesignSpec,
    family: Family,
    specs: Names,
    by: Names | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    ddf: Ddf | None = None,
    level: float = 0.95,
    scale: ShownScale = "link",
    offset: float | None = None,
) -> EmmTable:
    """Tabulate estimated marginal means.

    Parameters
    ----------
    estimates, design, spec, family
        Of the fit.
    specs, by, at, weights, offset
        See `hglm.inference.emmeans.means.marginal_means`.
    ddf
        Method of degrees of freedom, or a number; Satterthwaite's for linear models
        and infinite for others by default.
    level
        Coverage of intervals.
    scale
        ``"link"``, or ``"response"`` for means and ratios instead of their links.
    """
    method = default_ddf(estimates) if ddf is None else ddf
    functions = marginal_means(
        estimates,
        design,
        spec,
        family,
        specs,
        by=by,
        at=at,
        weights=weights,
        ddf=method,
        offset=offset,
    )
    return _table(functions, Display(level, "none", _is_response(scale)), method)


def emtrends(
    estimates: Estimates,
    design: Design,
    spec: DesignSpec,
    family: Family,
    variable: str,
    specs: Names = (),
    by: Names | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    ddf: Ddf | None = None,
    level: float = 0.95,
) -> EmmTable:
    """Tabulate the slopes of a covariate, on the scale of the linear predictor.

    Parameters
    ----------
    variable
        The covariate.
    estimates, design, spec, family, specs, by, at, weights, ddf, level
        See `emmeans`.
    """
    method = default_ddf(estimates) if ddf is None else ddf
    functions = marginal_slopes(
        estimates, design, spec, family, variable, specs, by=by, at=at, weights=weights, ddf=method
    )
    return _table(functions, Display(level), method)


def _table(functions: EstimableSet, display: Display, ddf: Ddf) -> EmmTable:
    return EmmTable(functions, display, ddf, estimate_frame(functions, display))


def _is_response(scale: str) -> bool:
    if scale not in ("link", "response"):
        raise OptionError(f'The option scale={scale!r} is neither "link" nor "response".')
    return scale == "response"
