"""The covariate in `me(x, se)`: its column and its standard errors."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hglm.design.arrays import Measured, PredictorDesign
from hglm.design.encoding import expressions_of
from hglm.design.table import labels, open_frame
from hglm.design.values import Evaluator
from hglm.errors import DataError
from hglm.formula.spec import MeasuredFormula, ModelFormula

__all__ = ["make_measured"]


def make_measured(
    formula: ModelFormula, mean: PredictorDesign, values: Evaluator
) -> Measured | None:
    """Find the column that is measured with error; None where all are exact.

    Raises
    ------
    DataError
        If it is not one column of numbers, if it has a part in other terms or in
        the response, or if a standard error is negative.
    """
    measured = formula.mean.measured
    if measured is None:
        return None
    (name,) = expressions_of(measured.term)
    if mean.terms.get(name) == () and name in mean.dropped:
        raise DataError(
            f"The covariate `{name}` in `me(...)` does not vary, or depends linearly on the other "
            "columns, so it has no slope of its own; remove it or them."
        )
    positions = mean.terms.get(name, ())
    if len(positions) != 1 or mean.names[positions[0]] != name:
        raise DataError(
            f"The covariate `{name}` in `me(...)` is not one column of numbers, so it has no "
            "standard error of measurement; use a numeric column, or name it without `me`."
        )
    _check_no_part_elsewhere(name, formula, measured, values)
    return Measured(positions[0], _standard_errors(name, measured, values), measured.se)


def _standard_errors(name: str, measured: MeasuredFormula, values: Evaluator) -> np.ndarray:
    se = values.vector(measured.se, "standard error")
    negative = np.flatnonzero(se < 0)
    if negative.size:
        raise DataError(
            f"The standard error `{measured.se}` of `{name}` is negative in "
            f"{labels(values.index, negative)}; give standard deviations of the measurement "
            "error, 0 where it is exact."
        )
    return se


def _check_no_part_elsewhere(
    name: str, formula: ModelFormula, measured: MeasuredFormula, values: Evaluator
) -> None:
    source = open_frame(pd.DataFrame(values.columns))
    mean = formula.mean
    own = source.columns_of(name)
    sides = (f"{mean.fixed} - {measured.term}", *(term.columns for term in mean.random))
    places = {
        "another term": [e for side in sides for e in expressions_of(side)],
        "the response": formula.response,
        "an offset": mean.offsets,
    }
    for place, expressions in places.items():
        for expression in expressions:
            shared = own.keys() & source.columns_of(expression).keys()
            if shared:
                raise DataError(
                    f"`{min(shared)}` in `me(...)` is measured with error and has a part in "
                    f"{place}, `{expression}`, which would have the same error; take it out "
                    "there, or name it without `me` everywhere."
                )
