"""Likelihood-ratio tests whose null distribution is simulated.

Responses are drawn from the smaller model as it was fitted, and both models are fitted
to each. With T the statistic and T* those of n simulations,

    p = (1 + #{T* ≥ T}) / (n + 1)

(Davison & Hinkley 1997, Bootstrap Methods and their Application, section 4.2): valid where
chi-square is not, for variances that may be zero and for small samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hglm.errors import FitError, OptionError
from hglm.fitting.refit import make_refitter, refit
from hglm.fitting.refit_record import Refits, Refitter, attempt_complete
from hglm.inference.bootstrap import failure_frame
from hglm.inference.bootstrap_draws import draw_responses
from hglm.inference.bootstrap_shares import wilson_interval
from hglm.inference.compare import Candidate, compare_table
from hglm.numerics.replicates import Generators, check_count, run_replicates, spawn
from hglm.typing import Matrix, Vector

__all__ = ["BootstrapTest", "bootstrap_lrt"]

SAME = 1e-6
"""Statistics that differ by less are equal: both are optima found by iteration."""


@dataclass(frozen=True, slots=True, eq=False)
class BootstrapTest:
    """A likelihood-ratio test by simulation."""

    statistic: float
    """Twice the difference of the log likelihoods."""
    df: float
    """Parameters that the larger model has more."""
    p_value: float
    chi_square_p_value: float
    """P-value by the chi-square distribution, for comparison."""
    replicates: Vector
    """(n,) statistics under the null hypothesis; NaN where a fit failed."""
    failures: pd.DataFrame
    """Columns `replicate, reason`."""

    @property
    def mc_interval(self) -> tuple[float, float]:
        """95% interval for the p-value that infinitely many simulations would give."""
        t = self.replicates[np.isfinite(self.replicates)]
        return wilson_interval(int(np.sum(t >= self.statistic - SAME)), len(t))


def bootstrap_lrt(
    null: Candidate,
    alternative: Candidate,
    n: int = 1000,
    seed: np.random.Generator | int | None = None,
    *,
    workers: int = 1,
    progress: bool = False,
) -> BootstrapTest:
    """Test a model against a larger one by simulation.

    Parameters
    ----------
    null, alternative
        Fits to the same data, by maximum likelihood, or by REML with the same fixed part.
    n
        Number of simulations.
    seed
        Generator or seed; results do not depend on the number of workers.
    workers
        Processes; more than one needs joblib.
    progress
        Whether to show a bar, where tqdm is installed.
    """
    check_count("n", n)
    if null.estimates.n_parameters >= alternative.estimates.n_parameters:
        raise OptionError(
            f"{null.name} has no fewer parameters than {alternative.name}; give the smaller model, "
            "the null hypothesis, first."
        )
    row = compare_table([null, alternative], boundary=False).table.iloc[1]
    task = _Simulation(
        null,
        alternative,
        make_refitter(null.estimates, null.design),
        make_refitter(alternative.estimates, alternative.design),
    )
    parts = list(run_replicates(task, spawn(seed, n), task.chunk, workers, progress))
    t = np.concatenate([part.statistics for part in parts])
    found = t[np.isfinite(t)]
    failures = failure_frame(
        [part.failures for part in parts], [len(part.statistics) for part in parts]
    )
    if not len(found):
        raise FitError(
            f"None of the {n} simulations could be fitted by both models; the first one said: "
            f"{failures['reason'][0]}"
        )
    exceeding = int(np.sum(found >= row["chisq"] - SAME))
    return BootstrapTest(
        statistic=float(row["chisq"]),
        df=float(row["df"]),
        p_value=(1 + exceeding) / (len(found) + 1),
        chi_square_p_value=float(row["p_value"]),
        replicates=t,
        failures=failures,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    statistics: Vector
    failures: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class _Simulation:
    """Draws from the null hypothesis, and fits both models."""

    null: Candidate
    alternative: Candidate
    small: Refitter
    large: Refitter

    @property
    def chunk(self) -> int:
        """How many replicates are best done together."""
        return min(self.small.batch, self.large.batch)

    def __call__(self, generators: Generators) -> _Part:
        """Do one simulation a generator."""
        Y = draw_responses(self.null.estimates, self.null.design, generators)
        small = self.small.many(Y)
        large = self._improved(Y, small)
        statistics = np.maximum(2.0 * (large.llf - small.llf), 0.0)
        return _Part(statistics, {**large.failures, **small.failures})

    def _improved(self, Y: Matrix, small: Refits) -> Refits:
        """Fit the larger model; where it is worse than the smaller one, from the rows again."""
        large = self.large.many(Y)
        worse = np.flatnonzero(large.llf < small.llf - 0.5 * SAME)
        estimates, design = self.alternative.estimates, self.alternative.design
        again = [
            attempt_complete(lambda y: refit(estimates, design, y), Y[:, i], estimates)
            for i in worse
        ]
        return large.with_rows(worse, again)
