"""A generalised linear mixed model in well-conditioned coordinates.

The model may have several linear predictors η_d = X_dβ_d + Z_db_d + offset_d:
the mean, dispersion, zero inflation and whatever else the family has. Fixed
effects are orthonormalised predictor by predictor, the columns of random terms
standardised as in the linear model, and the rows sorted by the largest
grouping factor. All random effects, whichever predictor they stand in, make up
one vector b = Λ(θ)u with u ~ N(0, I).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hglm.covariance import Layout
from hglm.criteria.grouped_terms import GroupedTerms
from hglm.design.arrays import PredictorDesign
from hglm.families.base import Likelihood
from hglm.families.jets import Wanted
from hglm.numerics.factor import Plan, make_plan
from hglm.numerics.orthogonal import orthogonalise
from hglm.numerics.related import RelatedRows, related_rows
from hglm.numerics.rows import RowPattern, row_pattern
from hglm.typing import Codes, Matrix, Vector

__all__ = ["FixedBlock", "GeneralisedProblem", "generalised_problem"]


@dataclass(frozen=True, slots=True)
class FixedBlock:
    """Fixed part of one predictor."""

    name: str
    """``"mean"``, ``"dispersion"``, ..."""
    X: Matrix | None
    """(n, p) orthogonal columns with unit mean square; None for one number for all rows."""
    offset: Vector | None
    """(n,)"""
    to_beta: Matrix
    """(p, p) coefficients of the user's columns are to_beta γ."""
    first: int
    """Where its γ stands in ψ."""

    @property
    def p(self) -> int:
        """Number of coefficients."""
        return len(self.to_beta)

    @property
    def parameters(self) -> slice:
        """Its part of ψ."""
        return slice(self.first, self.first + self.p)

    def predictor(self, psi: Vector) -> Vector | float:
        """Xγ + offset. (n,), or a number"""
        gamma = psi[self.parameters]
        if self.X is None:
            return float(gamma[0])
        eta = self.X @ gamma
        return eta if self.offset is None else eta + self.offset

    def product(self, r: Vector) -> Vector:
        """X'r. (p,)"""
        if self.X is None:
            return np.atleast_1d(np.sum(r))
        return self.X.T @ r


@dataclass(frozen=True, slots=True)
class GeneralisedProblem:
    """All that the criteria need. ψ = (γ of each predictor, θ)."""

    likelihood: Likelihood
    frequencies: Vector | None
    """(n,)"""
    fixed: tuple[FixedBlock, ...]
    """One a predictor, in the family's order."""
    pattern: RowPattern | RelatedRows
    plan: Plan
    terms: GroupedTerms
    order: Codes | None
    """Rows of the data in the order used here."""
    nobs: float
    n: int

    @property
    def layout(self) -> Layout:
        """θ to covariance factors."""
        return self.terms.layout

    @property
    def n_fixed(self) -> int:
        """Coefficients of all predictors."""
        return sum(block.p for block in self.fixed)

    @property
    def wanted(self) -> Wanted:
        """Derivatives of the log density that a gradient needs."""
        return _wanted(self.pattern.predictors, len(self.fixed))

    def theta(self, psi: Vector) -> Vector:
        """Covariance parameters of ψ. (m,)"""
        return psi[self.n_fixed :]

    def fixed_predictors(self, psi: Vector) -> list[Vector | float]:
        """Return the fixed part of every predictor."""
        return [block.predictor(psi) for block in self.fixed]

    def unsorted(self, x: Vector) -> Vector:
        """Rows x (n,) back in the order of the data."""
        if self.order is None:
            return x
        out = np.empty_like(x)
        out[self.order] = x
        return out


def generalised_problem(
    likelihood: Likelihood,
    predictors: Mapping[str, PredictorDesign | None],
    frequencies: Vector | None,
    grouped: GroupedTerms,
) -> GeneralisedProblem:
    """Put a generalised model into standard coordinates.

    Parameters
    ----------
    likelihood
        Family bound to the response, rows sorted by `grouped.order`.
    predictors
        Name -> design, in the family's order; None for a single number.
    frequencies : (n,) or None
        In the order of the data.
    grouped
        From `group_terms`.
    """
    names = list(predictors)
    designs = list(predictors.values())
    n = next(len(d.X) for d in designs if d is not None)
    blocks: list[FixedBlock] = []
    first = 0
    for name, design in zip(names, designs, strict=True):
        block = _fixed_block(name, design, grouped, first, n)
        blocks.append(block)
        first += block.p
    pattern = related_rows(
        row_pattern(grouped.groupings, grouped.columns, grouped.predictors), grouped.roots
    )
    count = float(n if frequencies is None else frequencies.sum())
    return GeneralisedProblem(
        likelihood=likelihood,
        frequencies=None if frequencies is None else grouped.take(frequencies),
        fixed=tuple(blocks),
        pattern=pattern,
        plan=make_plan(pattern.gramian({}), fixed_values=False),
        terms=grouped,
        order=grouped.order,
        nobs=count,
        n=n,
    )


@lru_cache(maxsize=256)
def _wanted(owners: tuple[tuple[int, ...], ...], n_predictors: int) -> Wanted:
    inner = sorted({d for owner in owners for d in owner}) or [0]
    outer = tuple(d for d in range(n_predictors) if d not in inner)
    return Wanted(3, tuple(inner), outer)


def _fixed_block(
    name: str, design: PredictorDesign | None, grouped: GroupedTerms, first: int, n: int
) -> FixedBlock:
    if design is None:
        return FixedBlock(name, None, None, np.eye(1), first)
    offset = None if design.offset is None else grouped.take(design.offset)
    one_number = design.X.shape[1] == 1 and offset is None and bool(np.all(design.X == 1.0))
    if one_number and name != "mean" and not design.random:
        return FixedBlock(name, None, None, np.eye(1), first)
    rows = grouped.stack(design.X, np.zeros(n))
    fixed = orthogonalise(rows, None)
    root_n = np.sqrt(n)
    rows *= root_n
    return FixedBlock(name, rows[:, :-1], offset, fixed.to_beta * root_n, first)
