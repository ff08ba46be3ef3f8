"""Estimated marginal means and slopes as linear functions of the fixed effects.

A marginal mean is the prediction for the population (random effects zero), averaged
over a reference grid: the combinations of the levels of all factors, covariates at
their means (Searle, Speed & Milliken 1980, Am. Stat. 34, 216-221; Lenth 2016, JSS
69(1)). A marginal slope averages the derivative of the prediction in a covariate,
taken by central differences, which are exact for terms of up to second degree.

Offsets stand at their mean over the observations, unless `at` names one of their
variables (they are then computed on the grid) or `offset` gives their value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from hglm.design import Design, DesignSpec
from hglm.errors import OptionError
from hglm.families import Family
from hglm.fitting.record import Estimates
from hglm.formula.hints import did_you_mean
from hglm.inference.emmeans.estimable import EstimableSet
from hglm.inference.emmeans.grid import FixedPart, fixed_part, grid_frame
from hglm.inference.emmeans.notes import grid_notes
from hglm.inference.emmeans.scales import IDENTITY, linear_scale, scale_of
from hglm.inference.emmeans.specs import Names, parse_specs
from hglm.inference.emmeans.variables import (
    Variable,
    grid_variables,
    offset_variables,
    weighted_mean,
)
from hglm.inference.emmeans.weights import averaging_weights
from hglm.inference.tests import Ddf, Denominator, denominator
from hglm.typing import BoolArray, Matrix, Vector

__all__ = ["marginal_means", "marginal_slopes"]

STEP = 5e-4
"""Half the step of differences, relative to the range of the covariate."""

ZERO_INFLATED = "Of the counts alone: the extra zeros are not in these means."


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """A reference grid: its variables, and what becomes of them."""

    specs: tuple[Variable, ...]
    """Their combinations have a mean each."""
    by: tuple[Variable, ...]
    """They divide the means into groups."""
    averaged: tuple[Variable, ...]
    part: FixedPart
    share: Matrix
    """(c, a) weights of the averaged cells within each kept cell."""
    empty: BoolArray
    """(c,) kept cells in which there is nothing to average."""
    notes: tuple[str, ...]

    @property
    def kept(self) -> tuple[Variable, ...]:
        """The first of `specs` varies fastest, as in emmeans."""
        return _slowest_first(self.specs, self.by)

    def points(self) -> pd.DataFrame:
        """All points, averaged variables varying fastest. (c * a, ...)"""
        return grid_frame((*self.kept, *self.averaged))

    def average(
        self, rows: Matrix, offsets: Vector, beta: Vector, method: Denominator, overall: str
    ) -> EstimableSet:
        """Average the rows (c * a, p_all) and offsets (c * a,) at all points."""
        cells = len(self.share)
        averaged = np.einsum("ca,cap->cp", self.share, rows.reshape(cells, -1, rows.shape[1]))
        known, silent = self.part.split(averaged)
        return EstimableSet(
            labels=self._labels(overall),
            rows=known,
            offset=np.einsum("ca,ca->c", self.share, offsets.reshape(cells, -1)),
            silent=np.column_stack([silent, np.eye(cells)[:, self.empty]]),
            beta=beta,
            method=method,
            scale=IDENTITY,
            by=tuple(variable.name for variable in self.by),
            notes=self.notes,
        )

    def _labels(self, overall: str) -> pd.DataFrame:
        """Values of the kept variables, one row a mean; `overall` where there are none."""
        frame = grid_frame(self.kept)
        names = [variable.name for variable in (*self.specs, *self.by)]
        columns = {name: list(frame[name]) for name in names}
        if not self.specs:
            columns = {"term": [overall] * len(frame), **columns}
        return pd.DataFrame(columns)


def marginal_means(
    estimates: Estimates,
    design: Design,
    spec: DesignSpec,
    family: Family,
    specs: Names,
    by: Names | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    ddf: Ddf = "asymptotic",
    offset: float | None = None,
) -> EstimableSet:
    """Average predictions over a reference grid.

    Parameters
    ----------
    estimates, design, spec, family
        Of the fit.
    specs
        Variables whose levels have a mean each: a name, names, or a formula such
        as ``"~ a * b | c"``; ``"1"`` for the overall mean.
    by
        Variables that divide the means into groups.
    at
        Variable -> values, in place of its levels or its mean.
    weights
        See `hglm.inference.emmeans.weights`.
    ddf
        See `hglm.inference.tests.denominator`; or a number of degrees of freedom, or
        a method that was prepared before.
    offset
        Value of the offset, in place of its mean.
    """
    grid = _grid(design, spec, grid_variables(design, spec, at), specs, by, weights)
    rows, offsets = grid.part.evaluate(grid.points())
    if offset is not None:
        offsets = np.full(len(rows), float(offset))
    elif not set(at or ()) & set(offset_variables(design, spec)):
        offsets = np.full(len(rows), _mean_offset(design))
    else:  # what the recipe does not know is an offset given as an array
        _, fitted = grid.part.evaluate(design.frame)
        offsets = offsets + _mean_offset(design) - weighted_mean(fitted, design.frequencies)
    means = grid.average(rows, offsets, estimates.beta, denominator(estimates, ddf), "overall")
    notes = means.notes
    if any(parameter.name == "zero_inflation" for parameter in family.parameters):
        notes = (*notes, ZERO_INFLATED)
    return replace(means, scale=scale_of(family, design.response), notes=notes)


def marginal_slopes(
    estimates: Estimates,
    design: Design,
    spec: DesignSpec,
    family: Family,
    variable: str,
    specs: Names = (),
    by: Names | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    ddf: Ddf = "asymptotic",
) -> EstimableSet:
    """Average the slope of the linear predictor in a covariate over a reference grid.

    Parameters
    ----------
    variable
        The covariate; it stands at its mean unless `at` says otherwise.
    estimates, design, spec, family, specs, by, at, weights, ddf
        See `marginal_means`.
    """
    variables = grid_variables(design, spec, at)
    if variable not in variables:
        raise OptionError(
            f"There is no variable `{variable}` in the fixed part. "
            f"{did_you_mean(variable, variables)}"
        )
    moving = variables[variable]
    if moving.levels is not None:
        raise OptionError(f"`{variable}` is a factor and has no slope; use its marginal means.")
    column = design.frame[variable]
    if variable not in (at or {}):
        middle = weighted_mean(column, design.frequencies)
        variables[variable] = Variable(variable, (middle,), False)
    grid = _grid(design, spec, variables, specs, by, weights)
    points = grid.points()
    step = STEP * float(column.max() - column.min())
    ahead, behind = (
        grid.part.evaluate(points.assign(**{variable: points[variable] + sign * step}))
        for sign in (1.0, -1.0)
    )
    rows, offsets = ((a - b) / (2.0 * step) for a, b in zip(ahead, behind, strict=True))
    slopes = grid.average(rows, offsets, estimates.beta, denominator(estimates, ddf), variable)
    scale = linear_scale(scale_of(family, design.response), "Slope")
    return replace(slopes, scale=scale, kind="slopes")


def _grid(
    design: Design,
    spec: DesignSpec,
    variables: Mapping[str, Variable],
    specs: Names,
    by: Names | None,
    weights: str,
) -> _Grid:
    means, groups = parse_specs(specs, by, variables)
    inner = tuple(variables[name] for name in means)
    outer = tuple(variables[name] for name in groups)
    rest = tuple(v for name, v in variables.items() if name not in (*means, *groups))
    share, empty = averaging_weights(weights, _slowest_first(inner, outer), rest, design)
    notes = grid_notes((*inner, *outer), rest, spec, weights)
    return _Grid(inner, outer, rest, fixed_part(design, spec), share, empty, notes)


def _slowest_first(specs: tuple[Variable, ...], by: tuple[Variable, ...]) -> tuple[Variable, ...]:
    return (*by[::-1], *specs[::-1])


def _mean_offset(design: Design) -> float:
    offset = design.mean.offset
    return 0.0 if offset is None else weighted_mean(offset, design.frequencies)
