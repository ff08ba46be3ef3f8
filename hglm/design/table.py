"""A data frame of any kind -> the columns a model needs, as pandas holds them.

pandas columns are taken as they are, without a copy where pandas allows it. Columns of other frames
go through narwhals, one by one. A categorical column keeps the documented
order of its categories; polars' `Categorical` has none, so its categories are
sorted like text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import narwhals.stable.v1 as nw
import numpy as np
import pandas as pd

from hglm.design.functions import columns_of, no_column
from hglm.errors import DataError
from hglm.typing import AnyArray, BoolArray, Codes, Frame

__all__ = ["Source", "Table", "labels", "open_frame", "used_categories"]


@dataclass(frozen=True, slots=True)
class Source:
    """A data frame before any column is read."""

    native: Any
    """pandas' frame, or one wrapped by narwhals."""
    names: tuple[str, ...]
    """Names of all columns."""
    index: pd.Index
    """(n_rows,) row labels: pandas' index, else 0 ... n_rows - 1."""
    title: str = "data"
    """What messages call the frame."""

    def columns_of(self, expression: str) -> dict[str, None]:
        """Names of the columns that an expression needs."""
        return dict.fromkeys(sorted(columns_of(expression, self.names, self.title)))

    def read(self, wanted: Iterable[str]) -> Table:
        """Take the columns that are needed."""
        return Table({name: self._column(name) for name in wanted}, self.index)

    def _column(self, name: str) -> pd.Series:
        if name not in self.names:
            raise no_column(name, self.names, self.title)
        count = self.names.count(name)
        if count > 1:
            raise DataError(
                f"The {self.title} have {count} columns named `{name}`; rename all but one of them."
            )
        position = self.names.index(name)
        if isinstance(self.native, pd.DataFrame):
            return _nan_is_missing(self.native[self.native.columns[position]])
        return _to_pandas(self.native[:, position])


@dataclass(frozen=True, slots=True)
class Table:
    """The columns that a model needs, all rows."""

    columns: Mapping[str, pd.Series]
    """Name -> (n_rows,) values."""
    index: pd.Index
    """(n_rows,) row labels."""

    @property
    def n_rows(self) -> int:
        """Number of rows, incomplete ones included."""
        return len(self.index)

    def missing(self) -> dict[str, BoolArray]:
        """Name -> (n_rows,) where the value is missing; only columns with some."""
        masks = {name: pd.isna(column.array) for name, column in self.columns.items()}
        return {name: mask for name, mask in masks.items() if mask.any()}

    def rows(self, kept: Codes | None = None) -> dict[str, pd.Series]:
        """Rows at `kept` (None: all) as plain numbers and categories, numbered from 0.

        What is written to the data afterwards does not show in them: pandas 3 copies a column
        when one of its owners writes to it, pandas 2 in `astype`.
        """
        index = self.index if kept is None else self.index[kept]
        rows = pd.RangeIndex(len(index))
        columns = {}
        for name, column in self.columns.items():
            values = _plain(column if kept is None else column.take(kept), name)
            values.index = rows
            _check_finite(values, name, index)
            columns[name] = values
        return columns


def open_frame(data: Frame, title: str = "data") -> Source:
    """Look at a data frame of any kind that narwhals knows."""
    if isinstance(data, pd.DataFrame):
        return Source(data, tuple(map(str, data.columns)), data.index, title)
    try:
        frame = nw.from_native(data, eager_only=True)
    except TypeError as error:
        kind = type(data).__name__
        remedy = "collect it first" if hasattr(data, "collect") else "make it a pandas.DataFrame"
        raise DataError(
            f"The data must be a data frame (pandas, polars, pyarrow, ...), not {kind}; {remedy}."
        ) from error
    except ValueError as error:
        raise DataError("The data have several columns of the same name; rename them.") from error
    return Source(frame, tuple(frame.columns), pd.RangeIndex(len(frame)), title)


