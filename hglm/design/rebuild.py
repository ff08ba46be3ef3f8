"""The design of a fit, built again for other data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from hglm.design.arrays import PredictorDesign
from hglm.design.build import variables
from hglm.design.predictors import apply_predictor, right_hand_sides
from hglm.design.recipe import DesignSpec
from hglm.design.table import Table, open_frame
from hglm.design.values import Evaluator
from hglm.errors import DataError, OptionError
from hglm.formula.hints import did_you_mean
from hglm.formula.spec import PredictorFormula, RandomTermFormula
from hglm.typing import Codes, Frame

__all__ = ["NewDesign", "rebuild"]


@dataclass(frozen=True, slots=True)
class NewDesign:
    """Linear predictors for the complete rows of new data."""

    predictors: Mapping[str, PredictorDesign]
    """Name -> arrays with m rows; ``"mean"`` is always there."""
    kept: Codes
    """(m,) positions of the complete rows; the others cannot be predicted."""
    index: pd.Index
    """(n_rows,) labels of all rows."""

    @property
    def mean(self) -> PredictorDesign:
        """The predictor of the mean."""
        return self.predictors["mean"]


def rebuild(
    spec: DesignSpec,
    data: Frame,
    *,
    groups: Collection[str] | None = None,
    names: Sequence[str] | None = None,
    new_levels: str = "error",
    uncoded: Collection[str] = (),
) -> NewDesign:
    """Apply the transforms, contrasts and levels of a fit to new data.

    Only the columns that the chosen terms need must be there, and only
    missing values in these make a row incomplete.

    Parameters
    ----------
    spec
        From `build_design`.
    data
        Data frame.
    groups
        Names of the grouping factors whose random terms are wanted; all if
        None, none if empty.
    names
        Names of the predictors wanted; all if None.
    new_levels
        ``"error"`` refuses levels that the fit did not have, ``"allow"`` gives
        each a negative code of its own.
    uncoded
        Grouping factors of which only the columns are wanted: every row gets the
        code -1, and the factor need not be in the data.
    """
    if new_levels not in ("error", "allow"):
        raise OptionError(f'The option new_levels={new_levels!r} is neither "error" nor "allow".')
    chosen = _chooser(spec, groups)
    specs = {
        name: predictor
        for name, predictor in spec.predictors.items()
        if names is None or name in names
    }
    formulas = [_restricted(predictor.formula, chosen) for predictor in specs.values()]
    table = _read(spec, [_without_factors(f, uncoded) for f in formulas], data)
    missing = list(table.missing().values())
    kept = np.flatnonzero(~np.logical_or.reduce(missing)) if missing else np.arange(table.n_rows)
    states = {expression: dict(state) for expression, state in spec.states.items()}
    values = Evaluator(table.rows(kept), table.index.take(kept), states)
    sides = [side for formula in formulas for side in right_hand_sides(formula)]
    columns = spec.encoding.columns(sides, values.columns, values.index)
    offset = None if spec.offset is None else values.vector(spec.offset, "offset")
    predictors = {
        name: apply_predictor(
            predictor,
            columns,
            values,
            chosen,
            new_levels == "allow",
            uncoded,
            offset if name == "mean" else None,
        )
        for name, predictor in specs.items()
    }
    return NewDesign(predictors, kept, table.index)


def _chooser(
    spec: DesignSpec, groups: Collection[str] | None
) -> Callable[[RandomTermFormula], bool]:
    known = {
        term.group for predictor in spec.predictors.values() for term in predictor.formula.random
    }
    for group in groups or ():
        if group not in known:
            raise OptionError(
                f"The model has no grouping factor `{group}`. {did_you_mean(group, sorted(known))}"
            )
    return lambda term: groups is None or term.group in groups


def _restricted(
    formula: PredictorFormula, chosen: Callable[[RandomTermFormula], bool]
) -> PredictorFormula:
    return PredictorFormula(formula.fixed, tuple(filter(chosen, formula.random)), formula.offsets)


def _without_factors(formula: PredictorFormula, uncoded: Collection[str]) -> PredictorFormula:
    random = tuple(replace(t, factors=()) if t.group in uncoded else t for t in formula.random)
    return replace(formula, random=random)


def _read(spec: DesignSpec, formulas: Sequence[PredictorFormula], data: Frame) -> Table:
    if spec.offset_was_array:
        raise DataError(
            "The fit has an offset given as an array, which has no values for new data; fit with "
            "`offset(expression)` in the formula or with the name of a column."
        )
    source = open_frame(data, "new data")
    if not len(source.index):
        raise DataError("The new data have no rows; give at least one.")
    wanted = variables(formulas, source)
    if spec.offset is not None:
        wanted[spec.offset] = None
    return source.read(wanted)
