"""The same experiment with more or fewer groups, or rows in each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hglm.design.arrays import Design
from hglm.errors import DataError, OptionError
from hglm.inference.resampling import ROWS, check_groups, copy_rows, group_codes
from hglm.numerics.rank import independent_columns
from hglm.numerics.replicates import check_count
from hglm.planning.data_model import DataModel
from hglm.typing import Codes, Matrix

__all__ = ["check_estimable", "resize"]


def resize(
    model: DataModel, group: str, n_groups: int | None = None, n_within: int | None = None
) -> DataModel:
    """Change the size of a design, all parameters staying as they are.

    What there is of levels, and of rows in each, is taken evenly: sorted by the
    predictors, so that arms and conditions keep their shares, and several times if there
    is not enough. Each copy of a level is a level of its own.

    Parameters
    ----------
    model
        To start from.
    group
        Grouping factor of which there are to be other numbers.
    n_groups
        Levels.
    n_within
        Rows of each level.

    Raises
    ------
    DataError
        If the fixed effects could not be estimated from such data.
    """
    design = model.design
    if group == ROWS:
        raise OptionError(
            "The model has no grouping factor to be larger or smaller; lay out the data of other "
            "sizes yourself, for instance by `simulate_design`."
        )
    check_groups(design, group)
    codes = group_codes(design)[group].codes
    size = int(codes.max()) + 1
    wanted = size if n_groups is None else check_count("n_groups", n_groups, 2)
    columns = np.column_stack([p.X for p in (design.mean, *design.others.values())])
    chosen = evenly(_levels_by_design(columns, codes, size), wanted)
    rows = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    parts = [rows[level] for level in chosen]
    if n_within is not None:
        each = check_count("n_within", n_within)
        parts = [evenly(part[_order(columns[part])], each) for part in parts]
    grown = copy_rows(design, group, parts)
    within = f" and {n_within} rows in each" if n_within is not None else ""
    check_estimable(grown, f"With {wanted} levels of {group!r}{within}")
    return replace(model, design=grown)


def check_estimable(design: Design, given: str) -> None:
    """Raise unless every fixed effect can be estimated.

    Parameters
    ----------
    design
        Planned.
    given
        In words, to begin the message with.
    """
    for predictor in (design.mean, *design.others.values()):
        if len(independent_columns(predictor.X)) < predictor.X.shape[1]:
            raise DataError(
                f"{given} not every fixed effect can be estimated; plan for more, or for a simpler "
                "model."
            )


def evenly(items: Codes, wanted: int) -> Codes:
    """Take so many, evenly from first to last, several times if there are not enough.

    In order of the items themselves.

    Examples
    --------
    >>> evenly(np.arange(10), 5)
    array([1, 3, 5, 7, 9])
    >>> evenly(np.arange(3), 4)
    array([0, 1, 1, 2])
    """
    middles = (np.arange(wanted) + 0.5) * len(items) / wanted
    return np.sort(items[middles.astype(np.intp)])


def _levels_by_design(columns: Matrix, codes: Codes, size: int) -> Codes:
    """Sort levels by the columns that are constant in all of them. (size,)"""
    first = np.unique(codes, return_index=True)[1]
    values = columns[first]  # (size, p)
    constant = (columns == values[codes]).all(axis=0)
    return _order(values[:, constant]) if constant.any() else np.arange(size)


def _order(columns: Matrix) -> Codes:
    """Sort rows by their columns, the first one first; else as they are. (n,)"""
    return np.lexsort(columns.T[::-1])
