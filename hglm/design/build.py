"""Formula + data frame -> `Design`: arrays of the complete cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from hglm.design.arrays import Design, PredictorDesign
from hglm.design.contrasts import resolve
from hglm.design.encoding import encode, expressions_of
from hglm.design.groups import Grouping
from hglm.design.measured import make_measured
from hglm.design.predictors import make_predictor, right_hand_sides
from hglm.design.recipe import DesignSpec
from hglm.design.relationship import Relationships, read_relationships
from hglm.design.response import check_row_numbers, make_response
from hglm.design.table import Source, Table, labels, open_frame
from hglm.design.values import Evaluator, array_argument
from hglm.errors import DataError, OptionError
from hglm.formula.hints import listing
from hglm.formula.spec import ModelFormula, PredictorFormula
from hglm.typing import Codes, Frame, Vector

__all__ = ["build_design", "variables"]


def build_design(
    formula: ModelFormula,
    data: Frame,
    *,
    others: Mapping[str, PredictorFormula] | None = None,
    weights: Any = None,
    frequencies: Any = None,
    trials: Any = None,
    offset: Any = None,
    covariances: Mapping[str, Any] | None = None,
    contrasts: Mapping[str, Any] | None = None,
    missing: str = "drop",
    categorical: bool = False,
    intercept: bool = True,
) -> tuple[Design, DesignSpec]:
    """Turn a formula and a data frame into arrays.

    A row is used when no variable of the model is missing in it, wherever the
    variable stands: response, fixed or random part, groups, weights, offset.

    Parameters
    ----------
    formula
        From `hglm.formula.parse_formula`.
    data
        Data frame of pandas, polars, pyarrow or another library known to
        narwhals.
    others
        Further predictors, such as ``"dispersion"``.
    weights, frequencies, trials, offset
        Name of a column, or one number a row of `data`. A pandas Series is
        taken by position; its index is not looked at.
    covariances
        Grouping factor -> relationship matrix of its levels, see `Relationship`.
    contrasts
        Column -> ``"treatment"``, ``"sum"``, ``"helmert"``, ``"poly"``,
        ``"sas"``, ``"diff"``, or a formulaic contrast object or matrix.
    missing
        ``"drop"`` leaves incomplete rows out with a note, ``"raise"`` refuses.
    categorical
        Whether the response may hold categories, then coded 0, 1, ...
    intercept
        Whether the mean keeps its intercept; thresholds of an ordinal family replace
        it.

    Returns
    -------
    design
    spec
        Recipe for `hglm.design.rebuild`.

    Examples
    --------
    >>> import pandas as pd
    >>> from hglm.formula import parse_formula
    >>> data = pd.DataFrame({"y": [1.0, 2.0, 4.0], "g": ["b", "a", "b"]})
    >>> design, _ = build_design(parse_formula("y ~ 1 + (1 | g)"), data)
    >>> design.mean.random[0].codes
    array([1, 0, 1])
    """
    predictors = {"mean": formula.mean, **(others or {})}
    given = {"weights": weights, "frequencies": frequencies, "trials": trials, "offset": offset}
    arguments = {name: value for name, value in given.items() if value is not None}
    table, columns = _read(formula, predictors, open_frame(data), arguments)
    kept, notes = _complete_rows(table, missing)
    values = Evaluator(table.rows(kept), table.index if kept is None else table.index.take(kept))
    rows = {name: _row_numbers(name, column, values) for name, column in columns.items()}
    response = make_response(formula.response, values, rows.get("trials"), categorical)
    relationships = read_relationships(covariances, predictors.values())
    designs, spec = _predictors(
        formula, predictors, values, rows.get("offset"), contrasts, intercept, relationships
    )
    design = Design(
        response=_spell(formula.response),
        y=response.y,
        mean=designs["mean"],
        index=values.index,
        n_rows=table.n_rows,
        weights=rows.get("weights"),
        frequencies=rows.get("frequencies"),
        trials=response.trials,
        notes=(*notes, *_dropped(designs)),
        others={name: designs[name] for name in others or {}},
        frame=_as_frame(values.columns),
        response_levels=response.levels,
        measured=make_measured(formula, designs["mean"], values),
    )
    column = columns.get("offset")
    is_array = column is not None and not isinstance(offset, str)
    return design, replace(spec, offset=None if is_array else column, offset_was_array=is_array)


def variables(predictors: Iterable[PredictorFormula], source: Source) -> dict[str, None]:
    """Names of the columns that predictors need, in order of appearance."""
    found: dict[str, None] = {}
    for predictor in predictors:
        sides = right_hand_sides(predictor)
        fixed = (expression for side in sides for expression in expressions_of(side))
        factors = (factor for term in predictor.random for factor in term.factors)
        positions = (place for term in predictor.random for place in term.positions)
        for expression in (*fixed, *predictor.offsets, *factors, *positions):
            found |= source.columns_of(expression)
        if predictor.measured is not None:
            found |= source.columns_of(predictor.measured.se)
    return found


def _read(
    formula: ModelFormula,
    predictors: Mapping[str, PredictorFormula],
    source: Source,
    arguments: Mapping[str, Any],
) -> tuple[Table, dict[str, str]]:
    """Columns that the model needs, and which of them each argument is."""
    if not len(source.index):
        raise DataError("The data have no rows; give at least one complete row.")
    wanted: dict[str, None] = {}
    for expression in formula.response:
        wanted |= source.columns_of(expression)
    if not wanted:
        raise DataError(f"The response `{formula.response[0]}` is no column; write one before `~`.")
    wanted |= variables(predictors.values(), source)
    named = {name: value for name, value in arguments.items() if isinstance(value, str)}
    table = source.read({**wanted, **dict.fromkeys(named.values())})
    arrays = {
        name: array_argument(value, name, table.n_rows)
        for name, value in arguments.items()
        if name not in named
    }
    labelled = {f"{name} (argument)": values for name, values in arrays.items()}
    columns = {**named, **dict(zip(arrays, labelled, strict=True))}
    return Table({**table.columns, **labelled}, table.index), columns


def _complete_rows(table: Table, missing: str) -> tuple[Codes | None, tuple[str, ...]]:
    """Positions of the rows without a missing value (None: all), and a note if some have one."""
    if missing not in ("drop", "raise"):
        raise OptionError(f'The option missing={missing!r} is neither "drop" nor "raise".')
    masks = table.missing()
    if not masks:
        return None, ()
    for name, mask in masks.items():
        if mask.all():
            raise DataError(
                f"Every value of column `{name}` is missing; leave it out of the model or mend it."
            )
    incomplete = np.logical_or.reduce(list(masks.values()))
    counts = ", ".join(f"`{name}` ({mask.sum()})" for name, mask in masks.items())
    kept = np.flatnonzero(~incomplete)
    lost = table.n_rows - len(kept)
    if missing == "raise":
        where = labels(table.index, np.flatnonzero(incomplete))
        raise DataError(
            f"Values are missing in {where} of {counts}; fill them in, or leave the rows out with "
            'missing="drop".'
        )
    if not len(kept):
        raise DataError(
            f"No row is complete: every one lacks a value of {counts}; leave a column out of the "
            "model or fill values in."
        )
    return kept, (f"{lost} of {table.n_rows} rows left out: values missing in {counts}.",)


def _as_frame(columns: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Columns with one index side by side; given that index, pandas need not align them."""
    return pd.DataFrame(columns, next(iter(columns.values())).index, copy=False)


