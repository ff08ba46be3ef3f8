"""Terms over occasions and points in space: positions in place of columns.

`ar1(0 + times | g)` has a coefficient for each occasion, `exp(0 + x + y | g)` one for
each distinct point. The occasions are the categories of a factor, in their order and
one step apart, or whole numbers, then counted in the largest step that meets them
all. Coordinates are any numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hglm.covariance import STEPS
from hglm.design.arrays import Positions
from hglm.design.groups import code_levels
from hglm.design.values import Evaluator
from hglm.errors import DataError
from hglm.formula.hints import listing
from hglm.formula.spec import RandomTermFormula
from hglm.typing import AnyArray, Codes, Matrix

__all__ = ["Places", "apply_positions", "make_positions"]

_GROWING = frozenset(("ar1", "ou", "exp", "gau", "matern"))
"""Structures that say how new places vary with those of the fit."""


@dataclass(frozen=True, slots=True)
class Places:
    """The distinct places of a term, kept for new data."""

    names: tuple[str, ...]
    """(k,) of the coefficients."""
    levels: pd.Index | None
    """(k,) categories of the occasions; None for numbers."""
    coordinates: Matrix
    """(k, d), those of occasions in steps."""
    origin: float = 0.0
    """Number of the occasion at step 0."""
    unit: float = 1.0
    """Size of a step."""


def make_positions(term: RandomTermFormula, values: Evaluator) -> tuple[Positions, Places]:
    """Find the distinct places of a term and that of each row."""
    if term.structure not in STEPS:
        codes, places = _points(term, values)
    elif _is_numeric(values.values(term.positions[0])):
        codes, places = _numbered(term, values)
    else:
        codes, places = _categories(term, values)
    if len(places.names) < 2:
        raise DataError(
            f"All rows of `{term.structure}(... | {term.group})` are at one place, "
            f"`{places.names[0]}`; a correlation between places needs two or more."
        )
    return Positions(codes, places.coordinates), places


def apply_positions(term: RandomTermFormula, places: Places, values: Evaluator) -> Positions:
    """Find the places of new rows; places that the fit did not have follow its own."""
    if places.levels is not None:
        column = pd.Index(np.asarray(values.factor(term.positions[0])))
        codes = np.asarray(places.levels.get_indexer(column), dtype=np.intp)
        if (codes < 0).any():
            raise _unknown_places(term, list(dict.fromkeys(column[codes < 0])))
        return Positions(codes, places.coordinates)
    steps = (_coordinates(term, values) - places.origin) / places.unit
    if term.structure in STEPS and np.any(steps != np.round(steps)):
        off = steps != np.round(steps)
        raise _unknown_places(term, (steps[off] * places.unit + places.origin).tolist())
    everything = np.concatenate([places.coordinates, steps])
    distinct, first, codes = np.unique(everything, axis=0, return_index=True, return_inverse=True)
    k = len(places.coordinates)
    order = np.argsort(np.where(first < k, first, k + np.arange(len(first))), kind="stable")
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    if len(distinct) > k and term.structure not in _GROWING:
        new = distinct[order[k:]] * places.unit + places.origin
        raise _unknown_places(term, new[:, 0].tolist())
    return Positions(rank[codes.reshape(-1)][k:], distinct[order])


def _points(term: RandomTermFormula, values: Evaluator) -> tuple[Codes, Places]:
    points, codes = np.unique(_coordinates(term, values), axis=0, return_inverse=True)
    return codes.reshape(-1), Places(_names(term.positions, points), None, points)


def _numbered(term: RandomTermFormula, values: Evaluator) -> tuple[Codes, Places]:
    """Occasions told by whole numbers, gaps and all."""
    times, codes = np.unique(_coordinates(term, values)[:, 0], return_inverse=True)
    if np.any(times != np.round(times)):
        raise DataError(
            f"`{term.structure}` counts occasions in steps, but `{term.positions[0]}` has values "
            f"such as {times[times != np.round(times)][0]:g}; write "
            f"`ou(0 + {term.positions[0]} | {term.group})` for continuous time."
        )
    gaps = np.diff(times).astype(np.int64)
    unit = float(np.gcd.reduce(gaps)) if len(gaps) else 1.0
    steps = (times - times[0]) / unit
    if "toep" in term.structure and np.any(np.diff(steps) != 1.0):
        raise DataError(
            f"`{term.structure}` needs occasions at equal distances, but those of "
            f"`{term.positions[0]}` have gaps; make it a categorical column if only the order "
            f"counts, or write `ou(0 + {term.positions[0]} | {term.group})`."
        )
    names = _names(term.positions, times[:, None])
    return codes, Places(names, None, steps[:, None], float(times[0]), unit)


def _categories(term: RandomTermFormula, values: Evaluator) -> tuple[Codes, Places]:
    """Occasions told by the categories of a factor, in their order."""
    expression = term.positions[0]
    codes, levels = code_levels(values.factor(expression))
    names = tuple(f"{expression}[{level}]" for level in levels)
    return codes, Places(names, levels, np.arange(len(levels), dtype=np.float64)[:, None])


def _coordinates(term: RandomTermFormula, values: Evaluator) -> Matrix:
    """(n, d)"""
    role = "occasion" if term.structure in STEPS else "coordinate"
    return np.column_stack([values.vector(expression, role) for expression in term.positions])


def _names(expressions: Sequence[str], points: Matrix) -> tuple[str, ...]:
    """``"x[1]:y[3]"`` for each point."""
    return tuple(
        ":".join(f"{name}[{x:.10g}]" for name, x in zip(expressions, point, strict=True))
        for point in points.tolist()
    )


def _is_numeric(values: AnyArray) -> bool:
    dtype = getattr(values, "dtype", None)
    return isinstance(dtype, np.dtype) and dtype.kind in "iuf"


def _unknown_places(term: RandomTermFormula, new: list[object]) -> DataError:
    return DataError(
        f"`{term.positions[0]}` has {listing(new)}, occasions that the fit did not have and about "
        f"which `{term.structure}` says nothing; leave these rows out."
    )
