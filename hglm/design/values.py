"""Values of expressions and arguments as checked float vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from formulaic.errors import FormulaicError
from formulaic.utils.layered_mapping import LayeredMapping
from formulaic.utils.stateful_transforms import stateful_eval

from hglm.design.functions import FUNCTIONS
from hglm.design.table import labels
from hglm.errors import DataError
from hglm.typing import AnyArray, Vector

__all__ = [
    "EVALUATION_ERRORS",
    "Evaluator",
    "array_argument",
    "check_computed",
    "not_computed",
    "numeric",
]

EVALUATION_ERRORS = (
    ArithmeticError,
    AttributeError,
    FormulaicError,
    LookupError,
    NameError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What the evaluation of a user's expression raises."""

_State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Computes expressions from the rows in use."""

    columns: Mapping[str, pd.Series]
    """Name -> (n,) values, complete cases."""
    index: pd.Index
    """(n,) row labels, for messages."""
    states: dict[str, _State] = field(default_factory=dict)
    """Expression -> what its stateful transforms remember; grows at first use."""

    def values(self, expression: str) -> Any:
        """Column, or value of a Python expression of columns."""
        if expression in self.columns:
            return self.columns[expression]
        state = self.states.setdefault(expression, {})
        environment = LayeredMapping(self.columns, FUNCTIONS)
        try:
            with np.errstate(all="ignore"):
                return stateful_eval(expression, environment, None, state, None)
        except EVALUATION_ERRORS as error:
            raise not_computed(f"`{expression}`", error) from error

    def factor(self, expression: str) -> Any:
        """Values of a grouping factor, none missing."""
        values = self.values(expression)
        if expression not in self.columns:
            if np.shape(values) != (len(self.index),):
                raise DataError(
                    f"The grouping factor `{expression}` has shape {np.shape(values)}, but one "
                    f"value is needed for each of {len(self.index)} rows."
                )
            missing = np.flatnonzero(pd.isna(values))
            if missing.size:
                raise DataError(
                    f"The grouping factor `{expression}` is missing in "
                    f"{labels(self.index, missing)} after it is computed; mend the expression."
                )
        return values

    def vector(self, expression: str, role: str) -> Vector:
        """Numbers of an expression, one a row.

        Returns
        -------
        values : (n,)
        """
        values = numeric(self.values(expression), f"The {role} `{expression}`", len(self.index))
        check_computed(values, expression, self.index)
        return values


def not_computed(what: str, error: Exception) -> DataError:
    """Error for an expression whose evaluation raised."""
    reason = str(error).partition("\n")[0].rstrip(".")
    return DataError(f"{what} cannot be computed ({reason}); mend the expression or the data.")


def numeric(values: Any, what: str, n: int) -> Vector:
    """Convert to n float64 numbers, or say why that cannot be.

    Returns
    -------
    values : (n,)
    """
    array = np.asarray(getattr(values, "__wrapped__", values))
    if isinstance(values, pd.Series) and isinstance(values.dtype, pd.CategoricalDtype):
        array = np.asarray(values.astype(object))
    if array.dtype.kind not in "biuf":
        shown = f", such as {array.flat[0]!r}" if array.size else ""
        raise DataError(f"{what} is not numeric{shown}; convert it to numbers.")
    if array.ndim == 0:
        array = np.broadcast_to(array, (n,))
    if array.shape != (n,):
        raise DataError(
            f"{what} has shape {array.shape}, but one number is needed for each of {n} rows."
        )
    return array.astype(np.float64)


def check_computed(values: AnyArray, expression: str, index: pd.Index) -> None:
    """Raise where an expression of finite columns is not finite itself.

    Parameters
    ----------
    values : (n,)
    """
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        kind = "not a number" if np.isnan(values[bad[0]]) else "infinite"
        raise DataError(
            f"`{expression}` is {kind} in {labels(index, bad)}; look at the values it is computed "
            "from, or make them missing to leave these rows out."
        )


def array_argument(values: Any, name: str, n_rows: int) -> pd.Series:
    """Values of an argument given as an array: they belong to the rows by position.

    Returns
    -------
    values : (n_rows,)
    """
    if np.ndim(values) != 1 or len(values) != n_rows:
        size = f"length {len(values)}" if np.ndim(values) == 1 else f"shape {np.shape(values)}"
        raise DataError(
            f"The argument `{name}` has {size}, but the data have {n_rows} rows; give one value "
            "for each row, or the name of a column."
        )
    return pd.Series(values).reset_index(drop=True)
