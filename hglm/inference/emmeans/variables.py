"""The variables of the fixed part, and the values that a reference grid gives them.

A *factor* is a variable whose levels are all of interest: a categorical or
logical column, a number coded as categories in the formula, and a number with only
two values in the data. A *covariate* is any other number; it stands at its mean
unless other values are asked for. (The rules of emmeans, Lenth 2016, JSS 69(1).)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from hglm.design import Design, DesignSpec
from hglm.design.build import variables
from hglm.design.functions import columns_of
from hglm.design.table import open_frame
from hglm.errors import DataError, OptionError
from hglm.formula.hints import did_you_mean, listing
from hglm.formula.spec import PredictorFormula
from hglm.typing import Codes, Vector

__all__ = ["Variable", "grid_variables", "offset_variables", "weighted_mean"]

KEPT = 2
"""A number with no more values than this is a factor."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of a reference grid."""

    name: str
    values: tuple[Any, ...]
    """Where it stands: levels of a factor, one or more values of a covariate."""
    is_factor: bool
    levels: tuple[Any, ...] | None = None
    """All that it can be; None where any number will do."""
    is_categorical: bool = False
    """Whether the column of the data holds categories."""

    def column(self, codes: Codes) -> Any:
        """Values at positions `codes` of `values`, as a column of a frame. (m,)"""
        if not self.is_categorical:
            return np.asarray(self.values)[codes]
        taken = [self.values[code] for code in codes]
        return pd.Categorical(taken, categories=list(self.levels or ()))


def grid_variables(
    design: Design, spec: DesignSpec, at: Mapping[str, Any] | None = None
) -> dict[str, Variable]:
    """Find the variables of the mean's fixed part and the values they stand at.

    Parameters
    ----------
    design, spec
        Of the fit.
    at
        Variable -> value or values, in place of the levels or the mean.

    Raises
    ------
    OptionError
        If `at` names a variable that is not in the fixed part, or a level that
        the data do not have.
    """
    formula = spec.predictors["mean"].formula
    frame = design.frame
    if len(frame) != design.n:
        raise DataError(
            "Marginal means need the data of the fit, which were left out of it; use the fit as it "
            "was before `without_data()`."
        )
    source = open_frame(frame, "data of the fit")
    fixed = variables([PredictorFormula(formula.fixed, (), ())], source)
    coded = _coded_numbers(spec, frame)
    found = {
        name: _describe(frame[name], name in coded, name in fixed, design.frequencies)
        for name in dict.fromkeys((*fixed, *offset_variables(design, spec)))
    }
    for name in at or {}:
        if name not in found:
            raise OptionError(
                f"The argument `at` names `{name}`, which is no variable of the fixed part. "
                f"{did_you_mean(name, found)}"
            )
    return {
        name: _moved(variable, at[name]) if at and name in at else variable
        for name, variable in found.items()
    }


def offset_variables(design: Design, spec: DesignSpec) -> tuple[str, ...]:
    """Return the columns that the offset of the mean is computed from."""
    offsets = spec.predictors["mean"].formula.offsets
    source = open_frame(design.frame, "data of the fit")
    found = variables([PredictorFormula("0", (), offsets)], source)
    return (*found, *(() if spec.offset is None else (spec.offset,)))


def weighted_mean(values: pd.Series | Vector, frequencies: Vector | None) -> float:
    """Mean over the observations that rows stand for. `values` (n,)"""
    return float(np.average(np.asarray(values, dtype=np.float64), weights=frequencies))


def _coded_numbers(spec: DesignSpec, frame: pd.DataFrame) -> set[str]:
    """Numbers that the formula codes as categories, a level for each value."""
    recipe = spec.encoding.specs.get(spec.predictors["mean"].formula.fixed)
    found: set[str] = set()
    if recipe is None:  # nothing but an intercept
        return found
    for factor in recipe.factor_contrasts:
        expression = str(factor)
        columns = columns_of(expression, frame.columns)
        levels = recipe.encoder_state[expression][1].get("categories", ())
        found |= {name for name in columns if frame[name].nunique() == len(levels)}
    return found


def _describe(column: pd.Series, coded: bool, fixed: bool, frequencies: Vector | None) -> Variable:
    name = str(column.name)
    if isinstance(column.dtype, pd.CategoricalDtype):
        levels = tuple(column.cat.categories)
        return Variable(name, levels, True, levels, True)
    values = tuple(np.unique(column.to_numpy()).tolist())
    if coded or column.dtype.kind == "b":
        return Variable(name, values, True, values)
    if fixed and len(values) <= KEPT:
        return Variable(name, values, True)
    return Variable(name, (weighted_mean(column, frequencies),), False)


def _moved(variable: Variable, chosen: Any) -> Variable:
    is_list = isinstance(chosen, (Sequence, np.ndarray, pd.Series, pd.Index))
    values = list(chosen) if is_list and not isinstance(chosen, str) else [chosen]
    if not values:
        raise OptionError(f"The argument `at` has no values for `{variable.name}`; give one.")
    if variable.levels is not None:
        unknown = [value for value in values if value not in variable.levels]
        if unknown:
            raise OptionError(
                f"The argument `at` has {listing(unknown)} for `{variable.name}`, which the data "
                f"do not have; its levels are {listing(variable.levels)}."
            )
        return replace(variable, values=tuple(values))
    try:
        finite = bool(np.isfinite([float(value) for value in values]).all())
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"The argument `at` has {values[0]!r} for `{variable.name}`, which is a number in the "
            "data; give numbers."
        ) from error
    if not finite:
        raise OptionError(
            f"The argument `at` has a value for `{variable.name}` that is not finite; give numbers."
        )
    return Variable(variable.name, tuple(values), False)
