"""Right-hand sides + columns -> matrices, through formulaic.

Those that only multiply numeric columns are written down at once
(`hglm.design.products`). All others of a model are materialised in one structured
call, so that the fixed and the random part share transforms, categories and
columns. What formulaic learns from the data (means of `scale`, knots of `bs`,
coefficients of `poly`, categories) is kept in `Encoding` and used again for
new data.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from formulaic import ModelMatrix
from formulaic.errors import DataMismatchWarning
from formulaic.materializers import PandasMaterializer
from formulaic.model_spec import ModelSpec, ModelSpecs
from formulaic.parser.types import Factor

from hglm.design.contrasts import check_columns, coded_columns
from hglm.design.functions import FUNCTIONS
from hglm.design.products import (
    Products,
    formula_of,
    product_matrix,
    products_of,
)
from hglm.design.values import EVALUATION_ERRORS, check_computed, not_computed
from hglm.errors import DataError
from hglm.formula.hints import listing
from hglm.typing import Matrix

__all__ = ["Columns", "Encoding", "encode", "expressions_of"]


@dataclass(frozen=True, slots=True)
class Columns:
    """One right-hand side as numbers."""

    matrix: Matrix
    """(n, p) in Fortran order."""
    names: tuple[str, ...]
    """(p,) formulaic's column names."""
    terms: Mapping[str, tuple[int, ...]]
    """Term -> positions of its columns."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How right-hand sides become columns, learnt from the training data."""

    specs: Mapping[str, ModelSpec]
    """Right-hand side -> formulaic's recipe with its state."""
    contrasts: Mapping[str, Any]
    """Column -> formulaic contrasts."""
    products: Mapping[str, Products] = field(default_factory=dict)
    """Those right-hand sides that only multiply numbers, by their terms."""

    def columns(
        self, sides: Sequence[str], data: Mapping[str, pd.Series], index: pd.Index
    ) -> dict[str, Columns]:
        """Apply the recipes to new rows."""
        coded = {side: self.specs[side] for side in sides if side not in self.products}
        matrices = _materialise(coded, data, self.contrasts)
        return _collect(sides, matrices, self.products, data, index)


def encode(
    sides: Sequence[str],
    data: Mapping[str, pd.Series],
    index: pd.Index,
    contrasts: Mapping[str, Any],
) -> tuple[dict[str, Columns], Encoding]:
    """Turn right-hand sides into columns and remember how.

    Parameters
    ----------
    sides
        Right-hand sides that state their intercept, such as ``"1 + days"``.
    data
        Name -> (n,) complete cases.
    index
        (n,) row labels, for messages.
    contrasts
        Column -> formulaic contrasts.
    """
    check_columns(contrasts, data)
    _check_dates(sides, data)
    fresh = {side: ModelSpec(formula_of(side)) for side in sides}
    found = {side: products_of(side, data) for side in fresh}
    products = {side: terms for side, terms in found.items() if terms is not None}
    coded = {side: spec for side, spec in fresh.items() if side not in products}
    matrices = _materialise(coded, data, contrasts)
    specs = _share_state({side: matrix.model_spec for side, matrix in matrices.items()})
    columns = _collect(sides, matrices, products, data, index)
    return columns, Encoding(fresh | specs, contrasts, products)


def expressions_of(side: str) -> tuple[str, ...]:
    """Columns and Python expressions that a right-hand side is made of."""
    return tuple(
        factor.expr
        for term in formula_of(side)
        for factor in term.factors
        if factor.eval_method is not Factor.EvalMethod.LITERAL
    )


def _materialise(
    specs: Mapping[str, ModelSpec], data: Mapping[str, pd.Series], contrasts: Mapping[str, Any]
) -> dict[str, ModelMatrix]:
    """Model matrices of several right-hand sides in one call."""
    if not specs:
        return {}
    coded = coded_columns(contrasts, data)
    plain = {name: column for name, column in data.items() if name not in coded}
    frame = pd.DataFrame(plain, index=next(iter(data.values())).index, copy=False)
    materializer = PandasMaterializer(frame, context={**FUNCTIONS, **coded})
    keys = {f"side{i}": side for i, side in enumerate(specs)}
    structured = ModelSpecs(**{key: specs[side] for key, side in keys.items()})
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("error", DataMismatchWarning)
            matrices = materializer.get_model_matrix(
                structured, na_action="ignore", output="pandas"
            )
    except DataMismatchWarning as error:
        raise _unknown_category(materializer, specs) from error
    except EVALUATION_ERRORS as error:
        raise not_computed("A term of the formula", error) from error
    return {side: matrices[key] for key, side in keys.items()}


def _check_dates(sides: Sequence[str], data: Mapping[str, pd.Series]) -> None:
    for side in dict.fromkeys(sides):
        for expression in expressions_of(side):
            if expression in data and data[expression].dtype.kind in "mM":
                raise DataError(
                    f"Column `{expression}` holds dates or times; convert it to a number, such as "
                    "days since a start, before the fit."
                )


def _share_state(specs: Mapping[str, ModelSpec]) -> dict[str, ModelSpec]:
    """Give each spec the state of all.

    formulaic notes the categories of a factor only in the first spec that uses
    it; without them another spec would take the categories of the new data.
    """
    encoders = {
        expr: state for spec in specs.values() for expr, state in spec.encoder_state.items()
    }
    return {side: spec.update(encoder_state=encoders) for side, spec in specs.items()}


def _unknown_category(
    materializer: PandasMaterializer, specs: Mapping[str, ModelSpec]
) -> DataError:
    known = {
        expr: state["categories"]
        for spec in specs.values()
        for expr, (kind, state) in spec.encoder_state.items()
        if kind is Factor.Kind.CATEGORICAL and "categories" in state
    }
    for expr, categories in known.items():
        values = getattr(materializer.factor_cache[expr].values, "__wrapped__", ())
        unknown = [value for value in pd.unique(pd.Series(values)) if value not in categories]
        if unknown:
            return DataError(
                f"`{expr}` has {listing(unknown)}, which the data of the fit did not have; its "
                f"effect is estimated for {listing(categories)} only."
            )
    return DataError(
        "The `levels` given in the formula leave out categories of the data; name them all, or "
        "leave the rows of the others out."
    )


def _collect(
    sides: Sequence[str],
    matrices: Mapping[str, ModelMatrix],
    products: Mapping[str, Products],
    data: Mapping[str, pd.Series],
    index: pd.Index,
) -> dict[str, Columns]:
    return {
        side: _multiplied(products[side], data, index)
        if side in products
        else _columns(matrices[side], index)
        for side in sides
    }


def _multiplied(products: Products, data: Mapping[str, pd.Series], index: pd.Index) -> Columns:
    """Write down a side that only multiplies numbers."""
    matrix = product_matrix(products, data, len(index))
    names = tuple(":".join(product) or "Intercept" for product in products)
    _check_columns(matrix, names, index)
    return Columns(matrix, names, {name: (j,) for j, name in enumerate(names)})


def _columns(model_matrix: ModelMatrix, index: pd.Index) -> Columns:
    spec = model_matrix.model_spec
    names = tuple(spec.column_names)
    matrix = np.asfortranarray(model_matrix.to_numpy(np.float64))
    _check_columns(matrix, names, index)
    terms = {
        "Intercept" if str(term) == "1" else str(term): tuple(positions)
        for term, positions in spec.term_indices.items()
    }
    return Columns(matrix, names, terms)


def _check_columns(matrix: Matrix, names: Sequence[str], index: pd.Index) -> None:
    for column, name in zip(matrix.T, names, strict=True):
        check_computed(column, name, index)
