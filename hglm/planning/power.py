"""Power by simulation: how often a test rejects in data that might be collected.

Responses are drawn from a data model, a fit taken for the truth or assumed parameters,
fitted as real ones would be, and tested. The share that rejects is the power, with
Wilson's interval for the simulation's own error. The power at an observed effect says no
more than its p-value did (Hoenig & Heisey 2001, The American Statistician 55, 19-24): give
the smallest effect worth finding as `effect`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

import numpy as np
import pandas as pd

from hglm.errors import OptionError
from hglm.inference.bootstrap import failure_frame
from hglm.inference.bootstrap_shares import wilson_interval
from hglm.inference.resampling import independent_units
from hglm.numerics.replicates import check_count, run_replicates, spawn
from hglm.planning.data_model import DataModel, Fitted, data_model
from hglm.planning.hypotheses import Outcome, make_task, with_effect
from hglm.planning.sizes import resize
from hglm.report import Report, table_report

__all__ = ["Power", "power"]

T = TypeVar("T", int, float)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Power:
    """Power over a grid of sizes and effects."""

    table: pd.DataFrame
    """A row a combination: `n_groups, n_within, effect` where they were asked for,
    `n_obs, power, conf_low, conf_high`, the number `n` of simulations that count, and the
    shares `singular` of fits at a boundary."""
    failures: pd.DataFrame
    """Columns `row` of the table, `replicate, reason`."""
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return str(self.report())

    def report(self) -> Report:
        """Show it as text, HTML, LaTeX or Markdown."""
        return table_report(self.table, "Power by simulation", self.notes)


def power(
    model: Fitted | DataModel,
    target: str,
    *,
    group: str | None = None,
    n_groups: int | Sequence[int] | None = None,
    n_within: int | Sequence[int] | None = None,
    effect: float | Sequence[float] | None = None,
    alpha: float = 0.05,
    ddf: str | None = None,
    n: int = 1000,
    seed: np.random.Generator | int | None = None,
    workers: int = 1,
    progress: bool = False,
) -> Power:
    """Estimate the power of a test over sizes of the experiment.

    Parameters
    ----------
    model
        A fit, or assumed parameters from `hglm.planning.assume`.
    target
        What is tested: a coefficient or a term of the fixed part, or a standard
        deviation such as ``"sd(days | subject)"`` (by its likelihood ratio).
    group
        Grouping factor of which `n_groups` and `n_within` are numbers; the outermost by
        default.
    n_groups, n_within
        Numbers of levels, and of rows in each; see `hglm.planning.sizes.resize`.
    effect
        True values of the coefficient or standard deviation in place of the model's.
    alpha
        Level of the test.
    ddf
        Degrees of freedom of tests of fixed effects: ``"satterthwaite"`` (default of linear
        models), ``"kenward-roger"``, ``"residual"`` or ``"asymptotic"`` (default of
        others).
    n
        Number of simulations of each combination.
    seed
        Generator or seed; results do not depend on the number of workers.
    workers
        Processes; more than one needs joblib.
    progress
        Whether to show a bar, where tqdm is installed.
    """
    truth = model if isinstance(model, DataModel) else data_model(model)
    check_count("n", n)
    if not 0.0 < alpha < 1.0:
        raise OptionError(f"The option alpha={alpha!r} is not between 0 and 1; give 0.05, say.")
    group = independent_units(truth.design) if group is None else group
    grid = list(product(_values(n_groups), _values(n_within), _values(effect)))
    rows, failures = [], []
    for number, (cell, rng) in enumerate(zip(grid, spawn(seed, len(grid)), strict=True)):
        planned = with_effect(truth, target, cell[2])
        if cell[:2] != (None, None):
            planned = resize(planned, group, *cell[:2])
        pilot, *generators = rng.spawn(n + 1)
        task = make_task(planned, target, ddf, pilot)
        outcomes = list(run_replicates(task, generators, task.chunk, workers, progress))
        rows.append({**_asked(cell), "n_obs": planned.design.n, **_share(outcomes, alpha)})
        sizes = [len(outcome.p_values) for outcome in outcomes]
        failures.append(failure_frame([o.failures for o in outcomes], sizes).assign(row=number))
    lost = pd.concat(failures, ignore_index=True)[["row", "replicate", "reason"]]
    return Power(pd.DataFrame(rows), lost, tuple(_notes(target, alpha, n, len(lost))))


def _values(asked: T | Sequence[T] | None) -> list[T | None]:
    """As a list; None for what was not asked for."""
    given: list[T | None] = [None] if asked is None else np.atleast_1d(np.asarray(asked)).tolist()
    if not given:
        raise OptionError("A list of sizes or effects is empty; give at least one value.")
    return given


def _asked(cell: tuple[int | None, int | None, float | None]) -> dict[str, float]:
    names = ("n_groups", "n_within", "effect")
    return {name: value for name, value in zip(names, cell, strict=True) if value is not None}


def _share(outcomes: Sequence[Outcome], alpha: float) -> dict[str, float]:
    """Power and how sure it is, from the fits that succeeded."""
    p = np.concatenate([outcome.p_values for outcome in outcomes])
    singular = np.concatenate([outcome.singular for outcome in outcomes])
    fitted = np.isfinite(p)
    hits, n = int(np.sum(p[fitted] <= alpha)), int(fitted.sum())
    low, high = wilson_interval(hits, n)
    return {
        "power": hits / n if n else np.nan,
        "conf_low": low,
        "conf_high": high,
        "n": n,
        "singular": float(singular[fitted].mean()) if n else np.nan,
    }


def _notes(target: str, alpha: float, n: int, lost: int) -> Iterator[str]:
    yield f"Test of {target} at level {alpha:g}; {n} simulations of each row, 95% Wilson intervals."
    if lost:
        yield f"{lost} simulated data sets could not be fitted and are left out."
