"""`fit.plot`: the pictures of a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from hglm.errors import OptionError
from hglm.fitting.record import LinearState, TermEstimate
from hglm.inference.diagnostics.quantile_residuals import quantile_residuals
from hglm.inference.emmeans.variables import grid_variables
from hglm.inference.no_pooling import pooled_levels
from hglm.inference.profile_traces import profile_traces
from hglm.inference.targets import targets
from hglm.plots import (
    caterpillar,
    effects,
    estimates,
    fitted_lines,
    pooling,
    profile_pairs,
    profile_zeta,
    qq,
    residuals_fitted,
    scale_location,
    shrinkage,
)
from hglm.plots.axes import new_figure, sample_levels
from hglm.plots.level_curves import level_curves, level_points
from hglm.plots.levels import random_effects
from hglm.plots.pictured import Pictured
from hglm.report.estimate_label import estimate_label
from hglm.report.marginal_means import EmmTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Pictures"]

Kind = Literal["pearson", "quantile"]
MOST_PAIRS = 5
"""Parameters whose pairs a reader can take in."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures of one fit; each takes `ax` and returns the axes drawn in."""

    fit: Pictured

    def __call__(self) -> Figure:
        """Draw an overview: residuals, their size, and normal quantile plots."""
        figure = new_figure(9.0, 7.0)
        panels = figure.subplots(2, 2)
        fitted, values, label = self._residuals(None)
        residuals_fitted(fitted, values, label, panels[0, 0])
        scale_location(fitted, values, label, panels[0, 1])
        qq(values, label, panels[1, 0])
        if self.fit.estimates.terms:
            self.qq_ranef(ax=panels[1, 1])
        else:
            panels[1, 1].remove()
        return figure

    # Levels -------------------------------------------------------------------------

    def caterpillar(
        self, group: str | None = None, term: str | None = None, ax: Axes | None = None
    ) -> Axes:
        """Draw the random effects of a term in order; the first term by default."""
        chosen = self._term(group)
        return caterpillar(self._ranef(chosen), chosen.group, term or chosen.names[0], ax)

    def shrinkage(
        self, group: str | None = None, x: str = "", y: str = "", ax: Axes | None = None
    ) -> Axes:
        """Draw arrows from the coefficients of each level alone to those of the mixed model.

        "Alone" means without the pull of other levels, the rest of the model being held;
        see `hglm.inference.no_pooling`. Levels that have no such estimate are left out.

        Parameters
        ----------
        group
            Grouping factor; by default the first with two coefficients, or the first.
        x, y
            Names of coefficients that vary over its levels; the first two by default, or
            the only one. With `x` alone, that one.
        ax
            Axes to draw in.
        """
        term = self._widest(group)
        names = [name for name in (x, y) if name] or list(term.names[:2])
        for name in names:
            if name not in term.names:
                known = ", ".join(term.names)
                raise OptionError(f"By {term.group} there varies no {name!r}; there is {known}.")
        found = pooled_levels(self.fit.estimates, self.fit.design, self.fit.family, term)
        if found.separate.empty:
            raise OptionError(
                f"No level of {term.group} by itself determines {', '.join(term.names)}, so there "
                "is nothing to draw arrows from; see caterpillar()."
            )
        centre = tuple(float(found.population[name]) for name in names)
        if len(names) == 1:
            alone, mixed = found.separate[names[0]], found.mixed[names[0]]
            return pooling(alone, mixed, found.sizes, centre[0], term.group, ax)
        place = (centre[0], centre[1])
        return shrinkage(found.separate[names], found.mixed[names], place, term.group, ax)

    def lines(self, x: str, group: str | None = None, most: int = 12) -> Figure:
        """Draw the data and the fitted curve of each level against a column, in panels.

        Other variables stand at a level's mean or most frequent value, random effects
        of factors that cross the levels at zero.

        Parameters
        ----------
        x
            Column of the data.
        group
            Grouping factor; the first by default.
        most
            Panels at most; levels are sampled evenly, with a note.
        """
        term = self._term(group, of_mean=True)
        design = self.fit.design
        self._check_column(x)
        if x == design.response:
            raise OptionError(
                f"{x!r} is the response; name the variable that it is drawn against, such as "
                f"{next(iter(grid_variables(design, self.fit.spec)), 'a covariate')!r}."
            )
        if self.fit.family.support == "category":
            raise OptionError(
                "A response of categories has no fitted mean to draw; predict(...) gives the "
                "probability of each category."
            )
        shown = sample_levels(len(term.levels), most)
        points = level_points(design, term.position, x, shown)
        curves = level_curves(design, term.position, x, shown, self._means)
        note = "(other variables at each level's mean or most frequent value)"
        held = set(grid_variables(design, self.fit.spec)) - {x}
        total = len(term.levels)
        return fitted_lines(points, curves, x, design.response, total, note if held else "")

    # Means --------------------------------------------------------------------------

    def effects(
        self,
        x: str,
        by: str | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        scale: Literal["link", "response"] = "response",
        ax: Axes | None = None,
    ) -> Axes:
        """Draw the population's means over a variable, with confidence limits.

        What is neither `x` nor `by` is averaged over (factors) or stands at its mean, as
        in `emmeans`.

        Parameters
        ----------
        x
            Variable of the fixed part.
        by
            Variable that has a curve for each level; a covariate at its tenth, fiftieth
            and ninetieth percentile.
        at
            Variable -> values, as in `emmeans`.
        scale
            ``"response"`` or ``"link"``.
        ax
            Axes to draw in.
        """
        known = grid_variables(self.fit.design, self.fit.spec)
        places = dict(at or {})
        for name, shares in ((x, np.linspace(0.0, 1.0, 50)), (by, np.array([0.1, 0.5, 0.9]))):
            if name in known and not known[name].is_factor and name not in places:
                values = self.fit.design.frame[name].to_numpy(dtype=float)
                ends = np.quantile(values, [0.0, 1.0])
                grid = ends[0] + shares * np.ptp(ends) if name == x else np.quantile(values, shares)
                places[name] = grid.tolist()
        names = [x] if by is None else [x, by]
        table = self.fit.emmeans(names, at=places, scale=scale)
        return effects(table.frame, x, by, self._label(table), ax)

    def emmeans(
        self,
        specs: EmmTable | str | Sequence[str],
        by: str | Sequence[str] | None = None,
        ax: Axes | None = None,
    ) -> Axes:
        """Draw marginal means, slopes or contrasts with their intervals, row by row.

        Parameters
        ----------
        specs
            A table, as from ``fit.emmeans("a").pairs()``, or what `emmeans` takes.
        by
            As in `emmeans`.
        ax
            Axes to draw in.
        """
        table = specs
        if not isinstance(table, EmmTable):
            table = self.fit.emmeans(specs, by, scale="response")
        assert isinstance(table, EmmTable)
        columns = list(table.frame.columns)
        labels = columns[: columns.index("estimate")]
        null = None
        if table.functions.kind != "means":
            is_ratio = table.display.response and bool(table.functions.scale.ratio)
            null = 1.0 if is_ratio else 0.0
        return estimates(
            table.frame,
            labels,
            self._label(table),
            null,
            ax,
        )

    # Residuals ----------------------------------------------------------------------

    def residuals(self, ax: Axes | None = None, kind: Kind | None = None) -> Axes:
        """Draw residuals against fitted values.

        Parameters
        ----------
        ax
            Axes to draw in.
        kind
            ``"pearson"`` (default of linear models), or ``"quantile"`` (default of others):
            normal quantiles of where a response falls among simulated ones.
        """
        return residuals_fitted(*self._residuals(kind), ax)

    def scale(self, ax: Axes | None = None, kind: Kind | None = None) -> Axes:
        """Draw the size of the residuals against fitted values; see `residuals`."""
        return scale_location(*self._residuals(kind), ax)

    def qq(self, ax: Axes | None = None, kind: Kind | None = None) -> Axes:
        """Draw normal quantiles of the residuals; see `residuals`."""
        _, values, label = self._residuals(kind)
        return qq(values, label, ax)

    def qq_ranef(
        self, group: str | None = None, term: str | None = None, ax: Axes | None = None
    ) -> Axes:
        """Draw normal quantiles of the random effects of a term."""
        chosen = self._term(group)
        rows = random_effects(self._ranef(chosen), chosen.group, term or chosen.names[0])
        label = f"{term or chosen.names[0]} of {chosen.group}"
        return qq(rows["estimate"].to_numpy(), label, ax)

    # Profiles -----------------------------------------------------------------------

    def profile(self, parameter: str, ax: Axes | None = None) -> Axes:
        """Draw the profile of a parameter as ζ."""
        return profile_zeta(self.fit.profile([parameter]), parameter, ax)

    def pairs(self, which: Sequence[str] | None = None) -> Figure:
        """Draw the profiles of parameters and the contours of the likelihood in pairs of them.

        Parameters
        ----------
        which
            Two parameters or more, named as in `Fit.profile`; the first five by default.
        """
        names = self.fit.design.mean.names
        known = [target.name for target in targets(self.fit.estimates, names)]
        chosen = known[:MOST_PAIRS] if which is None else list(which)
        if not 2 <= len(chosen) <= MOST_PAIRS + 1:
            raise OptionError(
                f"A picture of pairs takes two to {MOST_PAIRS + 1} parameters, not {len(chosen)}; "
                f"choose among {', '.join(known)}."
            )
        traces = profile_traces(self.fit.estimates, names, chosen)
        return profile_pairs(traces, chosen, len(known) if which is None else len(chosen))

    # Parts --------------------------------------------------------------------------

    def _residuals(self, kind: Kind | None) -> tuple[Any, Any, str]:
        if kind is None:
            is_linear = isinstance(self.fit.estimates.state, LinearState)
            kind = "pearson" if is_linear or self.fit.design.frequencies is not None else "quantile"
        if kind not in ("pearson", "quantile"):
            raise OptionError(f'There is no kind {kind!r}: use "pearson" or "quantile".')
        fitted = self.fit.fittedvalues.to_numpy()
        if kind == "pearson":
            return fitted, self.fit.residuals("pearson").to_numpy(), "Pearson residual"
        found = quantile_residuals(self.fit.estimates, self.fit.design, 250, 1, "conditional")
        return fitted, found.normal(), "Quantile residual"

    def _means(self, new: pd.DataFrame, groups: Sequence[str]) -> pd.Series:
        found: pd.Series = self.fit.predict(new, random=list(groups))
        return found

    def _label(self, table: EmmTable) -> str:
        return estimate_label(table, self.fit.family, self.fit.design.response)

    def _check_column(self, name: str) -> None:
        frame = self.fit.design.frame
        if name not in frame:
            raise OptionError(
                f"The model has no column {name!r}; it has {', '.join(map(str, frame))}."
            )

    def _ranef(self, term: TermEstimate) -> pd.DataFrame:
        """Random effects of the predictor in which a term stands."""
        frame = self.fit.ranef()
        if "predictor" not in frame:
            return frame
        return frame[frame["predictor"] == term.predictor]

    def _term(self, group: str | None, of_mean: bool = False) -> TermEstimate:
        """Find the first term of a group, or of all."""
        terms = [
            term for term in self.fit.estimates.terms if not of_mean or term.predictor == "mean"
        ]
        if not terms:
            raise OptionError("The model has no random effects to draw.")
        own = [term for term in terms if term.group == group]
        if group is not None and not own:
            known = ", ".join(dict.fromkeys(term.group for term in terms))
            raise OptionError(f"The model has no random effects by {group!r}, but by {known}.")
        return (own or terms)[0]

    def _widest(self, group: str | None) -> TermEstimate:
        """Find a term with two coefficients, if there is one."""
        first = self._term(group, of_mean=True)
        terms = [t for t in self.fit.estimates.terms if t.predictor == "mean"]
        return next((t for t in terms if t.k > 1 and group in (None, t.group)), first)
