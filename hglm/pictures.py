"""`fit.plot`: the pictures of a fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from hglm.design import Design
from hglm.errors import OptionError
from hglm.fitting.record import Estimates
from hglm.plots import (
    caterpillar,
    fitted_lines,
    profile_zeta,
    qq,
    residuals_fitted,
    scale_location,
    shrinkage,
)
from hglm.plots.axes import get_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["Pictures"]


class Pictured(Protocol):
    """What the pictures need of a fit."""

    @property
    def design(self) -> Design:
        """Arrays of the model."""
        ...

    @property
    def estimates(self) -> Estimates:
        """What was found."""
        ...

    @property
    def fittedvalues(self) -> pd.Series:
        """Fitted means."""
        ...

    def ranef(self) -> pd.DataFrame:
        """Random effects."""
        ...

    def coef(self) -> pd.DataFrame:
        """Coefficients by level."""
        ...

    def residuals(self, kind: str = "pearson") -> pd.Series:
        """Residuals of a kind."""
        ...

    def profile(self, which: Any = None) -> pd.DataFrame:
        """Profiles."""
        ...


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures of one fit; each takes `ax` and returns the axes drawn in."""

    fit: Pictured

    def __call__(self) -> Figure | SubFigure:
        """Draw an overview: residuals, their size, and normal quantile plots."""
        ax = get_axes(None, 9.0, 7.0)
        figure = ax.figure
        ax.remove()
        panels = figure.subplots(2, 2)
        self.residuals(panels[0, 0])
        self.scale(panels[0, 1])
        self.qq(panels[1, 0])
        if self.fit.estimates.terms:
            self.qq_ranef(ax=panels[1, 1])
        else:
            panels[1, 1].set_visible(False)
        return figure

    def caterpillar(
        self, group: str | None = None, term: str | None = None, ax: Axes | None = None
    ) -> Axes:
        """Draw the random effects of a term in order; the first term by default."""
        group, term = self._term(group, term)
        return caterpillar(self.fit.ranef(), group, term, ax)

    def shrinkage(
        self, group: str | None = None, x: str = "", y: str = "", ax: Axes | None = None
    ) -> Axes:
        """Draw two coefficients of each level, fitted alone and by the mixed model.

        Parameters
        ----------
        group
            Grouping factor; the first by default.
        x, y
            Names of two coefficients that vary over its levels; the first two by
            default.
        ax
            Axes to draw in.
        """
        term = self._slopes(group)
        names = (x, y) if x else (term.names[0], term.names[1])
        coefficients = self.fit.coef()
        own = coefficients[coefficients["group"] == term.group].set_index("level")
        columns = self.fit.design.mean.random[term.position]
        place = [term.names.index(name) for name in names]
        separate = {}
        for code, level in enumerate(term.levels):
            rows = np.flatnonzero(columns.codes == code)
            z = columns.z[rows]
            if len(rows) < term.k or np.linalg.matrix_rank(z) < term.k:
                continue
            separate[level] = np.linalg.lstsq(z, self.fit.design.y[rows], rcond=None)[0][place]
        alone = pd.DataFrame.from_dict(separate, orient="index", columns=list(names))
        fixed = dict(zip(self.fit.design.mean.names, self.fit.estimates.beta, strict=True))
        centre = (fixed.get(names[0], 0.0), fixed.get(names[1], 0.0))
        return shrinkage(alone, own[list(names)], centre, ax)

    def lines(self, x: str, group: str | None = None, most: int = 12) -> Figure | SubFigure:
        """Draw the data and the fitted values against a column, one panel a level.

        Parameters
        ----------
        x
            Column of the data.
        group
            Grouping factor; the first by default.
        most
            Panels at most.
        """
        group, _ = self._term(group, None)
        term = next(t for t in self.fit.estimates.terms if t.group == group)
        design = self.fit.design
        if x not in design.frame:
            raise OptionError(
                f"The model has no column {x!r}; it has {', '.join(map(str, design.frame))}."
            )
        codes = design.mean.random[term.position].codes
        frame = pd.DataFrame(
            {
                x: design.frame[x].to_numpy(),
                "response": design.y,
                "fitted": self.fit.fittedvalues.to_numpy(),
                "level": np.asarray(term.levels)[codes],
            }
        )
        return fitted_lines(frame.iloc[np.argsort(codes, kind="stable")], x, design.response, most)

    def residuals(self, ax: Axes | None = None) -> Axes:
        """Draw Pearson residuals against fitted values."""
        return residuals_fitted(*self._residuals(), ax)

    def scale(self, ax: Axes | None = None) -> Axes:
        """Draw the size of the residuals against fitted values."""
        return scale_location(*self._residuals(), ax)

    def qq(self, ax: Axes | None = None) -> Axes:
        """Draw normal quantiles of the Pearson residuals."""
        return qq(self._residuals()[1], "Pearson residual", ax)

    def qq_ranef(
        self, group: str | None = None, term: str | None = None, ax: Axes | None = None
    ) -> Axes:
        """Draw normal quantiles of the random effects of a term."""
        group, term = self._term(group, term)
        frame = self.fit.ranef()
        rows = frame[(frame["group"] == group) & (frame["term"] == term)]
        return qq(rows["estimate"].to_numpy(), f"{term} of {group}", ax)

    def profile(self, parameter: str, ax: Axes | None = None) -> Axes:
        """Draw the profile of a parameter as ζ."""
        return profile_zeta(self.fit.profile([parameter]), parameter, ax)

    def _residuals(self) -> tuple[Any, Any]:
        return self.fit.fittedvalues.to_numpy(), self.fit.residuals("pearson").to_numpy()

    def _term(self, group: str | None, term: str | None) -> tuple[str, str]:
        if not self.fit.estimates.terms:
            raise OptionError("The model has no random effects to draw.")
        first = self.fit.estimates.terms[0]
        chosen = next((t for t in self.fit.estimates.terms if t.group == group), first)
        return group or first.group, term or chosen.names[0]

    def _slopes(self, group: str | None) -> Any:
        for term in self.fit.estimates.terms:
            if term.predictor == "mean" and term.k > 1 and group in (None, term.group):
                return term
        raise OptionError(
            "A picture of shrinkage needs a term with two coefficients, such as (x | g)."
        )
