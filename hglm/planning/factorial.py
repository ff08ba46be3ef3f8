"""Frames of experiments that have not been made yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from hglm.errors import OptionError
from hglm.numerics.replicates import check_count
from hglm.typing import AnyArray, Codes

__all__ = ["simulate_design"]

Values: TypeAlias = Sequence[Any]


def simulate_design(
    groups: Mapping[str, int],
    *,
    within: Mapping[str, Values] | None = None,
    between: Mapping[str, Mapping[str, Values]] | None = None,
    crossed: Mapping[str, int] | None = None,
    repeats: int = 1,
) -> pd.DataFrame:
    """Lay out a balanced experiment, without a response.

    Parameters
    ----------
    groups
        Grouping factors and their numbers of levels, each nested in the one before:
        ``{"school": 10, "pupil": 20}`` has 20 pupils in each of 10 schools, named
        ``"s1"``, ... and ``"s1.1"``, ...
    within
        Columns that vary within the innermost levels, each of which sees every
        combination of their values. Of labels the first given is the first level, with
        which contrasts compare the others.
    between
        Group -> columns that are constant within its levels. Combinations of their
        values are given to the levels in turn; a value given twice has twice the share.
    crossed
        Further grouping factors, such as items, of which every level meets every row.
    repeats
        Rows of each combination.

    Examples
    --------
    >>> simulate_design({"subject": 2}, within={"days": [0, 1]}, between={
    ...     "subject": {"arm": ["placebo", "drug"]}})
      subject  days      arm
    0      s1     0  placebo
    1      s1     1  placebo
    2      s2     0     drug
    3      s2     1     drug
    """
    within, between, crossed = within or {}, between or {}, crossed or {}
    _check(groups, within, between, crossed)
    check_count("repeats", repeats)
    levels = {**groups, **crossed}
    sizes = [*levels.values(), *map(len, within.values()), repeats]
    rows = np.indices(sizes).reshape(len(sizes), -1)  # the last varies fastest
    at = dict(zip([*levels, *within], rows, strict=False))
    units = {**_nested(groups, at), **{name: at[name] for name in crossed}}
    frame: dict[str, Any] = {}
    for name, labels in {**_nested_labels(groups), **_labels(crossed)}.items():
        frame[name] = pd.Categorical(np.asarray(labels, dtype=object)[units[name]], labels)
    for name, values in within.items():
        frame[name] = _taken(values, at[name])
    for group, columns in between.items():
        combinations = list(product(*columns.values()))
        turn = units[group] % len(combinations)
        for column, values in zip(columns, zip(*combinations, strict=True), strict=True):
            frame[column] = _taken(values, turn)
    return pd.DataFrame(frame)


def _nested(groups: Mapping[str, int], at: Mapping[str, Codes]) -> dict[str, Codes]:
    """Count the levels of each group over all the levels that hold them."""
    unit = np.zeros_like(next(iter(at.values())))
    out = {}
    for name, levels in groups.items():
        unit = unit * levels + at[name]
        out[name] = unit
    return out


def _nested_labels(groups: Mapping[str, int]) -> dict[str, list[str]]:
    """Label levels by those that hold them: s1, ..., s1.1, ..."""
    out: dict[str, list[str]] = {}
    outer: list[str] = []
    for name, levels in groups.items():
        inner = range(1, levels + 1)
        outer = [f"{o}.{i}" for o in outer for i in inner] or [f"{name[0]}{i}" for i in inner]
        out[name] = outer
    return out


def _labels(crossed: Mapping[str, int]) -> dict[str, list[str]]:
    return {
        name: [f"{name[0]}{i}" for i in range(1, levels + 1)] for name, levels in crossed.items()
    }


def _taken(values: Values, at: Codes) -> AnyArray | pd.Categorical:
    """Take values by position; labels keep the order in which they were given."""
    if not all(isinstance(value, str) for value in values):
        return pd.Series(list(values)).to_numpy()[at]
    return pd.Categorical(np.asarray(values, dtype=object)[at], list(dict.fromkeys(values)))


def _check(
    groups: Mapping[str, int],
    within: Mapping[str, Values],
    between: Mapping[str, Mapping[str, Values]],
    crossed: Mapping[str, int],
) -> None:
    if not groups:
        raise OptionError('Give at least one grouping factor, such as groups={"subject": 20}.')
    for name, levels in {**groups, **crossed}.items():
        check_count(f"levels of {name}", levels)
    unknown = [name for name in between if name not in {**groups, **crossed}]
    if unknown:
        raise OptionError(
            f"There is no group {unknown[0]!r} for columns to be constant in; the groups are "
            f"{', '.join(map(repr, [*groups, *crossed]))}."
        )
    columns = [*groups, *crossed, *within, *(c for part in between.values() for c in part)]
    twice = [name for name in columns if columns.count(name) > 1]
    if twice:
        raise OptionError(f"The column {twice[0]!r} is asked for twice; rename one.")
    for name, values in [*within.items(), *(i for part in between.values() for i in part.items())]:
        if len(values) == 0:
            raise OptionError(f"The column {name!r} has no values; give at least one.")
