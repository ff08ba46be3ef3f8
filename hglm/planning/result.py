"""Power as its user sees it: a table, a picture, and what failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from hglm.plots.power import power_curves
from hglm.report.document import Document, Table
from hglm.report.formats import Count, Fixed, Format, Given
from hglm.report.render import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Power"]

ASKED = ("n_groups", "n_within", "effect")
HEADERS: Mapping[str, str] = {
    "n_groups": "Groups",
    "n_within": "Rows each",
    "effect": "Effect",
    "n_obs": "Rows",
    "n": "Fits",
    "successes": "Found",
    "power": "Power",
    "failures": "Failed",
    "singular": "Singular",
}
FORMATS: Mapping[str, Format] = {
    "n_groups": Count(),
    "effect": Given(),
    "power": Fixed(3),
    "conf_low": Fixed(3),
    "conf_high": Fixed(3),
    "singular": Fixed(3),
}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Power:
    """Power over a grid of sizes and effects."""

    target: str
    """What is tested."""
    group: str
    """Grouping factor of which there are more or fewer."""
    frame: pd.DataFrame
    """A row a combination: `n_groups, n_within, effect` where they were asked for, `n_obs`
    rows of data; `n` fits, of which `successes` have p ≤ α; `power` their share, with
    `conf_low, conf_high` of Wilson's interval; the number of `failures` that were left out,
    and the share `singular` of fits at a boundary."""
    failures: pd.DataFrame
    """Columns `row` of the frame, `replicate, reason`."""
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return str(self.summary())

    def _repr_html_(self) -> str:
        return self.summary().to_html()

    def summary(self) -> Report:
        """Show it as text, HTML, LaTeX or Markdown."""
        headers = {**HEADERS, "n_groups": f"Levels of {self.group}"}
        table = Table(self.frame, formats=FORMATS, headers=headers, notes=self.notes)
        document = Document(f"Power to find {self.target}", tables=(table,))
        return Report(document, {"power": self.frame})

    def plot(self, ax: Axes | None = None, wanted: float = 0.8) -> Axes:
        """Draw the power curve, with the intervals of the simulation.

        Parameters
        ----------
        ax
            matplotlib Axes to draw in; a new figure if None.
        wanted
            Power to mark by a line.
        """
        labels = {"n_groups": f"levels of {self.group}", "n_within": "rows in each level"}
        labels["effect"] = f"true value of {self.target}"
        return power_curves(self.frame, labels, wanted, ax)
