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
from hglm.planning.new_data import with_data
from hglm.planning.result import Power
from hglm.planning.sizes import resize
from hglm.planning.targets import true_value, with_effect
from hglm.planning.tasks import Outcome, make_task, test_in_words
from hglm.typing import Frame

__all__ = ["power"]

T = TypeVar("T", int, float)


def power(
    model: Fitted | DataModel,
    target: str,
    *,
    data: Frame | None = None,
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
        A fit taken for the truth, or assumed parameters from `hglm.assume`.
    target
        What is tested: a coefficient or a term of the fixed part (``"days"``,
        ``"arm[T.drug]:days"``), or a standard deviation (``"sd(days | subject)"``) by its
        likelihood ratio.
    data
        Predictors and groups of another experiment, for instance from
        `hglm.simulate_design`, in place of those of the fit.
    group
        Grouping factor of which `n_groups` and `n_within` are numbers; the outermost by
        default.
    n_groups, n_within
        Numbers of levels, and of rows in each. What there is of them is taken evenly,
        several times if it is not enough.
    effect
        True values of the coefficient or standard deviation in place of the model's.
    alpha
        Level of the test.
    ddf
        Degrees of freedom of tests of fixed effects: ``"satterthwaite"`` (default of linear
        models), ``"kenward-roger"``, ``"residual"`` or ``"asymptotic"`` (default of
        others).
    n
        Number of simulations of each combination of `n_groups`, `n_within` and `effect`.
    seed
        Generator or seed; results do not depend on the number of workers.
    workers
        Processes; more than one needs joblib.
    progress
        Whether to show a bar, where tqdm is installed.

    Examples
    --------
    >>> import hglm
    >>> fit = hglm.fit("reaction ~ days + (days | subject)", hglm.load_dataset("sleepstudy"))
    >>> found = hglm.power(fit, "days", n_groups=[6, 12], effect=5.0, n=100, seed=1)
    >>> found.frame["power"].round(2).tolist()
    [0.3, 0.65]
    """
    check_count("n", n)
    if not 0.0 < alpha < 1.0:
        raise OptionError(f"The option alpha={alpha!r} is not between 0 and 1; give 0.05, say.")
    truth = _truth(model, data)
    group = independent_units(truth.design) if group is None else group
    grid = list(product(_values(n_groups), _values(n_within), _values(effect)))
    study = _Study(target, group, alpha, ddf, n, workers, progress)
    cells = [
        study.simulate(truth, asked, rng)
        for asked, rng in zip(grid, spawn(seed, len(grid)), strict=True)
    ]
    frame = pd.DataFrame([cell.row for cell in cells])
    lost = pd.concat([cell.failures.assign(row=i) for i, cell in enumerate(cells)])
    lost = lost[["row", "replicate", "reason"]].reset_index(drop=True)
    return Power(target, group, frame, lost, tuple(_notes(study, truth, frame)))


Asked = tuple[int | None, int | None, float | None]
"""Groups, rows in each, effect."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """What one combination of sizes and effect has given."""

    row: dict[str, float]
    failures: pd.DataFrame
    """Columns `replicate, reason`."""


@dataclass(frozen=True, slots=True)
class _Study:
    """What is the same for all combinations; see `power`."""

    target: str
    group: str
    alpha: float
    ddf: str | None
    n: int
    workers: int
    progress: bool

    def simulate(self, truth: DataModel, asked: Asked, rng: np.random.Generator) -> _Cell:
        """Simulate one combination."""
        n_groups, n_within, effect = asked
        model = truth if effect is None else with_effect(truth, self.target, effect)
        if (n_groups, n_within) != (None, None):
            model = resize(model, self.group, n_groups, n_within)
        pilot, *generators = rng.spawn(self.n + 1)
        task = make_task(model, self.target, self.ddf, pilot)
        outcomes = list(run_replicates(task, generators, task.chunk, self.workers, self.progress))
        sizes = [len(outcome.p_values) for outcome in outcomes]
        lost = failure_frame([outcome.failures for outcome in outcomes], sizes)
        names = ("n_groups", "n_within", "effect")
        given = {name: v for name, v in zip(names, asked, strict=True) if v is not None}
        return _Cell({**given, "n_obs": model.design.n, **_share(outcomes, self.alpha)}, lost)


def _truth(model: Fitted | DataModel, data: Frame | None) -> DataModel:
    if not isinstance(model, DataModel | Fitted):
        raise OptionError(
            f"Power is asked of a fit or of assumed parameters, not of a {type(model).__name__}; "
            "use `hglm.fit` or `hglm.assume` first."
        )
    if not isinstance(model, DataModel):
        truth = data_model(model)
        return truth if data is None else with_data(truth, model.spec, data)
    if data is not None:
        raise OptionError(
            "Other data can be given for a fit only; assumed parameters come with theirs, so give "
            "them to `hglm.assume`."
        )
    return model


def _values(asked: T | Sequence[T] | None) -> list[T | None]:
    """As a list; None for what was not asked for."""
    given: list[T | None] = [None] if asked is None else np.atleast_1d(np.asarray(asked)).tolist()
    if not given:
        raise OptionError("A list of sizes or effects is empty; give at least one value.")
    return given


def _share(outcomes: Sequence[Outcome], alpha: float) -> dict[str, float]:
    """Power and how sure it is, from the fits that succeeded."""
    p = np.concatenate([outcome.p_values for outcome in outcomes])
    singular = np.concatenate([outcome.singular for outcome in outcomes])
    fitted = np.isfinite(p)
    hits, n = int(np.sum(p[fitted] <= alpha)), int(fitted.sum())
    low, high = wilson_interval(hits, n)
    return {
        "n": n,
        "successes": hits,
        "power": hits / n if n else np.nan,
        "conf_low": low,
        "conf_high": high,
        "failures": len(p) - n,
        "singular": float(singular[fitted].mean()) if n else np.nan,
    }


def _notes(study: _Study, truth: DataModel, frame: pd.DataFrame) -> Iterator[str]:
    yield (
        f"{study.n} data sets simulated for each row; share with p of at most {study.alpha:g} by "
        f"{test_in_words(truth, study.target, study.ddf)}; 95% Wilson intervals of the simulation."
    )
    if "effect" not in frame:
        value = true_value(truth, study.target)
        if value is not None:
            yield f"The true value of {study.target} is {value:.4g}."
    lost = int(frame["failures"].sum())
    if lost:
        yield f"{lost} simulated data sets could not be fitted and are left out."
