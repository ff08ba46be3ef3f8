"""How numbers look: every rule by which a column of a frame becomes text.

A format turns a whole column into cells at once, so that what belongs together
has the same number of decimals. An estimate is shown as finely as its standard
error deserves: the last digit is the third significant one of the smallest
standard error in the column. Where the standard errors of a column differ by
more than four powers of ten, each row has its own last digit; where that digit
is very small or very large, the row is written in powers of ten. Missing values
are empty cells. Cells are plain ASCII: `-` is the minus sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import pandas as pd

from hglm.typing import Vector

__all__ = [
    "Count",
    "DegreesOfFreedom",
    "Estimate",
    "Fixed",
    "Format",
    "Given",
    "PValue",
    "Significant",
    "Text",
    "count",
]

Column: TypeAlias = "pd.Series[Any]"

SPREAD = 1e2
"""Ratio of scales within a column above which rows are formatted one by one."""
WHOLE = 1e-4
"""Distance from a whole number that means nothing in degrees of freedom."""
FINEST, COARSEST = -7, 6
"""Powers of ten of the last digit between which numbers are written out."""


class Format(Protocol):
    """One way to write a column."""

    @property
    def numeric(self) -> bool:
        """Whether cells line up at the decimal point; else they start at the left."""
        ...

    def cells(self, values: Column, frame: pd.DataFrame) -> list[str]:
        """Write a column.

        Parameters
        ----------
        values : (n,)
        frame : (n, m)
            The frame of the column, for formats that look at its neighbours.
        """
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """Labels, as they are."""

    numeric: bool = False

    def cells(self, values: Column, frame: pd.DataFrame) -> list[str]:
        """Write each label as it is."""
        return ["" if missing else str(v) for v, missing in zip(values, values.isna(), strict=True)]


@dataclass(frozen=True, slots=True)
class Count:
    """Whole numbers; decimals only where there are any."""

    numeric: bool = True

    def cells(self, values: Column, frame: pd.DataFrame) -> list[str]:
        """Write to the last whole number, or to one decimal."""
        return [count(x) for x in _floats(values)]


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same number of decimals everywhere."""

    decimals: int
    numeric: bool = True

    def cells(self, values: Column, frame: pd.DataFrame) -> list[str]:
        """Write with the given decimals."""
        return [_written(x, -self.decimals) for x in _floats(values)]


@dataclass(frozen=True, slots=True)
class DegreesOfFreedom:
    """Whole numbers as such, a column with fractions to one decimal."""

    numeric: bool = True

    def cells(self, values: Column, frame: pd.DataFrame) -> list[str]:
        """Write whole, or all to one decimal."""
        numbers = _floats(values)
        finite = numbers[np.isfinite(numbers)]
        whole = np.allclose(finite, np.round(finite), rtol=0.0, atol=WHOLE)
        last = 0 if whole else -1
        return [_written(x, last) for x in numbers]


@dataclass(frozen=True, slots=True)
class PValue:
    """Probabilities to three decimals, the smallest as an inequality."""

    numeric: bool = True

    def cells(self, values: Column, frame: pd.DataFrame) -> list[str]:
        """Write to three decimals."""
        return ["<0.001" if x < 0.001 else _written(x, -3) for x in _floats(values)]


@dataclass(frozen=True, slots=True)
class Given:
    """Numbers that somebody chose: no more digits than each needs."""

    numeric: bool = True

    def cells(self, values: Column, frame: pd.DataFrame) -> list[str]:
        """Write to at most six significant digits."""
        return ["" if np.isnan(x) else f"{x:.6g}" for x in _floats(values)]


@dataclass(frozen=True, slots=True)
class Significant:
    """Significant digits of the smallest number in the column."""

    digits: int = 4
    numeric: bool = True

    def cells(self, values: Column, frame: pd.DataFrame) -> list[str]:
        """Write to digits of the smallest in the column."""
        numbers = _floats(values)
        return _scaled(numbers, np.abs(numbers), self.digits)


@dataclass(frozen=True, slots=True)
class Estimate:
    """As fine as the standard errors in column `error` deserve."""

    error: str = "std_error"
    digits: int = 3
    numeric: bool = True

    def cells(self, values: Column, frame: pd.DataFrame) -> list[str]:
        """Write to digits of the standard errors beside it."""
        if self.error not in frame:
            return Significant().cells(values, frame)
        numbers, errors = _floats(values), np.abs(_floats(frame[self.error]))
        known = np.isfinite(errors) & (errors > 0)
        return _scaled(numbers, np.where(known, errors, np.abs(numbers)), self.digits)


def count(x: float) -> str:
    """Write a number of things: ``"180"``, or ``"180.5"`` where it is no whole number."""
    return _written(x, 0 if not np.isfinite(x) or float(x).is_integer() else -1)


def _scaled(numbers: Vector, scales: Vector, digits: int) -> list[str]:
    """Write numbers to so many significant digits of their scales. (n,) each"""
    usable = np.isfinite(scales) & (scales > 0) & np.isfinite(numbers)
    if not usable.any():
        return [_written(x, 0) for x in numbers]
    least, most = scales[usable].min(), scales[usable].max()
    if most <= SPREAD * least:
        scales = np.full(len(numbers), least)
    else:
        scales = np.where(usable, scales, 10.0 ** (digits - 1))  # zeros have no decimals
    last = np.floor(np.log10(scales)).astype(int) + 1 - digits
    return [_written(x, power) for x, power in zip(numbers, last.tolist(), strict=True)]


def _written(x: float, last: int) -> str:
    """Write x with its last digit at 10**last; powers of ten where that is far from 0."""
    if np.isnan(x):
        return ""
    if np.isinf(x):
        return "inf" if x > 0 else "-inf"
    if FINEST <= last <= COARSEST:
        return f"{x:z.{max(0, -last)}f}"  # z: no minus sign before a rounded zero
    rounded = round(float(x), -last)
    if rounded == 0.0:
        return "0"
    return f"{rounded:.{int(np.floor(np.log10(abs(rounded)))) - last}e}"


def _floats(values: Column) -> Vector:
    return values.to_numpy(dtype=np.float64, na_value=np.nan)
