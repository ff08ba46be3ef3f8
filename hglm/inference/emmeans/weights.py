"""Weights with which the cells of a reference grid are averaged.

    equal         every cell counts the same
    proportional  like the frequencies of the combinations averaged over
    outer         like the product of the frequencies of each factor by itself
    cells         like the frequencies within each cell that is kept
    flat          equally over the combinations that occur within the kept cell

Observations are counted, rows by their `frequencies`. Covariates at several values
have no frequencies; their values count the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod

import numpy as np
import pandas as pd

from hglm.design import Design
from hglm.errors import OptionError
from hglm.formula.hints import did_you_mean
from hglm.inference.emmeans.variables import Variable
from hglm.typing import BoolArray, Matrix, Vector

__all__ = ["WEIGHTS", "averaging_weights"]


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Variables of a grid, and where the observations of the fit fall."""

    kept: tuple[Variable, ...]
    averaged: tuple[Variable, ...]
    frame: pd.DataFrame
    frequencies: Vector
    """(n,)"""

    @property
    def axes(self) -> tuple[Variable, ...]:
        """All variables."""
        return (*self.kept, *self.averaged)

    def counts(self, axes: Sequence[Variable]) -> Matrix:
        """Count observations at each combination; one dimension for each variable."""
        factors = [axis for axis in axes if axis.is_factor]
        shape = tuple(len(axis.values) for axis in factors)
        codes = np.zeros((len(factors), len(self.frame)), dtype=np.intp)
        for code, axis in zip(codes, factors, strict=True):
            code[:] = pd.Index(list(axis.values)).get_indexer(np.asarray(self.frame[axis.name]))
        inside = (codes >= 0).all(axis=0)
        places = np.zeros(int(inside.sum()), dtype=np.intp)
        for code, size in zip(codes, shape, strict=True):
            places = places * size + code[inside]
        counted = np.bincount(places, self.frequencies[inside], prod(shape)).astype(np.float64)
        return counted.reshape([len(a.values) if a.is_factor else 1 for a in axes])


def averaging_weights(
    kind: str, kept: tuple[Variable, ...], averaged: tuple[Variable, ...], design: Design
) -> tuple[Matrix, BoolArray]:
    """Return the weights of the averaged cells within each kept cell.

    Parameters
    ----------
    kind
        A key of `WEIGHTS`.
    kept, averaged
        Variables of the grid, the last of each varying fastest.
    design
        With the data.

    Returns
    -------
    weights : (c, a)
        Rows add up to one, except where there is nothing to average.
    empty : (c,)
        Kept cells in which there is nothing to average.
    """
    if kind not in WEIGHTS:
        raise OptionError(f"There are no weights={kind!r}. {did_you_mean(str(kind), WEIGHTS)}")
    frequencies = np.ones(design.n) if design.frequencies is None else design.frequencies
    grid = _Grid(kept, averaged, design.frame, frequencies)
    shape = [len(axis.values) for axis in grid.axes]
    weights = np.broadcast_to(WEIGHTS[kind](grid), shape).reshape(prod(shape[: len(kept)]), -1)
    total = weights.sum(axis=1)
    empty = total == 0.0
    return weights / np.where(empty, 1.0, total)[:, None], empty


def _equal(grid: _Grid) -> Matrix:
    return np.ones([1] * len(grid.axes))


def _proportional(grid: _Grid) -> Matrix:
    return grid.counts(grid.averaged)


def _outer(grid: _Grid) -> Matrix:
    marginal = (grid.counts([axis]) for axis in grid.averaged)
    return reduce(np.multiply.outer, marginal, np.ones(()))


def _cells(grid: _Grid) -> Matrix:
    return grid.counts(grid.axes)


def _flat(grid: _Grid) -> Matrix:
    return (_cells(grid) > 0.0).astype(np.float64)


WEIGHTS: Mapping[str, Callable[[_Grid], Matrix]] = {
    "equal": _equal,
    "proportional": _proportional,
    "outer": _outer,
    "cells": _cells,
    "flat": _flat,
}
"""Kinds of weights by name."""
