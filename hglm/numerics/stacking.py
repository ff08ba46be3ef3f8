"""Several groups laid out one after the other, component by component: N columns.

One group, "main", is kept by levels. E (N, q_0) stands for one component of the products
of the others with it, A22 (N, N) for the products among the others. Where their entries
stand follows from the pattern of the cells alone and is found once; the entries
themselves are read in the same order whenever the values have changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from hglm.numerics.gramian import Gramian
from hglm.typing import Codes, Matrix, Vector

__all__ = ["across_places", "across_values", "among_places", "among_values", "widths"]


def widths(z: Gramian, groups: Sequence[int]) -> list[int]:
    """Columns k q of each group."""
    return [z.orders[t] * z.sizes[t] for t in groups]


def across_places(z: Gramian, main: int, rest: Sequence[int]) -> tuple[Codes, Codes]:
    """Rows and columns of the entries of E, in the order of the cells. (m,) each"""
    rows, cols = [], []
    for t, start in _starts(z, rest).items():
        cells = z.cells[max(t, main), min(t, main)]
        here, there = (cells.cols, cells.rows) if t < main else (cells.rows, cells.cols)
        for a in range(z.orders[t]):
            rows.append(here + start + a * z.sizes[t])
            cols.append(there)
    return np.concatenate(rows), np.concatenate(cols)


def across_values(z: Gramian, main: int, rest: Sequence[int]) -> Matrix:
    """Entries of E for each component of the main group. (k_0, m)"""
    parts = []
    for t in rest:
        values = z.cells[max(t, main), min(t, main)].values
        by_component = values.swapaxes(0, 1) if t > main else values  # (k_0, k, m)
        parts.append(by_component.reshape(len(by_component), -1))
    return np.concatenate(parts, axis=1)


def among_places(z: Gramian, rest: Sequence[int]) -> tuple[Codes, Codes]:
    """Rows and columns of the entries of A22. (m,) each"""
    rows, cols = [], []
    start = _starts(z, rest)
    for t in rest:
        level = np.arange(z.sizes[t])
        for a, b in _components(z, t, t):
            rows.append(start[t] + a * z.sizes[t] + level)
            cols.append(start[t] + b * z.sizes[t] + level)
        for s in (s for s in rest if s < t):
            for a, b in _components(z, t, s):
                r = start[t] + a * z.sizes[t] + z.cells[t, s].rows
                c = start[s] + b * z.sizes[s] + z.cells[t, s].cols
                rows += [r, c]
                cols += [c, r]
    return np.concatenate(rows), np.concatenate(cols)


def among_values(z: Gramian, rest: Sequence[int]) -> Vector:
    """Entries of A22. (m,)"""
    values = []
    for t in rest:
        values += [z.diagonal[t][a, b] for a, b in _components(z, t, t)]
        for s in (s for s in rest if s < t):
            values += [
                z.cells[t, s].values[a, b] for a, b in _components(z, t, s) for _ in range(2)
            ]
    return np.concatenate(values)


def _starts(z: Gramian, rest: Sequence[int]) -> dict[int, int]:
    """First column of each group."""
    ends = np.cumsum([0, *widths(z, rest)])
    return dict(zip(rest, ends.tolist(), strict=False))


def _components(z: Gramian, t: int, s: int) -> Iterator[tuple[int, int]]:
    return ((a, b) for a in range(z.orders[t]) for b in range(z.orders[s]))
