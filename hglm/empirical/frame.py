"""Formula and data frame to arrays: rows first, then groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pandas as pd
from formulaic import Formula
from formulaic.errors import FormulaicError

from hglm.empirical.formula import EBayesFormula, Form
from hglm.errors import ColumnNotFoundError, DataError
from hglm.formula.hints import did_you_mean
from hglm.formula.lexer import spell_code, spell_name
from hglm.typing import BoolArray, Codes, Frame, Matrix, Vector

__all__ = ["Argument", "ModelFrame", "model_frame", "name_rows"]

Argument = str | float | npt.ArrayLike | None
"""A column (or an expression of columns), one number for all rows, or an array."""


@dataclass(frozen=True, slots=True)
class ModelFrame:
    """The complete rows of a data set, evaluated. G groups, n rows."""

    formula: EBayesFormula
    response: Matrix
    """(n, c) one column for each expression of the response."""
    X: Matrix
    """(n, p) covariates of the prior mean."""
    names: tuple[str, ...]
    """(p,) names of the covariates' columns."""
    group: str
    """Name of the grouping factor; "row" where every row is a group."""
    levels: pd.Index[Any]
    """(G,) labels of the groups."""
    codes: Codes
    """(n,) group of each row."""
    labels: pd.Index[Any]
    """(n,) names of the rows, for messages."""
    se: Vector | None
    """(n,) known standard errors."""
    exposure: Vector | None
    """(n,) exposures of counts."""
    frequencies: Vector | None
    """(n,) how many groups a row stands for; only where each row is a group."""
    notes: tuple[str, ...]

    @property
    def form(self) -> Form:
        """How the response was written."""
        return self.formula.form

    @property
    def n_groups(self) -> int:
        """G."""
        return len(self.levels)

    def sum(self, x: Vector) -> Vector:
        """Sum x (n,) over the rows of each group. (G,)"""
        return np.asarray(np.bincount(self.codes, x, self.n_groups), dtype=float)

    def multiplicity(self) -> Vector:
        """How many alike groups each group stands for. (G,)"""
        return np.ones(self.n_groups) if self.frequencies is None else self.sum(self.frequencies)


def model_frame(
    formula: EBayesFormula,
    data: Frame,
    se: Argument = None,
    exposure: Argument = None,
    frequencies: Argument = None,
) -> ModelFrame:
    """Evaluate a formula on a data frame; rows with missing values are left out."""
    frame = _to_pandas(data)
    response = np.column_stack([_evaluate(text, frame, formula) for text in formula.response])
    X, names = _covariates(formula, frame)
    extra = {
        "se": _argument(se, "se", frame, formula),
        "exposure": _argument(exposure, "exposure", frame, formula),
        "frequencies": _argument(frequencies, "frequencies", frame, formula),
    }
    _check_frequencies(extra["frequencies"], formula, frame.index)
    factor = _factor(formula, frame)
    present = [column for column in extra.values() if column is not None]
    numbers = np.column_stack([response, X, *present])
    kept = ~np.isnan(numbers).any(axis=1) & ~factor.isna().to_numpy()
    _check_rows(numbers, kept, frame.index)
    values = factor[kept].cat.remove_unused_categories()
    notes = () if kept.all() else (f"{int((~kept).sum())} rows with missing values left out",)
    return ModelFrame(
        formula=formula,
        response=response[kept],
        X=X[kept],
        names=names,
        group=":".join(formula.factors) or "row",
        levels=pd.Index(values.cat.categories),
        codes=values.cat.codes.to_numpy().astype(np.intp),
        labels=frame.index[kept],
        **{name: None if column is None else column[kept] for name, column in extra.items()},
        notes=notes,
    )


def name_rows(bad: object, labels: pd.Index[Any]) -> str:
    """Name the offending rows, the first five of them."""
    at = np.flatnonzero(np.asarray(bad, dtype=bool))
    rows = [str(label) for label in labels[at[:5]]]
    more = at.size - len(rows)
    return f"row{'s' if at.size > 1 else ''} {', '.join(rows)}" + (
        f" and {more} more" if more else ""
    )


def _to_pandas(data: Frame) -> pd.DataFrame:
    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, Mapping):
        return pd.DataFrame(data)
    try:
        out: pd.DataFrame = nw.from_native(data, eager_only=True).to_pandas()
    except TypeError as error:
        raise DataError(
            f"`data` is an object of type {type(data).__name__}; give a data frame of pandas, "
            "polars or pyarrow."
        ) from error
    return out


