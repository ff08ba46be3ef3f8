"""The rows of the fixed part at the points of a reference grid.

Rows are built by the recipe of the fit, so that transforms, splines, interactions
and codings are those of the data, whatever the grid. They have all columns that
the formula gives, also those that were dropped because they depend on others: a
row is estimable where it has nothing in the null space of X with all columns.
An intercept that thresholds replace is among them, but has no coefficient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import pandas as pd

from hglm.design import Design, DesignSpec, rebuild
from hglm.errors import OptionError
from hglm.formula.hints import listing
from hglm.inference.emmeans.variables import Variable
from hglm.typing import Codes, Matrix, Vector

__all__ = ["FixedPart", "fixed_part", "grid_frame"]

LARGEST = 100_000
"""Points of a grid."""


@dataclass(frozen=True, slots=True, eq=False)
class FixedPart:
    """The fixed part of the mean with all its columns."""

    spec: DesignSpec
    """Recipe that drops no column."""
    kept: Codes
    """(p,) columns that have a coefficient."""
    size: Vector
    """(p_all,) root mean squares of the columns."""
    null_space: Matrix
    """(p_all, d) orthonormal basis of {γ: X γ/size = 0}; d is 0 at full rank."""

    def evaluate(self, frame: pd.DataFrame) -> tuple[Matrix, Vector]:
        """Return the rows (m, p_all) and offsets (m,) at the points of a frame."""
        part = rebuild(self.spec, frame, groups=(), names=("mean",)).mean
        return part.X, np.zeros(len(part.X)) if part.offset is None else part.offset

    def split(self, rows: Matrix) -> tuple[Matrix, Matrix]:
        """Part rows into what has coefficients and what the data say nothing about.

        Parameters
        ----------
        rows : (r, p_all)

        Returns
        -------
        rows : (r, p)
        silent : (r, d)
            Relative to the largest row.
        """
        scaled = rows / self.size
        largest = float(np.linalg.norm(scaled, axis=1).max(initial=0.0))
        silent = scaled @ self.null_space / (largest or 1.0)
        return rows[:, self.kept], silent


def fixed_part(design: Design, spec: DesignSpec) -> FixedPart:
    """Prepare the fixed part of the mean.

    Parameters
    ----------
    design, spec
        Of the fit.
    """
    recipe = spec.predictors["mean"]
    # An offset given as an array is added by the caller, as its mean.
    spec = replace(spec, offset_was_array=False)
    if not design.mean.dropped:
        p = len(recipe.kept)
        return FixedPart(spec, np.arange(p), np.ones(p), np.empty((p, 0)))
    side = recipe.formula.fixed
    data = {str(name): column for name, column in design.frame.items()}
    X = spec.encoding.columns([side], data, design.frame.index)[side].matrix
    p_all = X.shape[1]
    spec = replace(spec, predictors={"mean": replace(recipe, kept=tuple(range(p_all)))})
    size = np.sqrt(np.mean(X**2, axis=0))
    size[size == 0.0] = 1.0
    *_, right = np.linalg.svd(np.linalg.qr(X / size, mode="r"), full_matrices=True)
    kept = np.array(recipe.kept, dtype=np.intp)
    return FixedPart(spec, kept, size, np.asarray(right[p_all - len(design.mean.dropped) :]).T)


def grid_frame(axes: Sequence[Variable]) -> pd.DataFrame:
    """Return all combinations of the values of variables, the last varying fastest.

    Raises
    ------
    OptionError
        If there are too many.
    """
    shape = tuple(len(axis.values) for axis in axes)
    points = prod(shape)
    if points > LARGEST:
        raise OptionError(
            f"The reference grid of {listing(axis.name for axis in axes)} has {points} points; fix "
            "some of these variables by `at`."
        )
    codes = np.indices(shape).reshape(len(shape), points)
    columns = {axis.name: axis.column(code) for axis, code in zip(axes, codes, strict=True)}
    return pd.DataFrame(columns, index=pd.RangeIndex(points))
