"""The bootstrap as its user sees it: a table, intervals, and the replicates behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hglm.inference.bootstrap import Replicates
from hglm.inference.bootstrap_intervals import IntervalKind, fewest
from hglm.report.render import Report, table_report

__all__ = ["Bootstrap", "bootstrap_table"]

NAMES = {"percentile": "percentile", "basic": "basic", "normal": "normal", "bca": "BCa"}
"""Kind of interval -> how it is written."""
LIMITS = ["conf_low", "conf_high"]
SHOWN_REASON = 160
"""Most characters of a reason for failure that a note quotes."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Bootstrap:
    """Replicates of a fit, and what they say of its parameters."""

    drawn: Replicates
    """Statistics of the fit and of the replicates."""
    frame: pd.DataFrame
    """A row a statistic: `term, estimate, bias, std_error, conf_low, conf_high` and the
    number `n` of replicates that have a value; 95% percentile intervals."""
    notes: tuple[str, ...]
    """How it was drawn, how many replicates failed and why, how many are singular."""

    def __repr__(self) -> str:
        return str(self.summary())

    def _repr_html_(self) -> str:
        return self.summary().to_html()

    @property
    def replicates(self) -> pd.DataFrame:
        """A row a replicate, a column a statistic; NaN where a fit failed."""
        return self.drawn.values

    @property
    def failures(self) -> pd.DataFrame:
        """Replicates without a fit: columns `replicate, reason`."""
        return self.drawn.failures

    @property
    def n_failed(self) -> int:
        """How many replicates could not be fitted, or did not converge."""
        return len(self.drawn.failures)

    @property
    def n_singular(self) -> int:
        """How many replicates have an estimate at the boundary; they are kept."""
        return self.drawn.n_singular

    def conf_int(self, level: float = 0.95, kind: IntervalKind = "percentile") -> pd.DataFrame:
        """Confidence intervals.

        Parameters
        ----------
        level
            Coverage.
        kind
            ``"percentile"``, ``"basic"``, ``"normal"`` or ``"bca"``, which fits the model
            again without each independent unit (levels of the outermost grouping factor,
            or what was resampled).

        Returns
        -------
        DataFrame
            A row a statistic, columns `conf_low, conf_high`.
        """
        table = self.drawn.conf_int(level, kind)
        table.attrs["notes"] = list(self.notes)
        return table

    def summary(self, level: float = 0.95, kind: IntervalKind = "percentile") -> Report:
        """Show the table with intervals of any kind; prints as text.

        Parameters
        ----------
        level, kind
            As in `conf_int`.
        """
        shown = self.frame
        if (level, kind) != (0.95, "percentile"):
            limits = self.conf_int(level, kind)
            shown = shown.assign(**{name: limits[name].to_numpy() for name in LIMITS})
        title = f"Bootstrap, {100 * level:.4g}% {NAMES[kind]} intervals"
        return table_report(shown, title, self.notes)


def bootstrap_table(drawn: Replicates) -> Bootstrap:
    """Describe replicates.

    Parameters
    ----------
    drawn
        From `hglm.inference.bootstrap.bootstrap`.
    """
    enough = drawn.n_fitted >= fewest(0.95, "percentile")
    moments = drawn.moments()
    limits = drawn.conf_int() if enough else pd.DataFrame(np.nan, moments.index, LIMITS)
    frame = pd.concat([moments.drop(columns="n"), limits, moments["n"]], axis=1)
    return Bootstrap(drawn, frame.rename_axis("term").reset_index(), tuple(_notes(drawn)))


def _notes(drawn: Replicates) -> Iterator[str]:
    yield f"{len(drawn.values)} replicates: {drawn.how}."
    if len(drawn.failures):
        reasons = drawn.failures["reason"].value_counts()
        why = "Most often" if len(reasons) > 1 else "The reason"
        yield (
            "Left out because they could not be fitted or did not converge, or the statistic "
            f"failed: {len(drawn.failures)}. {why}: {_shortened(str(reasons.index[0]))}"
        )
    if drawn.n_singular:
        yield f"Kept though singular (an estimate at the boundary): {drawn.n_singular}."
    if drawn.n_fitted < fewest(0.95, "percentile"):
        yield "Too few replicates for 95% intervals; draw 1000, say."


def _shortened(reason: str) -> str:
    return reason if len(reason) <= SHOWN_REASON else reason[: SHOWN_REASON - 3] + "..."