def used_categories(values: pd.Categorical[Any]) -> pd.Categorical[Any]:
    """Categories that occur, in their order.

    pandas' own method sorts all codes; marking those that occur is faster.
    """
    present = np.zeros(len(values.categories) + 1, dtype=bool)  # one more for missing, code -1
    present[values.codes] = True
    return values if present[:-1].all() else values.remove_unused_categories()


def labels(index: pd.Index, positions: AnyArray, limit: int = 5) -> str:
    """Row labels at `positions` for a message: ``"row 3"``, ``"rows 3, 17, ..."``."""
    shown = ", ".join(str(label) for label in index[positions[:limit]])
    word = "row" if len(positions) == 1 else "rows"
    return f"{word} {shown}{', ...' if len(positions) > limit else ''}"


def _nan_is_missing(column: pd.Series) -> pd.Series:
    """Nullable floats as NumPy's, where NaN and missing are the same."""
    if isinstance(column.dtype, np.dtype) or not pd.api.types.is_float_dtype(column.dtype):
        return column
    return pd.Series(column.to_numpy(np.float64, na_value=np.nan))


def _to_pandas(column: nw.Series[Any]) -> pd.Series:
    native = column.to_native()
    if isinstance(column.dtype, nw.Enum):
        values = pd.Categorical(column.to_list(), categories=list(native.dtype.categories))
        return pd.Series(values)
    if isinstance(column.dtype, nw.Categorical) and not column.implementation.is_polars():
        return pd.Series(native.to_pandas())
    return pd.Series(column.to_numpy())


def _plain(column: pd.Series, name: str) -> pd.Series:
    """NumPy numbers or sorted categories of a column without missing values."""
    dtype: Any = column.dtype
    types = pd.api.types
    if types.is_complex_dtype(dtype):
        raise DataError(f"Column `{name}` holds complex numbers; take their parts first.")
    if isinstance(dtype, pd.CategoricalDtype):
        used = used_categories(cast("Any", column.array))
        return column.astype(dtype) if used is column.array else pd.Series(used)
    if types.is_bool_dtype(dtype) or types.is_numeric_dtype(dtype):
        return column.astype(_plain_type(dtype))
    if isinstance(dtype, pd.StringDtype):
        return pd.Series(_categories(column.array, name))
    if types.is_datetime64_any_dtype(dtype) or dtype.kind == "m":
        return pd.Series(np.array(column))
    return pd.Series(_plain_objects(np.asarray(column, dtype=object), name))


def _plain_type(dtype: Any) -> np.dtype[Any]:
    if pd.api.types.is_bool_dtype(dtype):
        return np.dtype(np.bool_)
    if not pd.api.types.is_integer_dtype(dtype):
        return np.dtype(np.float64)
    return np.dtype(np.uint64 if dtype.kind == "u" and dtype.itemsize == 8 else np.int64)


def _plain_objects(values: AnyArray, name: str) -> Any:
    """Python objects as numbers where they are numbers, else as categories."""
    kind = pd.api.types.infer_dtype(values, skipna=False)
    if kind == "boolean":
        return values.astype(bool)
    if kind == "integer":
        return values.astype(np.int64)
    if kind in ("floating", "decimal", "mixed-integer-float"):
        return values.astype(np.float64)
    return _categories(values, name)


def _categories(values: Any, name: str) -> Any:
    try:
        codes, levels = pd.factorize(values, sort=True)
    except TypeError as error:
        raise DataError(
            f"Column `{name}` mixes values that cannot be sorted; make them all text or numbers."
        ) from error
    return pd.Categorical.from_codes(codes, cast("Any", pd.Index(levels)))


def _check_finite(values: pd.Series, name: str, index: pd.Index) -> None:
    if values.dtype.kind == "f":
        bad = np.flatnonzero(~np.isfinite(values.to_numpy()))
        if bad.size:
            raise DataError(
                f"Column `{name}` is infinite in {labels(index, bad)}; mend the values, or make "
                "them missing to leave these rows out."
            )
