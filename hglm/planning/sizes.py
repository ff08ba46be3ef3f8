"""The same experiment with more or fewer groups, or rows in each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hglm.errors import DataError
from hglm.inference.resampling import check_groups, copy_rows, group_codes
from hglm.numerics.rank import independent_columns
from hglm.numerics.replicates import check_count
from hglm.planning.data_model import DataModel

__all__ = ["resize"]


def resize(
    model: DataModel, group: str, n_groups: int | None = None, n_within: int | None = None
) -> DataModel:
    """Change the size of a design, all parameters staying as they are.

    Parameters
    ----------
    model
        To start from.
    group
        Grouping factor of which there are to be other numbers.
    n_groups
        Levels; those of the design are taken evenly, several times if there are not enough,
        each copy being a level of its own with the rows of its original.
    n_within
        Rows of each level: the first ones in the order of the data, from the start again
        where there are not enough.

    Raises
    ------
    DataError
        If the fixed effects could not be estimated from such data.
    """
    design = model.design
    check_groups(design, group)
    codes = group_codes(design)[group].codes
    size = int(codes.max()) + 1
    wanted = size if n_groups is None else check_count("n_groups", n_groups, 2)
    chosen = np.arange(wanted) * size // wanted
    parts = []
    for level in chosen:
        rows = np.flatnonzero(codes == level)
        count = len(rows) if n_within is None else check_count("n_within", n_within)
        parts.append(np.resize(rows, count))
    grown = copy_rows(design, group, parts)
    if len(independent_columns(grown.mean.X)) < grown.mean.X.shape[1]:
        raise DataError(
            f"With {wanted} levels of {group!r}"
            + (f" and {n_within} rows in each" if n_within is not None else "")
            + " not every fixed effect can be estimated; plan for more, or order the data so that "
            "the first rows differ in the predictors."
        )
    return replace(model, design=grown)
