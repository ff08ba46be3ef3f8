"""Grouping factors as integer codes.

Levels are sorted, as in R's `factor`, except that a categorical column keeps
the order of its categories. Levels that do not occur are left out. The levels
of an interaction are the combinations that occur, the first factor varying
slowest; their codes come from arithmetic on the factors' codes, their labels
(``"a:A"``) from the factors' labels, once a level rather than once a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hglm.design.table import used_categories
from hglm.typing import AnyArray, Codes

__all__ = ["Grouping", "code_levels", "joined", "make_grouping"]


@dataclass(frozen=True, slots=True)
class Grouping:
    """Levels of one grouping factor and how rows are assigned to them."""

    factors: tuple[str, ...]
    """Expressions whose interaction is the grouping."""
    factor_levels: tuple[pd.Index, ...]
    """Levels of each factor."""
    combinations: tuple[Codes, ...]
    """For each factor after the first, the sorted numbers
    ``code so far * n_levels of this factor + its code`` that occur."""
    levels: pd.Index
    """(n_levels,) labels."""

    def codes(self, values: Sequence[Any]) -> Codes:
        """Assign rows to the levels.

        Parameters
        ----------
        values
            (n,) values of each factor.

        Returns
        -------
        codes : (n,)
            Positions in `levels`; -1, -2, ... for each distinct new level.
        """
        first, *further = (
            _look_up(levels, column)
            for levels, column in zip(self.factor_levels, values, strict=True)
        )
        codes = first
        for inner, levels, seen in zip(
            further, self.factor_levels[1:], self.combinations, strict=True
        ):
            number = np.where((codes < 0) | (inner < 0), -1, codes * len(levels) + inner)
            position = np.searchsorted(seen, number)
            found = seen[np.minimum(position, len(seen) - 1)] == number
            codes = np.where(found, position, -1)
        new = np.flatnonzero(codes < 0)
        if new.size:
            codes[new] = -1 - pd.factorize(joined([np.asarray(x)[new] for x in values]))[0]
        return codes


def joined(values: Sequence[Any]) -> pd.Index:
    """Names of the levels of rows, ``"a:A"`` for interactions.

    Parameters
    ----------
    values
        (n,) values of each factor.
    """
    first, *further = (pd.Index(np.asarray(column)) for column in values)
    labels: pd.Index = first
    for column in further:
        labels = pd.Index(_text(labels) + ":" + _text(column))
    return labels


def make_grouping(factors: tuple[str, ...], values: Sequence[Any]) -> tuple[Codes, Grouping]:
    """Code the rows by one factor or an interaction.

    Parameters
    ----------
    values
        (n,) values of each factor, none missing.

    Returns
    -------
    codes : (n,)
    grouping
    """
    coded = [code_levels(column) for column in values]
    codes, labels = coded[0]
    combinations = []
    for inner, levels in coded[1:]:
        codes, seen = _dense(codes * len(levels) + inner)
        outer, within = np.divmod(seen, len(levels))
        labels = pd.Index(_text(labels)[outer] + ":" + _text(levels)[within])
        combinations.append(seen)
    factor_levels = tuple(levels for _, levels in coded)
    return codes, Grouping(factors, factor_levels, tuple(combinations), labels)


def code_levels(values: Any) -> tuple[Codes, pd.Index]:
    """Code one factor's values by its levels that occur.

    Parameters
    ----------
    values : (n,)

    Returns
    -------
    codes : (n,)
    levels : (n_levels,)
    """
    if isinstance(getattr(values, "dtype", None), pd.CategoricalDtype):
        categorical = used_categories(getattr(values, "array", values))
        return categorical.codes.astype(np.intp), categorical.categories
    array = np.asarray(values)
    if array.dtype.kind in "iu" and array.dtype != np.uint64:
        codes, seen = _dense(array.astype(np.int64, copy=False))
        return codes, pd.Index(seen)
    codes, levels = pd.factorize(array, sort=True)
    index = pd.Index(levels)
    if index.dtype.kind == "f" and np.all(levels == np.round(levels)):
        index = index.astype(np.int64)  # numbers of subjects read beside missing values
    return codes.astype(np.intp, copy=False), index


def _text(levels: pd.Index) -> AnyArray:
    """Labels as an array of Python strings, to be joined with `+`."""
    return np.array([str(level) for level in levels], dtype=object)


def _dense(values: Codes) -> tuple[Codes, Codes]:
    """Positions of integers among their sorted distinct values.

    A table indexed by value is many times faster than hashing, and is used
    where the values do not range much wider than there are rows.
    """
    low, high = int(values.min()), int(values.max())
    if high - low > 4 * len(values) + 1024:
        codes, levels = pd.factorize(values, sort=True)
        return codes.astype(np.intp, copy=False), levels
    offsets = values - low
    present = np.zeros(high - low + 1, dtype=bool)
    present[offsets] = True
    levels = np.flatnonzero(present) + low
    if present.all():
        return offsets, levels
    return (np.cumsum(present) - 1)[offsets], levels


def _look_up(levels: pd.Index, values: Any) -> Codes:
    """Positions of values among known levels, -1 where unknown."""
    if isinstance(getattr(values, "dtype", None), pd.CategoricalDtype):
        categorical = pd.Categorical(values)
        of_category = np.append(levels.get_indexer(categorical.categories), -1)
        return np.asarray(of_category[categorical.codes], dtype=np.intp)
    return np.asarray(levels.get_indexer(pd.Index(np.asarray(values))), dtype=np.intp)
