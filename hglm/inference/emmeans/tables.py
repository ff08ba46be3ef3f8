"""Estimable sets as frames: estimates, tests and intervals, adjusted within groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from hglm.errors import OptionError
from hglm.inference.emmeans.adjustments import Adjustment, Comparisons, find_adjustment
from hglm.inference.emmeans.estimable import EstimableSet
from hglm.inference.tests import RowTests, row_tests
from hglm.typing import Codes, Matrix, Vector

__all__ = ["Display", "Side", "adjustment_of", "estimate_frame", "hypothesis_frame", "joint_frame"]

Side: TypeAlias = Literal["two-sided", "less", "greater"]


@dataclass(frozen=True, slots=True)
class Display:
    """How an estimable set is shown."""

    level: float = 0.95
    """Coverage of intervals."""
    adjust: str = "none"
    """Adjustment for several tests."""
    response: bool = False
    """Whether on the scale of the response."""


def estimate_frame(functions: EstimableSet, display: Display) -> pd.DataFrame:
    """Tabulate estimates with tests against zero and intervals.

    On the scale of the response the standard errors are the delta method's, the
    intervals transformed ends, and the tests those of the linear predictor.

    Parameters
    ----------
    functions
        What to show.
    display
        How.

    Returns
    -------
    DataFrame
        Labels and `estimate, std_error, df, conf_low, conf_high, statistic,
        p_value`; missing where the data do not determine a row.
    """
    tests = _row_tests(functions, 0.0)
    method = adjustment_of(functions, display.adjust)
    p_value, half = np.full((2, len(tests.df)), np.nan)
    for rows, comparisons in _families(functions, tests, tests.p_value):
        adjusted = method.prepare(comparisons)
        p_value[rows] = adjusted.p_values()
        half[rows] = adjusted.half_widths(display.level) * tests.std_error[rows]
    estimate, error = tests.estimate, tests.std_error
    low, high = estimate - half, estimate + half
    if display.response:
        estimate, slope = functions.scale.response(estimate)
        error = np.abs(slope) * error
        ends = functions.scale.response(low)[0], functions.scale.response(high)[0]
        low, high = np.minimum(*ends), np.maximum(*ends)
    return _beside(
        functions.labels,
        estimate=estimate,
        std_error=error,
        df=tests.df,
        conf_low=low,
        conf_high=high,
        statistic=tests.statistic,
        p_value=p_value,
    )


def hypothesis_frame(
    functions: EstimableSet, adjust: str, null: float = 0.0, side: Side = "two-sided"
) -> pd.DataFrame:
    """Tabulate tests of each row, on the scale of the linear predictor.

    Parameters
    ----------
    functions
        What to test.
    adjust
        Adjustment for several tests.
    null
        Value under the hypothesis.
    side
        Alternative: ``"two-sided"``, ``"less"`` or ``"greater"``.

    Returns
    -------
    DataFrame
        Labels and `estimate, std_error, df, null, statistic, p_value`.
    """
    tests = _row_tests(functions, null)
    method = adjustment_of(functions, adjust)
    if side not in ("two-sided", "less", "greater"):
        raise OptionError(f'The option side={side!r} is none of "two-sided", "less", "greater".')
    if side != "two-sided" and method.two_sided_only:
        raise OptionError(
            f'The adjustment "{adjust}" is for two-sided tests; use "sidak" or "holm" for others.'
        )
    plain = tests.p_value
    if side != "two-sided":
        agrees = (tests.statistic < 0.0) == (side == "less")
        plain = np.where(agrees, 0.5 * plain, 1.0 - 0.5 * plain)
    p_value = np.full(len(plain), np.nan)
    for rows, comparisons in _families(functions, tests, plain):
        p_value[rows] = method.prepare(comparisons).p_values()
    return _beside(
        functions.labels,
        estimate=tests.estimate,
        std_error=tests.std_error,
        df=tests.df,
        null=np.full(len(plain), null),
        statistic=tests.statistic,
        p_value=p_value,
    )


def joint_frame(functions: EstimableSet, null: float = 0.0) -> pd.DataFrame:
    """Test all rows of each group together.

    Parameters
    ----------
    functions
        What to test.
    null
        Value under the hypothesis.

    Returns
    -------
    DataFrame
        One row a group: `num_df, den_df, statistic` (F), `p_value`.
    """
    groups = functions.groups()
    tests = [functions.take(rows).joint_test(null) for rows in groups]
    first = functions.labels[list(functions.by)].iloc[[rows[0] for rows in groups]]
    return _beside(
        first.reset_index(drop=True),
        num_df=[test.num_df for test in tests],
        den_df=[test.den_df for test in tests],
        statistic=[test.F for test in tests],
        p_value=[test.p_value for test in tests],
    )


def adjustment_of(functions: EstimableSet, name: str) -> Adjustment:
    """Look an adjustment up; Tukey's becomes Sidak's where not all pairs are compared."""
    if str(name).casefold() == "tukey" and not functions.all_pairs:
        return find_adjustment("sidak")
    return find_adjustment(name)


def _beside(labels: pd.DataFrame, **columns: Any) -> pd.DataFrame:
    """Put numbers beside labels."""
    for name in columns:
        if name in labels:
            raise OptionError(
                f"The variable `{name}` has the name of a column of results; rename it in the data."
            )
    return labels.assign(**columns)


def _row_tests(functions: EstimableSet, null: float) -> RowTests:
    """Test each row by itself; missing where the data do not determine it."""
    tests = row_tests(functions.beta, functions.method, functions.rows, null - functions.offset)
    known = functions.estimable & (tests.std_error > 0.0)
    missing = [np.where(known, x, np.nan) for x in (tests.statistic, tests.df, tests.p_value)]
    error = np.where(functions.estimable, tests.std_error, np.nan)
    return RowTests(functions.estimate, error, *missing)


def _families(
    functions: EstimableSet, tests: RowTests, p_value: Vector
) -> list[tuple[Codes, Comparisons]]:
    """Collect tests that are judged together: those of each group that can be made."""
    out = []
    for group in functions.groups():
        rows = group[np.isfinite(tests.statistic[group])]
        if not len(rows):
            continue
        k = int(np.ceil(0.5 + np.sqrt(0.25 + 2.0 * len(rows))))  # k means have k(k-1)/2 pairs
        comparisons = Comparisons(
            tests.statistic[rows],
            tests.df[rows],
            p_value[rows],
            _correlation(functions.take(rows).vcov),
            k if functions.all_pairs else None,
        )
        out.append((rows, comparisons))
    return out


def _correlation(vcov: Matrix) -> Matrix:
    size = np.sqrt(np.diagonal(vcov))
    out: Matrix = vcov / np.outer(size, size)
    return out
