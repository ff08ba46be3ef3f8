"""The response, and the numbers that qualify each of its rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from hglm.design.groups import code_levels
from hglm.design.table import labels
from hglm.design.values import Evaluator
from hglm.errors import DataError
from hglm.typing import BoolArray, Vector

__all__ = ["Response", "check_row_numbers", "make_response"]


class Response(NamedTuple):
    """Left-hand side in numbers."""

    y: Vector  # (n,)
    trials: Vector | None  # (n,)
    levels: tuple[str, ...]  # categories that y codes, if any


def make_response(
    expressions: tuple[str, ...], values: Evaluator, trials: Vector | None, categorical: bool
) -> Response:
    """Compute the response.

    Parameters
    ----------
    expressions
        One expression, or successes and failures.
    trials : (n,), optional
        The argument of that name.
    categorical
        Whether the family models categories, so that text becomes 0, 1, ...
    """
    if len(expressions) == 2:
        return _proportion(expressions, values, trials)
    (expression,) = expressions
    raw = values.values(expression)
    is_category = isinstance(raw, (pd.Categorical, pd.Series)) and isinstance(
        raw.dtype, pd.CategoricalDtype
    )
    if not is_category:
        return Response(values.vector(expression, "response"), trials, ())
    codes, levels = code_levels(raw)
    if not categorical:
        raise DataError(
            f"The response `{expression}` holds text or categories, such as `{levels[0]}`, but "
            "the family models numbers; convert it, or choose a family for categories."
        )
    return Response(codes.astype(np.float64), trials, tuple(map(str, levels)))


def _proportion(expressions: tuple[str, ...], values: Evaluator, trials: Vector | None) -> Response:
    if trials is not None:
        raise DataError(
            "The response `cbind(successes, failures)` already says how many trials there were; "
            "leave out the argument `trials`."
        )
    successes, failures = (values.vector(expression, "response") for expression in expressions)
    for counts, expression in zip((successes, failures), expressions, strict=True):
        _check(counts >= 0, expression, "is negative", "give counts", values.index)
    total = successes + failures
    _check(total > 0, " + ".join(expressions), "is zero", "leave rows out", values.index)
    return Response(successes / total, total, ())


def check_row_numbers(values: Vector, name: str, index: pd.Index) -> None:
    """Check the argument `weights`, `frequencies` or `trials`.

    Parameters
    ----------
    values : (n,)
    """
    remedy = "leave rows without information out, or give positive numbers"
    _check(values > 0, name, "is not positive", remedy, index)
    if name != "weights":
        remedy = "give whole numbers; the argument `weights` takes fractions"
        _check(values == np.round(values), name, "is not a whole number", remedy, index)


def _check(good: BoolArray, name: str, fault: str, remedy: str, index: pd.Index) -> None:
    bad = np.flatnonzero(~good)
    if bad.size:
        raise DataError(f"`{name}` {fault} in {labels(index, bad)}; {remedy}.")
