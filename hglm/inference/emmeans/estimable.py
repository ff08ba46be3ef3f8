"""Linear functions of the fixed effects: (L, β, V, df), and what they are called.

Everything about marginal means acts on this record and on nothing else of a
model. A row l'β is estimable if it is the same for all β that fit the data
equally well, that is, if l is orthogonal to the null space of X (Searle 1971,
Linear Models, sec. 5.4). Its coordinates there are kept with the row, so that
functions of rows know whether they are estimable, too: a difference may be where
its terms are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from hglm.inference.contrasts import reduced
from hglm.inference.emmeans.scales import Scale
from hglm.inference.tests import ContrastTest, Denominator, joint_test
from hglm.typing import BoolArray, Codes, Matrix, Vector

__all__ = ["EstimableSet"]

ROUNDING = 1e-12
"""What is left of a sum, relative to its terms, that is nothing but rounding."""
SILENT = 1e-8
"""Relative size of the part of a row on which the data say nothing that is zero."""


@dataclass(frozen=True, slots=True, eq=False)
class EstimableSet:
    """Functions l'β + offset with their labels."""

    labels: pd.DataFrame
    """(r, m) what each row is: levels of factors, or the name of a contrast."""
    rows: Matrix
    """(r, p) L."""
    offset: Vector
    """(r,)"""
    silent: Matrix
    """(r, d) coordinates in the null space of X, relative to the size of rows."""
    beta: Vector
    """(p,)"""
    method: Denominator
    """Covariance of β̂, and degrees of freedom."""
    scale: Scale
    by: tuple[str, ...] = ()
    """Labels that divide the rows into groups, compared and adjusted separately."""
    all_pairs: bool = False
    """Whether the rows of each group are all pairwise differences of means."""
    kind: str = "means"
    """``"means"``, ``"slopes"`` or ``"contrasts"``."""
    notes: tuple[str, ...] = ()

    @property
    def estimable(self) -> BoolArray:
        """Whether the data determine a row. (r,)"""
        out: BoolArray = np.abs(self.silent).max(axis=1, initial=0.0) <= SILENT
        return out

    @property
    def estimate(self) -> Vector:
        """l'β̂ + offset, missing where it is not estimable. (r,)"""
        return np.where(self.estimable, self.rows @ self.beta + self.offset, np.nan)

    @property
    def vcov(self) -> Matrix:
        """Covariance of the estimates. (r, r)"""
        out: Matrix = self.rows @ self.method.vcov @ self.rows.T
        return out

    @property
    def names(self) -> tuple[str, ...]:
        """Labels within groups: columns of `labels` that are not in `by`."""
        return tuple(name for name in self.labels.columns if name not in self.by)

    def groups(self) -> tuple[Codes, ...]:
        """Positions of the rows of each group, in the order of the rows."""
        if not self.by:
            return (np.arange(len(self.rows)),)
        keys = list(map(tuple, self.labels[list(self.by)].itertuples(index=False)))
        places: dict[tuple[object, ...], list[int]] = {}
        for position, key in enumerate(keys):
            places.setdefault(key, []).append(position)
        return tuple(np.array(positions) for positions in places.values())

    def take(self, positions: Codes) -> EstimableSet:
        """Return some of the rows."""
        return replace(
            self,
            labels=self.labels.iloc[positions].reset_index(drop=True),
            rows=self.rows[positions],
            offset=self.offset[positions],
            silent=self.silent[positions],
        )

    def grouped(self, by: Sequence[str]) -> EstimableSet:
        """Return the same rows in other groups; they are no set of differences then."""
        return replace(self, by=tuple(by), all_pairs=False)

    def combined(self, coefficients: Matrix, labels: pd.DataFrame) -> EstimableSet:
        """Return linear combinations of the rows.

        Parameters
        ----------
        coefficients : (c, r)
        labels : (c, m)
        """
        rows = coefficients @ self.rows
        size = np.abs(coefficients) @ np.abs(self.rows)
        return replace(
            self,
            labels=labels,
            rows=np.where(np.abs(rows) > ROUNDING * size, rows, 0.0),
            offset=coefficients @ self.offset,
            silent=coefficients @ self.silent,
            all_pairs=False,
        )

    def joint_test(self, null: float = 0.0) -> ContrastTest:
        """Test that all rows equal `null`, as far as the data determine them."""
        U, values, _ = np.linalg.svd(self.silent, full_matrices=True)
        rank = int(np.sum(values > SILENT))
        known = U[:, rank:].T  # combinations of the rows that are estimable
        rows, value = known @ self.rows, known @ (null - self.offset)
        point, *_ = np.linalg.lstsq(rows, value, rcond=None)  # Lβ = value is L(β - point) = 0
        return joint_test(self.beta - point, self.method, reduced(rows))
