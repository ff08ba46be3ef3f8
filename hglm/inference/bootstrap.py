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
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from hglm.design.arrays import Design
from hglm.errors import FitError, HglmWarning, OptionError
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
    check_replicates,
    fewest,
)
from hglm.inference.bootstrap_statistics import has_structure
from hglm.inference.resampling import ROWS, check_groups, independent_units
from hglm.inference.simulate import RandomDraws
from hglm.numerics.replicates import check_count, run_replicates, spawn
from hglm.typing import Matrix

__all__ = ["BootstrapKind", "Replicates", "bootstrap", "failure_frame"]

BootstrapKind: TypeAlias = Literal["parametric", "cases"]


@dataclass(frozen=True, slots=True, eq=False)
class Replicates:
    """Statistics of a fit and of its replicates."""

    observed: pd.Series
    """Of the fit itself, by name."""
    values: pd.DataFrame
    """A row a replicate, a column a statistic; NaN where a fit failed."""
    failures: pd.DataFrame
    """Columns `replicate, reason`."""
    n_singular: int
    """How many of the fits are at the boundary of the parameters."""
    how: str
    """In words: what was drawn."""
    leave_out: Callable[[], Matrix]
    """Statistics without one independent unit after the other, (units, s), for BCa."""

    @property
    def n_fitted(self) -> int:
        """How many replicates could be fitted."""
        return len(self.values) - len(self.failures)

    def moments(self) -> pd.DataFrame:
        """Bias and standard error of each statistic.

        Returns
        -------
        DataFrame
            A row a statistic: `estimate`, `bias` (mean of the replicates less the
            estimate), `std_error` (their standard deviation), and the number `n` of
            replicates that have a value.
        """
        t = self.values
        table = {
            "estimate": self.observed,
            "bias": t.mean() - self.observed,
            "std_error": t.std(ddof=1),
            "n": t.notna().sum(),
        }
        return pd.DataFrame(table).loc[list(t.columns)]

    def conf_int(self, level: float = 0.95, kind: IntervalKind = "percentile") -> pd.DataFrame:
        """Confidence intervals; see `hglm.inference.bootstrap_intervals`.

        Returns
        -------
        DataFrame
            A row a statistic, columns `conf_low, conf_high`; NaN for a statistic that has
            a value in too few of the replicates.
        """
        check_replicates(self.n_fitted, level, kind)
        a = acceleration(self.leave_out()) if kind == "bca" else np.zeros(len(self.observed))
        limits = []
        for i, (name, value) in enumerate(self.observed.items()):
            t = self.values[name].dropna().to_numpy()
            enough = len(t) >= fewest(level, kind)
            found = bootstrap_interval(t, float(value), level, kind, float(a[i]))
            limits.append(found if enough else (np.nan, np.nan))
        return pd.DataFrame(limits, self.observed.index, ["conf_low", "conf_high"])


def bootstrap(
    estimates: Estimates,
    design: Design,
    n: int = 1000,
    seed: np.random.Generator | int | None = None,
    *,
    kind: BootstrapKind = "parametric",
    group: str | None = None,
    random: RandomDraws = "new",
    statistic: Statistic | None = None,
    workers: int = 1,
    progress: bool = False,
) -> Replicates:
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
    kind
        ``"parametric"`` or ``"cases"``.
    group
        For cases: the grouping factor whose levels are drawn with all their rows, or
        ``"rows"``; see `independent_units` for the default.
    random
        For the parametric bootstrap: ``"new"`` random effects in each replicate, or the
        ``"conditional"`` modes.
    statistic
        What to follow; all parameters by default, which is also much the fastest.
    workers
        Processes, -1 for one a core; more than one needs joblib.
    progress
        Whether to show a bar, where tqdm is installed.

    Raises
    ------
    FitError
        Where no replicate at all can be fitted.
    """
    check_count("n", n)
    unit = _unit(design, kind, group, random)
    follow = default_statistic if statistic is None else statistic
    observed = {str(name): float(x) for name, x in follow(estimates, design).items()}
    task: Draws
    if unit is not None:
        task = ResampledDraws(estimates, design, follow, tuple(observed), unit)
    elif statistic is None and not has_structure(estimates):
        task = RefittedDraws(estimates, design, random, make_refitter(estimates, design))
    else:
        task = CompleteDraws(estimates, design, follow, tuple(observed), random)
    parts = _run(task, spawn(seed, n), workers, progress)
    values = np.concatenate([part.values for part in parts])
    failures = failure_frame([part.failures for part in parts], [len(p.values) for p in parts])
    if len(failures) == len(values):
        raise FitError(
            f"None of the {len(values)} replicates could be fitted; the first one said: "
            f"{failures['reason'][0]}"
        )
    return Replicates(
        pd.Series(observed),
        pd.DataFrame(values, pd.RangeIndex(len(values), name="replicate"), list(observed)),
        failures,
        sum(part.singular for part in parts),
        _in_words(unit, random),
        partial(leave_out, estimates, design, unit, follow),
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


def _unit(design: Design, kind: str, group: str | None, random: RandomDraws) -> str | None:
    """Decide what is drawn with replacement; refuse options that would be ignored."""
    if kind == "parametric":
        if group is not None:
            raise OptionError(
                f"The option group={group!r} says what to draw with replacement; it needs "
                'kind="cases".'
            )
        return None
    if kind != "cases":
        raise OptionError(
            f'There is no bootstrap of kind {kind!r}; choose "parametric" or "cases".'
        )
    if random != "new":
        raise OptionError(
            f'The option random={random!r} is for kind="parametric"; cases bring their own effects.'
        )
    unit = independent_units(design) if group is None else group
    check_groups(design, unit)
    return unit


def _in_words(unit: str | None, random: RandomDraws) -> str:
    if unit is None:
        given = "with new random effects" if random == "new" else "given the random effects"
        return f"responses drawn from the model {given}"
    return f"{'rows' if unit == ROWS else f'levels of {unit}'} drawn with replacement"


def _run(
    task: Draws, generators: Sequence[np.random.Generator], workers: int, progress: bool
) -> list[Chunk]:
    """Run the chunks; an interruption keeps what is there."""
    parts: list[Chunk] = []
    try:
        for part in run_replicates(task, generators, task.chunk, workers, progress):
            parts.append(part)  # noqa: PERF402 -- see above
    except KeyboardInterrupt:
        if not parts:
            raise
        done = sum(len(part.values) for part in parts)
        warnings.warn(
            f"Interrupted: {done} of {len(generators)} replicates are there.",
            HglmWarning,
            stacklevel=4,
        )
    return parts
