"""The bootstrap: how estimates vary over data that might have been observed.

*Parametric*: new responses are drawn from the fitted model, with new random effects or
given those that were estimated. *By cases*: whole levels of a grouping factor are drawn
with replacement, or single rows, and the model is fitted to them as they are (Davison &
Hinkley 1997, section 3.8, on whether to resample within levels as well: no).
Either way each replicate has a generator of its own; see `hglm.numerics.replicates`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from hglm.design.arrays import Design
from hglm.errors import HglmWarning
from hglm.fitting.record import Estimates
from hglm.fitting.refit import make_refitter
from hglm.inference.bootstrap_draws import (
    Chunk,
    CompleteDraws,
    Draws,
    RefittedDraws,
    ResampledDraws,
    Statistic,
    default_statistic,
    leave_out,
)
from hglm.inference.bootstrap_intervals import (
    IntervalKind,
    acceleration,
    bootstrap_interval,
    check_kind,
)
from hglm.inference.resampling import ROWS, check_groups
from hglm.inference.simulate import RandomDraws
from hglm.numerics.replicates import check_count, run_replicates, spawn
from hglm.typing import Matrix

__all__ = ["Bootstrap", "bootstrap", "failure_frame"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Bootstrap:
    """Replicates of some statistics of a fit."""

    observed: pd.Series
    """Statistics of the fit itself, by name."""
    replicates: pd.DataFrame
    """A row a replicate, a column a statistic; NaN where a fit failed."""
    failures: pd.DataFrame
    """Columns `replicate, reason`."""
    notes: tuple[str, ...]
    """What the reader should know: how it was drawn, how many failed, how many are singular."""
    leave_out: Callable[[], Matrix]
    """Statistics without one independent unit after the other, (units, s), for BCa."""

    def __repr__(self) -> str:
        return f"<hglm.Bootstrap: {self.notes[0]}>"

    def summary(self) -> pd.DataFrame:
        """Tabulate the statistics.

        Returns
        -------
        DataFrame
            A row a statistic: `estimate`, `mean` of the replicates, `bias`, `std_error`,
            `mc_error` of the mean by simulation, and the number `n` of replicates that
            have a value.
        """
        t = self.replicates
        n = t.notna().sum()
        sd = t.std(ddof=1)
        table = pd.DataFrame(
            {
                "estimate": self.observed,
                "mean": t.mean(),
                "bias": t.mean() - self.observed,
                "std_error": sd,
                "mc_error": sd / np.sqrt(n),
                "n": n,
            }
        ).loc[list(t.columns)]
        table.attrs["notes"] = list(self.notes)
        return table

    def conf_int(self, level: float = 0.95, kind: IntervalKind = "percentile") -> pd.DataFrame:
        """Confidence intervals.

        Parameters
        ----------
        level
            Coverage.
        kind
            ``"percentile"``, ``"basic"``, ``"normal"`` or ``"bca"``, which fits the
            model again without each independent unit (levels of the outermost grouping
            factor, or what was resampled).

        Returns
        -------
        DataFrame
            A row a statistic, columns `conf_low, conf_high`.
        """
        check_kind(kind)
        a = acceleration(self.leave_out()) if kind == "bca" else np.zeros(len(self.observed))
        limits = [
            bootstrap_interval(
                self.replicates[name].dropna().to_numpy(), float(value), level, kind, float(a[i])
            )
            for i, (name, value) in enumerate(self.observed.items())
        ]
        table = pd.DataFrame(limits, self.observed.index, ["conf_low", "conf_high"])
        table.attrs["notes"] = list(self.notes)
        return table


def bootstrap(
    estimates: Estimates,
    design: Design,
    n: int = 1000,
    seed: np.random.Generator | int | None = None,
    *,
    resample: str | None = None,
    random: RandomDraws = "new",
    statistic: Statistic | None = None,
    workers: int = 1,
    progress: bool = False,
) -> Bootstrap:
    """Draw replicates of the statistics of a fit.

    Interrupting it (Ctrl-C) gives what is there so far, with a warning.

    Parameters
    ----------
    estimates, design
        Of any model.
    n
        Number of replicates.
    seed
        Generator or seed; the first m of n replicates are those of a call for m, on any
        number of workers.
    resample
        None for the parametric bootstrap, the name of a grouping factor to draw its
        levels with all their rows, or ``"rows"``.
    random
        For the parametric bootstrap: ``"new"`` random effects in each replicate, or the
        ``"conditional"`` modes.
    statistic
        What to follow; all parameters by default, which is also much the fastest.
    workers
        Processes; more than one needs joblib.
    progress
        Whether to show a bar, where tqdm is installed.
    """
    check_count("n", n)
    if resample is not None:
        check_groups(design, resample)
    follow = default_statistic if statistic is None else statistic
    observed = {str(name): float(x) for name, x in follow(estimates, design).items()}
    task: Draws
    if resample is not None:
        task = ResampledDraws(estimates, design, resample, follow, tuple(observed))
    elif statistic is None:
        task = RefittedDraws(estimates, design, random, make_refitter(estimates, design))
    else:
        task = CompleteDraws(estimates, design, random, follow, tuple(observed))
    parts: list[Chunk] = []
    try:
        for part in run_replicates(task, spawn(seed, n), task.chunk, workers, progress):
            parts.append(part)  # noqa: PERF402 -- an interruption keeps what is there
    except KeyboardInterrupt:
        if not parts:
            raise
        warnings.warn(
            f"Interrupted: {sum(len(p.values) for p in parts)} of {n} replicates are there.",
            HglmWarning,
            stacklevel=2,
        )
    values = np.concatenate([part.values for part in parts])
    replicates = pd.DataFrame(values, pd.RangeIndex(len(values), name="replicate"), list(observed))
    failures = failure_frame([part.failures for part in parts], [len(p.values) for p in parts])
    singular = sum(part.singular for part in parts)
    return Bootstrap(
        pd.Series(observed),
        replicates,
        failures,
        _notes(resample, len(values), failures, singular),
        partial(leave_out, estimates, design, resample, follow),
    )


def failure_frame(parts: Sequence[Mapping[int, str]], sizes: Sequence[int]) -> pd.DataFrame:
    """List failures of several chunks, replicates numbered through."""
    starts = np.cumsum([0, *sizes])
    rows = [
        (int(start) + i, why)
        for start, part in zip(starts, parts, strict=False)
        for i, why in part.items()
    ]
    return pd.DataFrame(rows, columns=["replicate", "reason"])


def _notes(resample: str | None, n: int, failures: pd.DataFrame, singular: int) -> tuple[str, ...]:
    how = "parametric bootstrap" if resample is None else f"resampled {resample}"
    how = "resampled rows" if resample == ROWS else how
    out = [f"{n} replicates, {how}."]
    if len(failures):
        out.append(f"{len(failures)} replicates could not be fitted and are left out.")
    if singular:
        out.append(f"{singular} replicates are singular fits, and are kept.")
    return tuple(out)
