"""Random effects by rows, for weights that change from step to step.

A generalised model needs Z'WZ for new W at every step. What does not change is
found once: where each row's pair of levels stands in the blocks of Z'Z, and the
products of the columns. Columns may belong to different linear predictors
(mean, dispersion, zero inflation, ...): W then has one weight for each pair of
predictors, and two random terms on the same factor share a group, whichever
predictor they stand in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from hglm.numerics.columns import Products, Strip, as_strips, order_of, products, spread
from hglm.numerics.gramian import Cells, Gramian, cell_pattern
from hglm.numerics.grouping import Grouping
from hglm.typing import Matrix, Vector

__all__ = ["CellRows", "Pair", "RowPattern", "row_pattern", "spread"]

Weights = Mapping[tuple[int, int], Vector]
"""Predictors d ≤ e -> (n,) weights W_de; pairs that are absent are zero."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Products of two strips of one group."""

    predictors: tuple[int, int]
    """d ≤ e."""
    places: Products
    values: Vector
    """(n,)"""
    twice: bool
    """Whether they stand for two products that are equal, ab and ba."""


@dataclass(frozen=True, slots=True)
class CellRows:
    """Rows to the pairs of levels of two groups."""

    rows: Grouping
    """Row -> cell."""
    pattern: Cells
    """The cells, values unused."""
    places: tuple[tuple[Products, ...], ...]
    """Strip of the first group -> strip of the second -> where their products stand."""


@dataclass(frozen=True, slots=True)
class RowPattern:
    """Z by rows."""

    groupings: tuple[Grouping, ...]
    columns: tuple[tuple[Strip, ...], ...]
    """Per group its strips."""
    predictors: tuple[tuple[int, ...], ...]
    """Per group the predictor to which each strip belongs."""
    pairs: tuple[tuple[Pair, ...], ...]
    """Per group the products of its strips."""
    cells: Mapping[tuple[int, int], CellRows]
    """For every pair of groups t > s."""

    @property
    def orders(self) -> tuple[int, ...]:
        """Columns k of each group."""
        return tuple(map(order_of, self.columns))

    def gramian(self, weights: Weights) -> Gramian:
        """Z'WZ by levels."""
        diagonal = []
        for g, k, pairs in zip(self.groupings, self.orders, self.pairs, strict=True):
            block = np.zeros((k, k, g.n_levels))
            for pair in pairs:
                w = weights.get(pair.predictors)
                if w is not None:
                    pair.places.add(block, w, pair.values)
                    if pair.twice:
                        rows, cols = pair.places.rows, pair.places.cols
                        block[cols, rows] = block[rows, cols].swapaxes(0, 1)
            diagonal.append(block)
        cells = {key: self._weighted_cells(key, weights) for key in self.cells}
        return Gramian(tuple(diagonal), cells)

    def _weighted_cells(self, key: tuple[int, int], weights: Weights) -> Cells:
        t, s = key
        where = self.cells[key]
        values = np.zeros((self.orders[t], self.orders[s], where.rows.n_levels))
        for a, b, predictors in self._across(t, s):
            w = weights.get(predictors)
            if w is not None:
                z = self.columns[t][a].values * self.columns[s][b].values
                where.places[a][b].add(values, w, z)
        return where.pattern.with_values(values)

    def sums(self, x: Mapping[int, Vector]) -> list[Matrix]:
        """Z'x, x given per predictor. (1, k, q) per group"""
        out = []
        for g, strips, owner in zip(self.groupings, self.columns, self.predictors, strict=True):
            block = np.zeros((1, order_of(strips), g.n_levels))
            for strip, d in zip(strips, owner, strict=True):
                if d in x:
                    strip.add(block[0], g, x[d])
            out.append(block)
        return out

    def apply(self, b: Sequence[Matrix], into: Mapping[int, Vector]) -> dict[int, Vector]:
        """Zb per predictor, added to `into`. b: (1, k, q) per group; (n,) per predictor"""
        out = dict(into)
        for g, strips, owner, b_g in zip(
            self.groupings, self.columns, self.predictors, b, strict=True
        ):
            for strip, d in zip(strips, owner, strict=True):
                part = strip.read(b_g[0], g) * strip.values
                out[d] = out[d] + part if d in out else part
        return out

    def bound(self, b: Sequence[Matrix]) -> float:
        """Find a number that no element of Zb exceeds, without a pass over the rows."""
        out = 0.0
        for strips, b_g in zip(self.columns, b, strict=True):
            for strip in strips:
                out += float(np.abs(strip.values).max() * np.abs(b_g[0][strip.columns]).max())
        return out

    def variances(
        self, diagonal: Sequence[Matrix], cells: Mapping[tuple[int, int], Matrix]
    ) -> dict[tuple[int, int], Vector]:
        """[Z_d Q Z_e']_ii for d ≤ e.

        Parameters
        ----------
        diagonal
            Q of each group's levels, (k, k, q).
        cells
            Q between groups, (k_t, k_s, m) in the order of the cells.

        Returns
        -------
        dict of (n,)
            Off-diagonal pairs of predictors count once.
        """
        out: dict[tuple[int, int], Vector] = {}

        def add(predictors: tuple[int, int], twice: bool, value: Vector) -> None:
            if twice and predictors[0] == predictors[1]:
                value *= 2.0
            out[predictors] = out[predictors] + value if predictors in out else value

        for pairs, Q in zip(self.pairs, diagonal, strict=True):
            for pair in pairs:
                add(pair.predictors, pair.twice, pair.places.read(Q) * pair.values)
        for (t, s), where in self.cells.items():
            for a, b, predictors in self._across(t, s):
                z = self.columns[t][a].values * self.columns[s][b].values
                add(predictors, True, where.places[a][b].read(cells[t, s]) * z)
        return out

    def _across(self, t: int, s: int) -> Iterator[tuple[int, int, tuple[int, int]]]:
        """Pairs of strips of two groups, with their predictors in order."""
        for (a, d), (b, e) in product(enumerate(self.predictors[t]), enumerate(self.predictors[s])):
            yield a, b, (min(d, e), max(d, e))


def row_pattern(
    groupings: Sequence[Grouping],
    columns: Sequence[Matrix | Sequence[Strip]],
    predictors: Sequence[Sequence[int]],
) -> RowPattern:
    """Find what stays the same whatever the weights.

    Parameters
    ----------
    groupings
        One a group, most levels first.
    columns
        Per group (n, k), or strips.
    predictors
        Per group, the predictor of each strip.
    """
    strips = tuple(map(as_strips, columns))
    cells = {
        (t, s): _cell_rows(groupings[t], groupings[s], strips[t], strips[s])
        for t in range(len(groupings))
        for s in range(t)
    }
    owners = tuple(tuple(p) for p in predictors)
    pairs = tuple(map(_pairs, groupings, strips, owners))
    return RowPattern(tuple(groupings), strips, owners, pairs, cells)


def _pairs(g: Grouping, strips: Sequence[Strip], owner: Sequence[int]) -> tuple[Pair, ...]:
    return tuple(
        Pair(
            (min(owner[a], owner[b]), max(owner[a], owner[b])),
            products(g, strips[a], strips[b]),
            strips[a].values * strips[b].values,
            twice=a != b,
        )
        for b in range(len(strips))
        for a in range(b + 1)
    )


def _cell_rows(
    outer: Grouping, inner: Grouping, left: Sequence[Strip], right: Sequence[Strip]
) -> CellRows:
    rows, pattern = cell_pattern(outer, inner)
    places = tuple(tuple(products(rows, a, b) for b in right) for a in left)
    return CellRows(rows, pattern, places)
