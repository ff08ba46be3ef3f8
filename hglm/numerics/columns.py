"""Columns of a group's random effects, row by row.

A row of the data has one number for each *strip*. A plain column of Z is a strip
that stands in the same place in every row; k indicator columns are one strip that
moves from column to column. Z itself, (n, k) and mostly zeros for the latter, is
never formed, and neither are products of two columns that no row has in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hglm.numerics.grouping import Grouping
from hglm.typing import Codes, Matrix, Vector

__all__ = ["Products", "Strip", "as_strips", "order_of", "products", "spread"]


@dataclass(frozen=True, slots=True)
class Strip:
    """One number a row, and where in the group's columns it stands."""

    values: Vector
    """(n,)"""
    start: int
    """First of its columns."""
    codes: Codes | None = None
    """(n,) column of each row, counted from `start`; None: always the first."""
    width: int = 1
    """Number of columns."""

    @property
    def columns(self) -> slice:
        """Its columns within the group."""
        return slice(self.start, self.start + self.width)

    def add(self, block: Matrix, g: Grouping, x: Vector) -> None:
        """Sum products with x (n,) by level and column into the block (k, q), in place."""
        if self.codes is None:
            block[self.start] += g.sum_products(self.values, x)
            return
        cells = self._cells(g)
        sums = np.bincount(cells, self.values * x, self.width * g.n_levels)
        block[self.columns] += sums.reshape(self.width, g.n_levels)

    def read(self, block: Matrix, g: Grouping) -> Vector:
        """Take from the block (k, q) what belongs to each row. (n,)"""
        if self.codes is None:
            return spread(g, block[self.start])
        return np.take(block[self.columns].reshape(-1), self._cells(g), mode="clip")

    def _cells(self, g: Grouping) -> Codes:
        assert self.codes is not None
        return self.codes * g.n_levels + g.codes


@dataclass(frozen=True, slots=True)
class Products:
    """Where products of two strips stand in blocks (k, k', m) over m cells of rows."""

    rows: slice | Codes
    cols: slice | Codes
    """Places in the first two axes: a rectangle, or a diagonal where both are lists."""
    shape: tuple[int, ...]
    """Of the part of the block at these places."""
    cells: Grouping
    """Row of the data -> place in that part, flattened."""

    def add(self, block: Matrix, x: Vector, y: Vector) -> None:
        """Sum x∘y (n,) into the block, in place."""
        block[self.rows, self.cols] += self.cells.sum_products(x, y).reshape(self.shape)

    def read(self, block: Matrix) -> Vector:
        """Take from the block what belongs to each row. (n,)"""
        return spread(self.cells, block[self.rows, self.cols].reshape(-1))


def products(cells: Grouping, left: Strip, right: Strip) -> Products:
    """Find where products of two strips stand.

    Parameters
    ----------
    cells
        Rows to the m matrices of a block.
    left, right
        The same object twice for squares: a moving strip has no products of two
        different columns.
    """
    m = cells.n_levels
    if left.codes is None and right.codes is None:
        return Products(left.columns, right.columns, (1, 1, m), cells)
    if left is right:
        assert left.codes is not None
        place = np.arange(left.start, left.start + left.width)
        flat = Grouping(left.codes * m + cells.codes, left.width * m, None)
        return Products(place, place, (left.width, m), flat)
    shape = (left.width, right.width, m)
    column = np.zeros(len(cells.codes), dtype=np.intp)
    for strip in (left, right):
        column = column * strip.width + (0 if strip.codes is None else strip.codes)
    flat = Grouping(column * m + cells.codes, left.width * right.width * m, None)
    return Products(left.columns, right.columns, shape, flat)


def as_strips(columns: Matrix | Sequence[Strip]) -> tuple[Strip, ...]:
    """Columns of a matrix (n, k), or strips as they are."""
    if isinstance(columns, np.ndarray):
        return tuple(Strip(z, a) for a, z in enumerate(columns.T))
    return tuple(columns)


def order_of(strips: Sequence[Strip]) -> int:
    """Count the columns k of all strips."""
    return sum(strip.width for strip in strips)


def spread(g: Grouping, values: Vector) -> Vector:
    """Value of each row's level. (n_levels,) -> (n,)"""
    return np.take(values, g.codes, mode="clip")
