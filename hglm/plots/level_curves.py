"""Fitted curves of single levels, over one variable at typical values of all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from hglm.design import Design
from hglm.typing import Codes

__all__ = ["groups_above", "level_curves", "level_points"]

MOST_VALUES = 30
"""Distinct values of the variable in one level up to which a curve joins just these."""


def groups_above(design: Design, position: int) -> list[str]:
    """Find the grouping factors that are constant within the levels of a term, its own included.

    Parameters
    ----------
    design
        Of the fit.
    position
        Of the term in `design.mean.random`.
    """
    own = design.mean.random[position].codes
    out = []
    for term in design.mean.random:
        pairs = np.unique(np.column_stack([own, term.codes]), axis=0)
        if len(pairs) == len(np.unique(own)):
            out.append(term.group)
    return list(dict.fromkeys(out))


def level_points(design: Design, position: int, x: str, shown: Codes) -> pd.DataFrame:
    """Take the rows of the data that belong to levels: columns `x`, ``"response"``, ``"level"``."""
    term = design.mean.random[position]
    rows = np.flatnonzero(np.isin(term.codes, shown))
    return pd.DataFrame(
        {
            x: design.frame[x].to_numpy()[rows],
            "response": design.y[rows],
            "level": np.asarray(term.levels)[term.codes[rows]],
        }
    )


def level_curves(
    design: Design,
    position: int,
    x: str,
    shown: Codes,
    predict: Callable[[pd.DataFrame, Sequence[str]], pd.Series],
) -> pd.DataFrame:
    """Predict the levels over a variable.

    Other variables stand at a level's mean or, where they are no measurements, at its
    most frequent value. Random effects of factors that cross the levels are zero.

    Parameters
    ----------
    design
        Of the fit.
    position
        Of the term in `design.mean.random`.
    x
        The variable.
    shown
        Codes of the levels.
    predict
        From new data and names of grouping factors to means.

    Returns
    -------
    DataFrame
        Columns `x`, ``"fitted"`` and ``"level"``, by level and in the order of `x`.
    """
    term = design.mean.random[position]
    parts = [_grid(design.frame.iloc[np.flatnonzero(term.codes == code)], x) for code in shown]
    new = pd.concat(parts, ignore_index=True)
    fitted = predict(new, groups_above(design, position)).to_numpy()
    levels = np.repeat(np.asarray(term.levels)[shown], [len(part) for part in parts])
    return pd.DataFrame({x: new[x], "fitted": fitted, "level": levels})


def _grid(rows: pd.DataFrame, x: str) -> pd.DataFrame:
    values = rows[x].drop_duplicates().sort_values()
    if types.is_numeric_dtype(values) and len(values) > MOST_VALUES:
        values = pd.Series(np.linspace(values.min(), values.max(), 2 * MOST_VALUES))
    out = rows.iloc[np.zeros(len(values), dtype=int)].reset_index(drop=True)
    for name in rows.columns.drop(x):
        out[name] = pd.Series([_typical(rows[name])] * len(out), dtype=_wide(rows[name].dtype))
    return out.assign(**{x: values.to_numpy() if types.is_numeric_dtype(values) else values.array})


def _typical(values: pd.Series) -> Any:
    if _is_measured(values):
        return values.mean()
    return values.mode().iloc[0]


def _is_measured(values: pd.Series) -> bool:
    is_number = types.is_numeric_dtype(values) and not types.is_bool_dtype(values)
    return is_number and values.nunique() > 2


def _wide(dtype: Any) -> Any:
    """Return a type that holds means of integers."""
    return np.float64 if types.is_integer_dtype(dtype) else dtype