def _check_frequencies(
    frequencies: Vector | None, formula: EBayesFormula, labels: pd.Index[Any]
) -> None:
    if frequencies is None:
        return
    if formula.factors:
        raise DataError(
            "`frequencies` count groups that look alike, so each row must be a group; remove "
            f"`| {':'.join(formula.factors)}` from the formula."
        )
    bad: BoolArray = ~(frequencies > 0) | (frequencies != np.round(frequencies))
    if bad.any():
        raise DataError(
            f"Frequencies must be positive integers ({name_rows(bad, labels)}); drop or mend them."
        )


def _check_rows(numbers: Matrix, kept: BoolArray, labels: pd.Index[Any]) -> None:
    if not kept.any():
        raise DataError("No row is complete; there is nothing to learn from.")
    infinite = np.isinf(numbers).any(axis=1)
    if infinite.any():
        raise DataError(
            f"There are infinite values in {name_rows(infinite, labels)}; mend or remove them."
        )


def _evaluate(text: str, frame: pd.DataFrame, formula: EBayesFormula) -> Vector:
    """One numeric expression of the columns. (n,)"""
    if text in frame.columns:
        values = frame[text]
        if not (pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values)):
            raise DataError(f"`{text}` is not numeric; give numbers.")
        return values.to_numpy(dtype=float, na_value=np.nan)
    spelt = spell_name(text) if text.isidentifier() else spell_code(text)
    matrix = _matrix(f"0 + {spelt}", frame, formula)
    if matrix.shape[1] != 1:
        raise DataError(f"`{text}` is not one numeric column; write an expression of numbers.")
    return matrix.to_numpy(dtype=float)[:, 0]


def _covariates(formula: EBayesFormula, frame: pd.DataFrame) -> tuple[Matrix, tuple[str, ...]]:
    if formula.fixed == "0":
        return np.zeros((len(frame), 0)), ()
    matrix = _matrix(formula.fixed, frame, formula)
    return matrix.to_numpy(dtype=float), tuple(str(name) for name in matrix.columns)


def _matrix(text: str, frame: pd.DataFrame, formula: EBayesFormula) -> pd.DataFrame:
    unknown = sorted(
        str(name) for name in Formula(text).required_variables if name not in frame.columns
    )
    if unknown:
        raise ColumnNotFoundError(
            f"The data have no column `{unknown[0]}`, which `{formula.text}` needs. "
            f"{did_you_mean(unknown[0], frame.columns)}".rstrip()
        )
    try:
        out: pd.DataFrame = Formula(text).get_model_matrix(frame, na_action="ignore")
    except FormulaicError as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"`{text}` cannot be evaluated on the data: {reason}") from error
    return out


def _argument(
    value: Argument, name: str, frame: pd.DataFrame, formula: EBayesFormula
) -> Vector | None:
    """Column, expression, number or array to one number a row. (n,)"""
    if value is None:
        return None
    if isinstance(value, str):
        return _evaluate(value, frame, formula)
    array = np.asarray(value, dtype=float)
    if array.ndim == 0:
        return np.full(len(frame), float(array))
    if array.shape != (len(frame),):
        raise DataError(
            f"`{name}` has shape {array.shape} but the data have {len(frame)} rows; give one "
            "number a row."
        )
    return array


def _factor(formula: EBayesFormula, frame: pd.DataFrame) -> pd.Series[Any]:
    """Group of every row, as a categorical with its levels in order."""
    if not formula.factors:
        labels = frame.index if frame.index.is_unique else pd.RangeIndex(len(frame))
        codes = pd.Categorical.from_codes(np.arange(len(frame)), categories=labels)
        return pd.Series(codes, index=frame.index)
    for name in formula.factors:
        if name not in frame.columns:
            raise ColumnNotFoundError(
                f"The data have no column `{name}`, which groups `{formula.text}`. "
                f"{did_you_mean(name, frame.columns)}".rstrip()
            )
    if len(formula.factors) == 1:
        return frame[formula.factors[0]].astype("category").cat.as_ordered()
    parts = frame[list(formula.factors)]
    joined = parts.astype(str).agg(":".join, axis=1)
    return joined.mask(parts.isna().any(axis=1)).astype("category")