def _spell(response: tuple[str, ...]) -> str:
    return response[0] if len(response) == 1 else f"cbind({', '.join(response)})"


def _row_numbers(name: str, column: str, values: Evaluator) -> Vector:
    numbers = values.vector(column, name)
    if name != "offset":
        check_row_numbers(numbers, name, values.index)
    return numbers


def _predictors(
    formula: ModelFormula,
    predictors: Mapping[str, PredictorFormula],
    values: Evaluator,
    offset: Vector | None,
    contrasts: Mapping[str, Any] | None,
    intercept: bool,
    relationships: Relationships,
) -> tuple[dict[str, PredictorDesign], DesignSpec]:
    sides = [side for predictor in predictors.values() for side in right_hand_sides(predictor)]
    columns, encoding = encode(sides, values.columns, values.index, resolve(contrasts))
    groupings: dict[tuple[str, ...], tuple[Codes, Grouping]] = {}
    made = {
        name: make_predictor(
            predictor,
            columns,
            values,
            groupings,
            offset if name == "mean" else None,
            intercept or name != "mean",
            relationships,
        )
        for name, predictor in predictors.items()
    }
    specs = {name: spec for name, (_, spec) in made.items()}
    designs = {name: design for name, (design, _) in made.items()}
    return designs, DesignSpec(formula, specs, encoding, values.states)


def _dropped(designs: Mapping[str, PredictorDesign]) -> list[str]:
    return [
        f"Columns of the fixed part{'' if name == 'mean' else f' of {name}'} left out because "
        f"they depend linearly on earlier ones: {listing(design.dropped)}."
        for name, design in designs.items()
        if design.dropped
    ]
