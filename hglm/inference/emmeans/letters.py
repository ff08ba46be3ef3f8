"""Compact letter display: rows that share a letter do not differ.

The insert-and-absorb algorithm of Piepho (2004, J. Comput. Graph. Stat. 13,
456-466): start with one letter for all rows; for every pair that differs, split each
letter that both have into two, and drop letters whose rows are all within another's.
"""

from __future__ import annotations

from itertools import combinations
from string import ascii_letters

import numpy as np
import pandas as pd

from hglm.errors import OptionError
from hglm.inference.emmeans.contrasts import contrast
from hglm.inference.emmeans.estimable import EstimableSet
from hglm.inference.emmeans.tables import Display, estimate_frame
from hglm.typing import BoolArray

__all__ = ["compact_letters", "letter_frame"]


def compact_letters(differs: BoolArray) -> tuple[str, ...]:
    """Return letters such that two rows share one if and only if they do not differ.

    Parameters
    ----------
    differs : (k, k)
        Symmetric.

    Examples
    --------
    >>> compact_letters(np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], dtype=bool))
    ('a', 'ab', 'b')
    """
    k = len(differs)
    columns = [frozenset(range(k))]
    for i, j in combinations(range(k), 2):
        if not differs[i, j]:
            continue
        split = []
        for column in columns:
            both = i in column and j in column
            split += [column - {i}, column - {j}] if both else [column]
        columns = _absorbed(split)
    columns.sort(key=sorted)
    names = [_letter(position) for position in range(len(columns))]
    return tuple(
        "".join(name for name, column in zip(names, columns, strict=True) if row in column)
        for row in range(k)
    )


def letter_frame(
    means: EstimableSet, display: Display, alpha: float = 0.05, adjust: str = "tukey"
) -> pd.DataFrame:
    """Tabulate means with letters, sorted by size within groups.

    Parameters
    ----------
    means
        What to compare.
    display
        How the means are shown.
    alpha
        Two means differ if their adjusted p-value is less.
    adjust
        Adjustment of the pairwise comparisons.

    Returns
    -------
    DataFrame
        Columns of `estimate_frame`, and `letters`; none where there is no mean.
    """
    if not 0.0 < alpha < 1.0:
        raise OptionError(f"The option alpha={alpha!r} is not between 0 and 1; give 0.05, say.")
    table = estimate_frame(means, display)
    letters = np.full(len(table), "", dtype=object)
    order = []
    for rows in means.groups():
        known = rows[means.estimable[rows]]
        ranked = known[np.argsort(table["estimate"].to_numpy()[known], kind="stable")]
        if len(ranked):
            letters[ranked] = compact_letters(_differs(means.take(ranked), alpha, adjust))
        order += [*ranked, *np.setdiff1d(rows, known)]
    return table.assign(letters=letters).iloc[order].reset_index(drop=True)


def _differs(means: EstimableSet, alpha: float, adjust: str) -> BoolArray:
    """Whether two means differ. (k, k)"""
    k = len(means.rows)
    pairs = estimate_frame(contrast(means, "pairwise"), Display(adjust=adjust))
    out = np.zeros((k, k), dtype=bool)
    out[np.triu_indices(k, 1)] = pairs["p_value"].to_numpy() < alpha
    return out | out.T


def _absorbed(columns: list[frozenset[int]]) -> list[frozenset[int]]:
    """Leave out what is within another."""
    distinct = list(dict.fromkeys(columns))
    return [c for c in distinct if not any(c < other for other in distinct)]


def _letter(position: int) -> str:
    """Return a ... z A ... Z, then the same with numbers."""
    turn, place = divmod(position, len(ascii_letters))
    return ascii_letters[place] + (str(turn) if turn else "")
